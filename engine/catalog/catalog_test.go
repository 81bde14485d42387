package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"pinion/engine/model"
	"pinion/engine/placement"
)

func topicID(n int) model.TopicID { return model.TopicID{1, byte(n >> 16), byte(n >> 8), byte(n)} }

func registration(node model.NodeID, shards int32, incarnation byte) Command {
	return RegisterBroker(Registration{Node: node, Incarnation: [16]byte{incarnation}, Shards: shards, Rack: fmt.Sprint("r", node%2),
		Listeners: []placement.Listener{{Name: "PLAINTEXT", Host: "h", Port: 9092}}})
}

// rig applies commands at the next index.
type rig struct {
	*Machine
	t interface{ Fatalf(string, ...any) }
}

func (r rig) do(cmd Command) (Result, Delta) { return r.Apply(r.Applied()+1, cmd.Bytes()) }

func (r rig) must(cmd Command) Result {
	result, _ := r.do(cmd)
	if result.Err != nil {
		r.t.Fatalf("%v", result.Err)
	}
	return result
}

func cluster(t interface{ Fatalf(string, ...any) }, shards ...int32) rig {
	r := rig{New("c"), t}
	for i, s := range shards {
		r.must(registration(model.NodeID(i+1), s, 1))
	}
	return r
}

// TestCreateRefusals: each rule of CreateTopics with the code a client will see.
func TestCreateRefusals(t *testing.T) {
	r := cluster(t, 2, 2)
	r.must(CreateTopic(TopicSpec{Name: "taken.name", ID: topicID(1), Partitions: 1, ReplicationFactor: 1}))
	fine := TopicSpec{Name: "new", ID: topicID(2), Partitions: 1, ReplicationFactor: 1}
	rows := []struct {
		why    string
		change func(*TopicSpec)
		want   Code
	}{
		{"exists", func(s *TopicSpec) { s.Name = "taken.name" }, TopicExists},
		{"collides", func(s *TopicSpec) { s.Name = "taken_name" }, InvalidTopic},
		{"empty", func(s *TopicSpec) { s.Name = "" }, InvalidTopic},
		{"dot", func(s *TopicSpec) { s.Name = "." }, InvalidTopic},
		{"dots", func(s *TopicSpec) { s.Name = ".." }, InvalidTopic},
		{"long", func(s *TopicSpec) { s.Name = strings.Repeat("a", 250) }, InvalidTopic},
		{"longest", func(s *TopicSpec) { s.Name = strings.Repeat("a", 249) }, 0},
		{"space", func(s *TopicSpec) { s.Name = "a b" }, InvalidTopic},
		{"slash", func(s *TopicSpec) { s.Name = "../etc" }, InvalidTopic},
		{"zero byte", func(s *TopicSpec) { s.Name = "a\x00" }, InvalidTopic},
		{"zero id", func(s *TopicSpec) { s.ID = model.TopicID{} }, InvalidRequest},
		{"taken id", func(s *TopicSpec) { s.ID = topicID(1) }, InvalidRequest},
		{"no partitions", func(s *TopicSpec) { s.Partitions = 0 }, InvalidPartitions},
		{"minus one", func(s *TopicSpec) { s.Partitions = -1 }, InvalidPartitions},
		{"too many", func(s *TopicSpec) { s.Partitions = 10_001 }, TooLarge},
		{"no replicas", func(s *TopicSpec) { s.ReplicationFactor = 0 }, InvalidReplicationFactor},
		{"three of two", func(s *TopicSpec) { s.ReplicationFactor = 3 }, InvalidReplicationFactor},
		{"unknown broker", func(s *TopicSpec) { s.Assignment = OnNodes([]model.NodeID{9}) }, InvalidAssignment},
		{"twice", func(s *TopicSpec) { s.Assignment = OnNodes([]model.NodeID{1, 1}) }, InvalidAssignment},
		{"uneven", func(s *TopicSpec) { s.Assignment = OnNodes([]model.NodeID{1, 2}, []model.NodeID{1}) }, InvalidAssignment},
		{"empty list", func(s *TopicSpec) { s.Assignment = OnNodes([]model.NodeID{1}, nil) }, InvalidAssignment},
		{"no such shard", func(s *TopicSpec) { s.Assignment = Assignment{{{Node: 1, Shard: 2}}} }, InvalidAssignment},
		{"negative shard", func(s *TopicSpec) { s.Assignment = Assignment{{{Node: 1, Shard: -2}}} }, InvalidAssignment},
		{"two shards of a node", func(s *TopicSpec) { s.Assignment = Assignment{{{Node: 1, Shard: 0}, {Node: 1, Shard: 1}}} }, InvalidAssignment},
		{"on shards", func(s *TopicSpec) { s.Assignment = Assignment{{{Node: 1, Shard: 1}, {Node: 2, Shard: 1}}} }, 0},
		{"assigned", func(s *TopicSpec) {
			s.Assignment = OnNodes([]model.NodeID{2, 1}, []model.NodeID{1, 2})
			s.Partitions = -1
		}, 0},
	}
	for _, row := range rows {
		spec := fine
		row.change(&spec)
		snapshot := r.AppendSnapshot(nil)
		copied, err := Restore(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		result, delta := rig{copied, t}.do(CreateTopic(spec))
		var got Code
		if result.Err != nil {
			got = result.Err.Code
			if !delta.Empty() || copied.Image().TopicCount() != 1 {
				t.Errorf("%s: refused and yet changed %+v", row.why, delta)
			}
		}
		if got != row.want {
			t.Errorf("%s: code %d (%v), want %d", row.why, got, result.Err, row.want)
		}
	}
}

// TestAssignmentOnShards: a replica goes to the shard that was named, or where the catalogue chooses, and a build that knows nodes only
// must stop at a command that names shards.
func TestAssignmentOnShards(t *testing.T) {
	r := cluster(t, 4, 4)
	create := CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Assignment: Assignment{
		{{Node: 1, Shard: 3}, {Node: 2, Shard: 0}}, {{Node: 2, Shard: 3}, {Node: 1, Shard: model.NoShard}}, {{Node: 1, Shard: 3}, {Node: 2, Shard: 2}}}})
	grow := CreatePartitions("a", 4, Assignment{{{Node: 2, Shard: 1}, {Node: 1, Shard: 2}}})
	if create.Bytes()[0] != commandVersionShards || grow.Bytes()[0] != commandVersionShards {
		t.Error("shards are hidden from older builds")
	}
	if plain := CreatePartitions("a", 4, OnNodes([]model.NodeID{1, 2})); plain.Bytes()[0] != commandVersion {
		t.Error("a command without shards cannot be read by older builds")
	}
	r.must(create)
	tp := r.must(grow).Topic
	for i, want := range [][]placement.Replica{{{Node: 1, Shard: 3}, {Node: 2, Shard: 0}}, {{Node: 2, Shard: 3}, {Node: 1, Shard: 0}},
		{{Node: 1, Shard: 3}, {Node: 2, Shard: 2}}, {{Node: 2, Shard: 1}, {Node: 1, Shard: 2}}} {
		p := tp.Partition(int32(i))
		if !slices.Equal(p.Replicas, want) || p.Leader != want[0].Node || !slices.Equal(p.ISR, []model.NodeID{want[0].Node, want[1].Node}) {
			t.Errorf("partition %d: %+v, want %v", i, p, want)
		}
	}
	again, err := Restore(r.AppendSnapshot(nil))
	if err != nil || again.Hash() != r.Hash() {
		t.Errorf("restored to another state: %v", err)
	}
}

// TestSpread: replicas of a topic go to different nodes, and leaders and replicas spread evenly over nodes and shards.
func TestSpread(t *testing.T) {
	r := cluster(t, 4, 4, 2)
	tp := r.must(CreateTopic(TopicSpec{Name: "wide", ID: topicID(1), Partitions: 48, ReplicationFactor: 2})).Topic
	leaders, shards := map[model.NodeID]int{}, map[placement.Replica]int{}
	for i := range tp.Partitions() {
		p := tp.Partition(i)
		if len(p.Replicas) != 2 || p.Replicas[0].Node == p.Replicas[1].Node || p.Leader != p.Replicas[0].Node || len(p.ISR) != 2 {
			t.Fatalf("partition %d: %+v", i, p)
		}
		if p.Replicas[0].Node%2 == p.Replicas[1].Node%2 { // racks r0 and r1
			t.Errorf("partition %d has both replicas in one rack", i)
		}
		leaders[p.Leader]++
		shards[p.Replicas[0]]++
	}
	if leaders[1] != 16 || leaders[2] != 16 || leaders[3] != 16 {
		t.Errorf("leaders %v", leaders)
	}
	for _, b := range []struct{ node, shards, each int }{{1, 4, 4}, {2, 4, 4}, {3, 2, 8}} {
		for s := range b.shards {
			if got := shards[placement.Replica{Node: model.NodeID(b.node), Shard: model.ShardID(s)}]; got != b.each {
				t.Errorf("node %d shard %d leads %d, want %d", b.node, s, got, b.each)
			}
		}
	}
	// Many topics of one partition fill shards evenly too.
	one := cluster(t, 4)
	for i := range 40 {
		one.must(CreateTopic(TopicSpec{Name: fmt.Sprint("t", i), ID: topicID(i + 1), Partitions: 1, ReplicationFactor: 1}))
	}
	if got := shardCounts(one.Image(), 1); !maps.Equal(got, map[model.ShardID]int{0: 10, 1: 10, 2: 10, 3: 10}) {
		t.Errorf("single partitions on shards: %v", got)
	}
}

func shardCounts(im *placement.Image, n model.NodeID) map[model.ShardID]int {
	counts := map[model.ShardID]int{}
	for tp := range im.Topics {
		for i := range tp.Partitions() {
			if s := tp.Partition(i).ShardOn(n); s != model.NoShard {
				counts[s]++
			}
		}
	}
	return counts
}

// TestRestartWithOtherShards: replicas on shards that are gone move, growth spreads every topic and the whole.
func TestRestartWithOtherShards(t *testing.T) {
	r := cluster(t, 2)
	r.must(CreateTopic(TopicSpec{Name: "wide", ID: topicID(1), Partitions: 16, ReplicationFactor: 1}))
	for i := range 16 {
		r.must(CreateTopic(TopicSpec{Name: fmt.Sprint("narrow", i), ID: topicID(i + 10), Partitions: 1, ReplicationFactor: 1}))
	}
	for i, shards := range []int32{8, 3, 1, 4} {
		moves := r.Image().Moves()
		epoch := r.Image().TopicCalled("wide").Partition(3).LeaderEpoch
		result, delta := r.do(registration(1, shards, byte(i+2)))
		if result.Err != nil || result.BrokerEpoch != int64(r.Applied()) || len(delta.Partitions) < 32 || r.Image().Moves() == moves {
			t.Fatalf("%d shards: %+v, %d partitions changed", shards, result, len(delta.Partitions))
		}
		tp := r.Image().TopicCalled("wide")
		if tp.Partition(3).LeaderEpoch != epoch+1 {
			t.Errorf("leader epoch %d, want %d", tp.Partition(3).LeaderEpoch, epoch+1)
		}
		var wide [8]int
		for p := range tp.Partitions() {
			wide[tp.Partition(p).ShardOn(1)]++
		}
		for s := range shards {
			if got, low := wide[s], 16/int(shards); got < low || got > low+1 {
				t.Errorf("%d shards: shard %d has %d partitions of one topic: %v", shards, s, got, wide)
			}
			if got, low := shardCounts(r.Image(), 1)[model.ShardID(s)], 32/int(shards); got < low-1 || got > low+1 {
				t.Errorf("%d shards: shard %d has %d replicas, want about %d", shards, s, got, low)
			}
		}
	}
	// The same incarnation again refreshes endpoints and nothing else.
	before := r.Image().Broker(1).Epoch
	epoch := r.Image().TopicCalled("wide").Partition(0).LeaderEpoch
	if got := r.must(registration(1, 4, 5)).BrokerEpoch; got != before || r.Image().TopicCalled("wide").Partition(0).LeaderEpoch != epoch {
		t.Errorf("the same incarnation got epoch %d after %d", got, before)
	}
}

func TestMoveReplica(t *testing.T) {
	r := cluster(t, 4)
	r.must(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Partitions: 4, ReplicationFactor: 1}))
	p := model.Partition{Topic: topicID(1), Index: 2}
	before := *r.Image().Partition(p)
	moves := r.Image().Moves()
	to := (before.ShardOn(1) + 1) % 4
	r.must(MoveReplica(p, 1, to, true))
	after := r.Image().Partition(p)
	if after.ShardOn(1) != to || after.LeaderEpoch != before.LeaderEpoch+1 || after.PartitionEpoch != before.PartitionEpoch+1 || r.Image().Moves() != moves+1 {
		t.Fatalf("%+v after %+v, moves %d after %d", after, before, r.Image().Moves(), moves)
	}
	for _, row := range []struct {
		cmd  Command
		want Code
	}{
		{MoveReplica(model.Partition{Topic: topicID(9)}, 1, 0, false), UnknownTopicID},
		{MoveReplica(model.Partition{}, 1, 0, false), UnknownTopicID},
		{MoveReplica(model.Partition{Topic: topicID(1), Index: 4}, 1, 0, false), UnknownPartition},
		{MoveReplica(p, 2, 0, false), InvalidAssignment},
		{MoveReplica(p, 1, 4, false), InvalidAssignment},
		{MoveReplica(p, 1, -1, false), InvalidAssignment},
	} {
		if result, _ := r.do(row.cmd); result.Err == nil || result.Err.Code != row.want {
			t.Errorf("%+v, want code %d", result, row.want)
		}
	}
}

func TestConfigsAndPartitions(t *testing.T) {
	r := cluster(t, 2)
	r.must(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Partitions: 1, ReplicationFactor: 1, Configs: map[string]string{"x": "1", "y": "2"}}))
	old := r.Image().TopicCalled("a")
	r.must(SetTopicConfigs("a", []ConfigChange{{Key: "x", Delete: true}, {Key: "z", Value: "3"}}, false))
	if got := r.Image().TopicCalled("a").Configs; !maps.Equal(got, map[string]string{"y": "2", "z": "3"}) {
		t.Error(got)
	}
	if len(old.Configs) != 2 || old.Configs["x"] != "1" {
		t.Error("a published topic changed")
	}
	r.must(SetTopicConfigs("a", []ConfigChange{{Key: "q", Value: ""}}, true))
	if got := r.Image().TopicCalled("a").Configs; !maps.Equal(got, map[string]string{"q": ""}) {
		t.Error(got)
	}
	_, delta := r.do(CreatePartitions("a", 4, nil))
	if r.Image().TopicCalled("a").Partitions() != 4 || len(delta.Partitions) != 3 || old.Partitions() != 1 {
		t.Error(delta)
	}
	for _, row := range []struct {
		cmd  Command
		want Code
	}{
		{CreatePartitions("a", 4, nil), InvalidPartitions},
		{CreatePartitions("a", 3, nil), InvalidPartitions},
		{CreatePartitions("a", 6, OnNodes([]model.NodeID{1})), InvalidAssignment},
		{CreatePartitions("b", 6, nil), UnknownTopic},
		{SetTopicConfigs("b", nil, true), UnknownTopic},
		{SetBrokerConfigs(7, nil, true), UnknownBroker},
		{DeleteTopic("b", model.TopicID{}), UnknownTopic},
		{DeleteTopic("a", topicID(2)), UnknownTopicID},
		{RegisterBroker(Registration{Node: 1, Shards: 0, Incarnation: [16]byte{1}}), InvalidRegistration},
		{RegisterBroker(Registration{Node: -1, Shards: 1, Incarnation: [16]byte{1}}), InvalidRegistration},
		{RegisterBroker(Registration{Node: 1, Shards: 1}), InvalidRegistration},
	} {
		if result, _ := r.do(row.cmd); result.Err == nil || result.Err.Code != row.want {
			t.Errorf("%+v, want code %d", result, row.want)
		}
	}
}

func TestProducerIDsNeverRepeat(t *testing.T) {
	r := cluster(t, 1)
	first := r.must(AllocateProducerIDs(1))
	copied, err := Restore(r.AppendSnapshot(nil))
	if err != nil {
		t.Fatal(err)
	}
	second := rig{copied, t}.must(AllocateProducerIDs(1))
	if second.FirstProducerID != first.FirstProducerID+first.ProducerIDs || first.ProducerIDs != 1000 {
		t.Errorf("%+v then %+v", first, second)
	}
}

// randomCommand draws from few names and nodes, so that refusals and collisions happen.
func randomCommand(t *rapid.T, step int) Command {
	name := rapid.SampledFrom([]string{"a", "b", "c.d", "c_d", "e", "f"}).Draw(t, "name")
	node := model.NodeID(rapid.IntRange(1, 3).Draw(t, "node"))
	switch rapid.IntRange(0, 13).Draw(t, "kind") {
	case 11:
		named := directories(rapid.SliceOfNDistinct(rapid.IntRange(1, 4), 1, 3, rapid.ID).Draw(t, "directories")...)
		named[0].State = placement.DirectoryState(rapid.IntRange(0, 2).Draw(t, "state"))
		return RegisterDirectories(node, named[len(named)-1].ID, named)
	case 12:
		id := topicID(rapid.IntRange(1, step+1).Draw(t, "id"))
		return AssignDirectory(model.Partition{Topic: id, Index: int32(rapid.IntRange(0, 3).Draw(t, "i"))}, node, directoryID(rapid.IntRange(1, 4).Draw(t, "d")))
	case 0, 1, 2:
		return CreateTopic(TopicSpec{Name: name, ID: topicID(step + 1), Partitions: int32(rapid.IntRange(0, 40).Draw(t, "n")),
			ReplicationFactor: int16(rapid.IntRange(0, 3).Draw(t, "rf")), Configs: map[string]string{"step": fmt.Sprint(step), "a": "b"}})
	case 3:
		return DeleteTopic(name, model.TopicID{})
	case 4:
		return CreatePartitions(name, int32(rapid.IntRange(0, 50).Draw(t, "n")), nil)
	case 5:
		return SetTopicConfigs(name, []ConfigChange{{Key: "k", Value: fmt.Sprint(step)}}, step%2 == 0)
	case 6, 7:
		return registration(node, int32(rapid.IntRange(1, 6).Draw(t, "shards")), byte(rapid.IntRange(1, 3).Draw(t, "incarnation")))
	case 8:
		id := topicID(rapid.IntRange(1, step+1).Draw(t, "id"))
		return MoveReplica(model.Partition{Topic: id, Index: int32(rapid.IntRange(0, 3).Draw(t, "i"))}, node, model.ShardID(rapid.IntRange(0, 5).Draw(t, "s")), step%2 == 0)
	case 9:
		return AlterResourceConfigs(placement.Resource{Kind: 32, Name: name}, nil, []ConfigChange{{Key: "k", Value: fmt.Sprint(step), Delete: step%3 == 0}})
	case 10:
		return AlterQuotas([]QuotaChange{{byClient(name), []QuotaOp{{Key: "k", Value: float64(step + 1), Remove: step%3 == 0}}}, {byClient("x"), []QuotaOp{{Key: "k", Value: float64(step % 5)}}}})
	}
	return AllocateProducerIDs(node)
}

// TestReplay: the same commands give the same hash whether applied in one life, over a snapshot taken anywhere, or with part
// of the log applied again; images are frozen once and stay; invariants hold after each command; deltas name every difference.
func TestReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rig{New("c"), t}
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		cut := rapid.IntRange(0, steps).Draw(t, "cut")
		back := rapid.IntRange(0, cut).Draw(t, "back")
		log := make([][]byte, 0, steps)
		var snapshot []byte
		for i := range steps {
			if i == cut {
				snapshot = r.AppendSnapshot(nil)
			}
			cmd := randomCommand(t, i).Bytes()
			log = append(log, cmd)
			old := r.Image()
			_, delta := r.Apply(uint64(i+1), cmd)
			delta.Settle(old, r.Image())
			checkDelta(t, old, r.Image(), delta)
			checkImage(t, r.Image())
			r.check()
		}
		if cut == steps {
			snapshot = r.AppendSnapshot(nil)
		}
		again, err := Restore(snapshot)
		if err != nil {
			t.Fatalf("%v", err)
		}
		for i := back; i < steps; i++ {
			again.Apply(uint64(i+1), log[i])
		}
		if again.Hash() != r.Hash() {
			t.Fatalf("cut %d, from %d: another state", cut, back)
		}
		again.check()
	})
}

func checkImage(t *rapid.T, im *placement.Image) {
	for tp := range im.Topics {
		for i := range tp.Partitions() {
			p := tp.Partition(i)
			if p.Leader == placement.NoLeader || !p.InSync(p.Leader) {
				t.Fatalf("%s-%d: leader %d, ISR %v", tp.Name, i, p.Leader, p.ISR)
			}
			for _, replica := range p.Replicas {
				b := im.Broker(replica.Node)
				if b == nil || int32(replica.Shard) >= b.Shards || replica.Shard < 0 {
					t.Fatalf("%s-%d lives on %+v, broker %+v", tp.Name, i, replica, b)
				}
				if (b.Directories == nil) != replica.Directory.IsZero() || b.Directories != nil && b.Directory(replica.Directory) == nil {
					t.Fatalf("%s-%d lives in a directory the broker never had: %+v, %+v", tp.Name, i, replica, b)
				}
			}
		}
	}
}

// checkDelta compares two images the slow way.
func checkDelta(t *rapid.T, old, new *placement.Image, d Delta) {
	for tp := range old.Topics {
		if (new.TopicByID(tp.ID) == nil) != slices.Contains(d.Deleted, tp.ID) {
			t.Fatalf("topic %s went or stayed unsaid", tp.Name)
		}
	}
	for tp := range new.Topics {
		before := old.TopicByID(tp.ID)
		if (before == nil) != slices.Contains(d.Created, tp.ID) {
			t.Fatalf("topic %s came or stayed unsaid", tp.Name)
		}
		if before == nil {
			continue
		}
		if !maps.Equal(before.Configs, tp.Configs) && !slices.Contains(d.Configured, tp.ID) {
			t.Fatalf("configuration of %s changed unsaid", tp.Name)
		}
		for i := range tp.Partitions() {
			if tp.Partition(i) != before.Partition(i) && !slices.Contains(d.Partitions, model.Partition{Topic: tp.ID, Index: i}) {
				t.Fatalf("%s-%d changed unsaid", tp.Name, i)
			}
		}
	}
	for b := range new.Brokers {
		if old.Broker(b.ID) != b && !slices.Contains(d.Brokers, b.ID) {
			t.Fatalf("broker %d changed unsaid", b.ID)
		}
	}
}

// TestUnreadableCommandStopsTheNode: what a newer build wrote must not be skipped.
func TestUnreadableCommandStopsTheNode(t *testing.T) {
	for _, cmd := range [][]byte{{}, {1}, {3, 1}, {2, 200}, {2, byte(KindDeleteTopic)}, {1, 200}} {
		r := cluster(t, 1)
		if result, _ := r.Apply(r.Applied()+1, cmd); result.Err == nil || result.Err.Code != Unsupported {
			t.Errorf("%v: %+v", cmd, result)
		}
	}
}

// FuzzApply: any bytes are a Result, and leave a state that can be snapshotted and restored to the same hash.
func FuzzApply(f *testing.F) {
	f.Add(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Partitions: 3, ReplicationFactor: 1}).Bytes())
	f.Add(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Assignment: OnNodes([]model.NodeID{1}), Configs: map[string]string{"a": "b"}}).Bytes())
	f.Add(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Assignment: Assignment{{{Node: 1, Shard: 1}}}}).Bytes())
	f.Add(registration(1, 3, 2).Bytes())
	f.Add(SetTopicConfigs("seed", []ConfigChange{{Key: "a", Delete: true}}, true).Bytes())
	f.Add(MoveReplica(model.Partition{Topic: topicID(7)}, 1, 1, true).Bytes())
	f.Add(CreatePartitions("seed", 9, nil).Bytes())
	f.Add(DeleteTopic("seed", topicID(7)).Bytes())
	f.Add(RegisterDirectories(1, directoryID(2), directories(1, 2)).Bytes())
	f.Add(AssignDirectory(model.Partition{Topic: topicID(7)}, 1, directoryID(1)).Bytes())
	f.Add(SetBrokerConfigs(-1, []ConfigChange{{Key: "a", Value: "b"}}, false).Bytes())
	f.Add(AlterResourceConfigs(placement.Resource{Kind: 32, Name: "g"}, nil, []ConfigChange{{Key: "a", Value: "b"}}).Bytes())
	f.Add(AlterQuotas([]QuotaChange{{byClient("c"), []QuotaOp{{Key: "k", Value: 5}}}}).Bytes())
	f.Fuzz(func(t *testing.T, cmd []byte) {
		r := cluster(t, 2)
		r.must(CreateTopic(TopicSpec{Name: "seed", ID: topicID(7), Partitions: 3, ReplicationFactor: 1}))
		r.Apply(r.Applied()+1, cmd)
		r.check()
		again, err := Restore(r.AppendSnapshot(nil))
		if err != nil {
			t.Fatalf("%v after %x", err, cmd)
		}
		if again.Hash() != r.Hash() {
			t.Fatalf("%x: restored to another state", cmd)
		}
	})
}

// FuzzRestore: any bytes are an error or a machine with one encoding.
func FuzzRestore(f *testing.F) {
	r := cluster(f, 2, 3)
	r.must(CreateTopic(TopicSpec{Name: "seed", ID: topicID(7), Partitions: 3, ReplicationFactor: 2, Configs: map[string]string{"a": "b"}}))
	f.Add(r.AppendSnapshot(nil))
	r.must(AlterResourceConfigs(placement.Resource{Kind: 32, Name: "g"}, nil, []ConfigChange{{Key: "a", Value: "b"}}))
	r.must(AlterQuotas([]QuotaChange{{byClient("c"), []QuotaOp{{Key: "k", Value: 5}}}}))
	r.must(RegisterDirectories(1, directoryID(2), directories(1, 2)))
	f.Add(r.AppendSnapshot(nil))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Restore(b)
		if err != nil {
			return
		}
		if got := m.AppendSnapshot(nil); string(got) != string(b) && m.Image().BrokerCount() < 2 {
			t.Fatalf("%x restored and written as %x", b, got)
		}
		m.check()
	})
}
