package catalog

import (
	"maps"

	"pinion/engine/model"
	"pinion/engine/placement"
)

// CheckName applies Kafka's rules for topic names (org.apache.kafka.common.internals.Topic), in its words. nil: legal.
func CheckName(name string) *Error {
	switch {
	case name == "":
		return invalidTopic("Topic name is invalid: the empty string is not allowed")
	case name == "." || name == "..":
		return invalidTopic("Topic name is invalid: '" + name + "' is not allowed")
	case len(name) > nameBytesMax:
		return invalidTopic("Topic name is invalid: the length of '" + name + "' is longer than the max allowed length 249")
	}
	for i := range len(name) {
		c := name[i]
		legal := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
		if !legal {
			return invalidTopic("Topic name is invalid: '" + name +
				"' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
		}
	}
	return nil
}

func invalidTopic(message string) *Error { return &Error{Code: InvalidTopic, Message: message} }

// CheckCreate says whether a topic could be created now; Apply asks the same question again. It serves validate-only
// requests. nil: yes.
func CheckCreate(im *placement.Image, spec TopicSpec) *Error {
	if err := CheckName(spec.Name); err != nil {
		return err
	}
	if im.TopicCalled(spec.Name) != nil {
		return refused(TopicExists, "Topic '%s' already exists.", spec.Name).Err
	}
	if other := im.TopicLike(spec.Name); other != nil {
		return refused(InvalidTopic, "Topic '%s' collides with existing topic: %s", spec.Name, other.Name).Err
	}
	if spec.ID.IsZero() || im.TopicByID(spec.ID) != nil {
		return refused(InvalidRequest, "topic id %s is zero or taken", spec.ID).Err
	}
	if err := checkConfigs(spec.Configs); err != nil {
		return err
	}
	if len(spec.Assignment) > 0 {
		return checkAssignment(im, spec.Assignment, 0)
	}
	if spec.Partitions <= 0 {
		return refused(InvalidPartitions, "Number of partitions was set to an invalid non-positive value.").Err
	}
	if err := checkRoom(im, int(spec.Partitions)); err != nil {
		return err
	}
	return checkReplication(im, int(spec.ReplicationFactor))
}

func checkConfigs(values map[string]string) *Error {
	if len(values) > configsMax {
		return refused(InvalidConfig, "%d configuration keys, at most %d", len(values), configsMax).Err
	}
	for k, v := range values { // any order: the first offender decides only the wording, and only before a proposal
		if k == "" || len(k) > configKeyMax || len(v) > configValueMax {
			return refused(InvalidConfig, "a configuration key or value is empty or too long").Err
		}
	}
	return nil
}

func checkRoom(im *placement.Image, more int) *Error {
	if more > commandPartitionsMax {
		return refused(TooLarge, "Excessively large number of partitions per request: %d, at most %d", more, commandPartitionsMax).Err
	}
	if im.PartitionCount()+more > partitionsMax {
		return refused(LimitReached, "the cluster has %d partitions and may have %d", im.PartitionCount(), partitionsMax).Err
	}
	return nil
}

func checkReplication(im *placement.Image, rf int) *Error {
	if rf <= 0 {
		return refused(InvalidReplicationFactor, "Replication factor was set to an invalid non-positive value.").Err
	}
	if rf > replicasMax {
		return refused(InvalidReplicationFactor, "Replication factor %d is above the limit of %d.", rf, replicasMax).Err
	}
	usable := 0
	for b := range im.Brokers {
		if !b.Fenced && !b.Cordoned() {
			usable++
		}
	}
	if rf > usable {
		return refused(InvalidReplicationFactor, "Unable to replicate the partition %d time(s): The target replication factor of %d "+
			"cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", rf, rf, usable).Err
	}
	return nil
}

// checkAssignment checks explicit replicas; width is the replication factor they must have, 0 for that of the first.
func checkAssignment(im *placement.Image, assignment Assignment, width int) *Error {
	if err := checkRoom(im, len(assignment)); err != nil {
		return err
	}
	for _, replicas := range assignment {
		if len(replicas) == 0 {
			return refused(InvalidAssignment, "The manual partition assignment includes an empty replica list.").Err
		}
		if len(replicas) > replicasMax {
			return refused(InvalidAssignment, "The manual partition assignment includes %d replicas, at most %d.", len(replicas), replicasMax).Err
		}
		if width == 0 {
			width = len(replicas)
		}
		if len(replicas) != width {
			return refused(InvalidAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is "+
				"not consistent with previous partitions, which have %d replica(s).", len(replicas), width).Err
		}
		alive := false
		for i, r := range replicas {
			b := im.Broker(r.Node)
			switch {
			case b == nil:
				return refused(InvalidAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", r.Node).Err
			case b.Cordoned():
				return refused(InvalidAssignment, "The manual partition assignment includes broker %d, but all its log directories are cordoned.", r.Node).Err
			case onNode(replicas[:i], r.Node):
				return refused(InvalidAssignment, "The manual partition assignment includes the broker %d more than once.", r.Node).Err
			case r.Shard != model.NoShard && (r.Shard < 0 || int32(r.Shard) >= b.Shards):
				return refused(InvalidAssignment, "Broker %d has no shard %d.", r.Node, r.Shard).Err
			}
			alive = alive || !b.Fenced
		}
		if !alive {
			return refused(InvalidAssignment, "All brokers specified in the manual partition assignment for a partition are fenced.").Err
		}
	}
	return nil
}

func onNode(replicas []placement.Replica, n model.NodeID) bool {
	for _, r := range replicas {
		if r.Node == n {
			return true
		}
	}
	return false
}

func (m *Machine) createTopic(r *reader, delta *Delta) Result {
	spec := TopicSpec{Name: r.string(1 << 16), ID: r.id(), Internal: r.flag(), Configs: r.configs()}
	spec.Partitions = r.int32()
	rf := r.int32()
	spec.Assignment = r.assignment()
	if !r.done() || rf != int32(int16(rf)) {
		return malformed(KindCreateTopic)
	}
	spec.ReplicationFactor = int16(rf)
	if err := CheckCreate(m.draft.View(), spec); err != nil {
		return Result{Err: err}
	}
	d := m.dealer(nil)
	n := len(spec.Assignment)
	if n == 0 {
		n = int(spec.Partitions)
	}
	parts := make([]*placement.Partition, 0, n)
	for i := range n {
		parts = append(parts, d.partition(replicasFor(d, spec.Assignment, i, int(rf))))
	}
	delta.Created = append(delta.Created, spec.ID)
	return Result{Topic: m.draft.AddTopic(spec.Name, spec.ID, spec.Internal, spec.Configs, parts)}
}

func replicasFor(d *dealer, assignment Assignment, i, rf int) []placement.Replica {
	if len(assignment) > 0 {
		return assignment[i]
	}
	return OnNodes(d.nodes(rf))[0]
}

// find resolves a topic by id, or by name when the id is zero.
func (m *Machine) find(name string, id model.TopicID) (*placement.Topic, *Error) {
	im := m.draft.View()
	if id.IsZero() {
		if tp := im.TopicCalled(name); tp != nil {
			return tp, nil
		}
		return nil, refused(UnknownTopic, "This server does not host this topic-partition.").Err
	}
	if tp := im.TopicByID(id); tp != nil {
		return tp, nil
	}
	return nil, refused(UnknownTopicID, "This server does not host this topic ID.").Err
}

func (m *Machine) deleteTopic(r *reader, delta *Delta) Result {
	name, id := r.string(1<<16), model.TopicID(r.id())
	if !r.done() {
		return malformed(KindDeleteTopic)
	}
	tp, err := m.find(name, id)
	if err != nil {
		return Result{Err: err}
	}
	m.loads.addTopic(tp, -1)
	m.draft.RemoveTopic(tp)
	delta.Deleted = append(delta.Deleted, tp.ID)
	return Result{Topic: tp}
}

// CheckGrow says whether a topic could be grown to count partitions now. nil: yes.
func CheckGrow(im *placement.Image, name string, count int32, assignment Assignment) *Error {
	tp := im.TopicCalled(name)
	if tp == nil {
		return refused(UnknownTopic, "This server does not host this topic-partition.").Err
	}
	have := tp.Partitions()
	switch {
	case count < have:
		return refused(InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", name, have, count).Err
	case count == have:
		return refused(InvalidPartitions, "Topic already has %d partition(s).", have).Err
	case count > topicPartitionsMax:
		return refused(InvalidPartitions, "A topic may have %d partitions.", topicPartitionsMax).Err
	}
	more := int(count - have)
	width := len(tp.Partition(0).Replicas)
	if len(assignment) > 0 {
		if len(assignment) != more {
			return refused(InvalidAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.",
				more, len(assignment)).Err
		}
		return checkAssignment(im, assignment, width)
	}
	if err := checkRoom(im, more); err != nil {
		return err
	}
	return checkReplication(im, width)
}

func (m *Machine) createPartitions(r *reader, delta *Delta) Result {
	name, count, assignment := r.string(1<<16), r.int32(), r.assignment()
	if !r.done() {
		return malformed(KindCreatePartitions)
	}
	if err := CheckGrow(m.draft.View(), name, count, assignment); err != nil {
		return Result{Err: err}
	}
	tp := m.draft.View().TopicCalled(name)
	d := m.dealer(tp)
	have, width := tp.Partitions(), len(tp.Partition(0).Replicas)
	for i := have; i < count; i++ {
		p := d.partition(replicasFor(d, assignment, int(i-have), width))
		tp = m.draft.AddPartition(tp, p)
		delta.Partitions = append(delta.Partitions, model.Partition{Topic: tp.ID, Index: i})
	}
	return Result{Topic: tp}
}

func (m *Machine) setTopicConfigs(r *reader, delta *Delta) Result {
	name := r.string(1 << 16)
	changes, replace := r.changes()
	if !r.done() {
		return malformed(KindSetTopicConfigs)
	}
	tp, err := m.find(name, model.TopicID{})
	if err != nil {
		return Result{Err: err}
	}
	values, err := merge(tp.Configs, changes, replace)
	if err != nil {
		return Result{Err: err}
	}
	delta.Configured = append(delta.Configured, tp.ID)
	return Result{Topic: m.draft.SetConfigs(tp, values)}
}

func (m *Machine) alterTopicConfigs(r *reader, delta *Delta) Result {
	id, before := model.TopicID(r.id()), r.id()
	changes, replace := r.changes()
	if !r.done() || replace {
		return malformed(KindAlterTopicConfigs)
	}
	tp := m.draft.View().TopicByID(id)
	if tp == nil {
		return refused(UnknownTopic, "This server does not host this topic-partition.")
	}
	if digest(tp.Configs) != before {
		return refused(Changed, "The configuration of topic %s was changed by somebody else.", tp.Name)
	}
	values, err := merge(tp.Configs, changes, false)
	if err != nil {
		return Result{Err: err}
	}
	delta.Configured = append(delta.Configured, tp.ID)
	return Result{Topic: m.draft.SetConfigs(tp, values)}
}

// merge returns a new map with the changes made, nil when nothing is left.
func merge(before map[string]string, changes []ConfigChange, replace bool) (map[string]string, *Error) {
	values := map[string]string{}
	if !replace {
		maps.Copy(values, before)
	}
	for _, c := range changes {
		if c.Delete {
			delete(values, c.Key)
		} else {
			values[c.Key] = c.Value
		}
	}
	if len(values) > configsMax {
		return nil, refused(InvalidConfig, "%d configuration keys, at most %d", len(values), configsMax).Err
	}
	if len(values) == 0 {
		return nil, nil
	}
	return values, nil
}
