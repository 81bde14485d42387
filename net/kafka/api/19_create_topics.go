package api

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/coordinator"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// CreateTopics (key 19) creates topics, each on its own. Version 4 takes -1 for the broker's default number of partitions and
// replicas, 5 returns what the topic's configuration came to (KIP-525), 7 its id. With validateOnly nothing is created. A topic that
// is answered for can be written at once: the image is published before the answer leaves.

func (d *Desk) createTopics(t *shard.Turn, r *conn.Request, req *kmsg.CreateTopicsRequest) {
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(req.Topics))
	left := 1
	home := func(t *shard.Turn) {
		if left--; left == 0 {
			d.answer(t, r, resp)
		}
	}
	seen := make(map[string]int, len(req.Topics))
	for i := range req.Topics {
		seen[req.Topics[i].Topic]++
	}
	r.FreeBody(t)
	excess := d.createExcess(req)
	for i := range req.Topics {
		out := &resp.Topics[i]
		*out = kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor = req.Topics[i].Topic, -1, -1
		if excess != nil {
			d.refuseTopic(out, excess)
			continue
		}
		spec, refusal := d.topicSpec(r, &req.Topics[i])
		if seen[out.Topic] > 1 {
			refusal = &catalog.Error{Code: catalog.InvalidRequest, Message: "the request names the topic more than once"}
		}
		if refusal == nil && req.ValidateOnly {
			refusal = catalog.CheckCreate(d.image(), spec)
			if refusal == nil {
				d.describeCreated(out, &spec)
			}
		}
		if refusal == nil && !req.ValidateOnly {
			refusal = d.mutate(t, r, max(int64(spec.Partitions), int64(len(spec.Assignment)), 1), 6)
		}
		if refusal != nil || req.ValidateOnly {
			d.refuseTopic(out, refusal)
			continue
		}
		left++
		asked := d.propose(catalog.CreateTopic(spec), func(t *shard.Turn, res catalog.Result) {
			d.refuseTopic(out, res.Err)
			if res.Err == nil {
				spec.Partitions = res.Topic.Partitions()
				spec.ReplicationFactor = int16(len(res.Topic.Partition(0).Replicas))
				d.describeCreated(out, &spec)
			}
			home(t)
		})
		if !asked {
			d.refuseTopic(out, &catalog.Error{Code: catalog.NotLeader, Message: "the controller is busy; try again"})
			left--
		}
	}
	home(t)
}

// createPartitionsMax is how many partitions one request may create, as in Kafka (ReplicationControlManager).
const createPartitionsMax = 10_000

// createExcess refuses a request that asks for too many partitions in all; each topic counts for one at least.
func (d *Desk) createExcess(req *kmsg.CreateTopicsRequest) *catalog.Error {
	total := int64(0)
	for i := range req.Topics {
		topic := &req.Topics[i]
		n := int64(topic.NumPartitions)
		switch {
		case len(topic.ReplicaAssignment) > 0:
			n = int64(len(topic.ReplicaAssignment))
		case n == -1:
			n = int64(d.node.Broker.Now().NumPartitions)
		}
		total += max(1, n)
	}
	if total <= createPartitionsMax {
		return nil
	}
	return &catalog.Error{Code: catalog.TooLarge, Message: "Excessively large number of partitions per request."}
}

// topicSpec turns a request's topic into the catalogue's terms.
func (d *Desk) topicSpec(r *conn.Request, in *kmsg.CreateTopicsRequestTopic) (catalog.TopicSpec, *catalog.Error) {
	b := d.node.Broker.Now()
	spec := catalog.TopicSpec{Name: in.Topic, ID: control.NewTopicID(), Internal: in.Topic == coordinator.Topic, Partitions: in.NumPartitions, ReplicationFactor: in.ReplicationFactor, Configs: map[string]string{}}
	if len(in.ReplicaAssignment) > 0 {
		if in.NumPartitions != -1 || in.ReplicationFactor != -1 {
			return spec, &catalog.Error{Code: catalog.InvalidRequest, Message: "both numPartitions or replicationFactor and an assignment were given"}
		}
		var err *catalog.Error
		if spec.Assignment, err = d.assignment(in.ReplicaAssignment); err != nil {
			return spec, err
		}
	}
	if spec.Partitions == -1 {
		spec.Partitions = b.NumPartitions
	}
	if spec.ReplicationFactor == -1 {
		spec.ReplicationFactor = b.DefaultReplicationFactor
	}
	for _, c := range in.Configs {
		if c.Value == nil {
			return spec, &catalog.Error{Code: catalog.InvalidConfig, Message: "null value not supported for topic configs: " + c.Name}
		}
		spec.Configs[c.Name] = *c.Value
	}
	if _, err := b.Topic(spec.Configs); err != nil {
		var invalid *config.InvalidTopic
		message := err.Error()
		if errors.As(err, &invalid) {
			message = invalid.Text
		}
		return spec, &catalog.Error{Code: catalog.InvalidConfig, Message: message}
	}
	return spec, nil
}

// assignment reads explicit replicas, which must name partitions 0, 1, 2, ... once each.
func (d *Desk) assignment(in []kmsg.CreateTopicsRequestTopicReplicaAssignment) (catalog.Assignment, *catalog.Error) {
	out := make(catalog.Assignment, len(in))
	for _, a := range in {
		if a.Partition < 0 || int(a.Partition) >= len(in) || out[a.Partition] != nil {
			return nil, &catalog.Error{Code: catalog.InvalidAssignment, Message: "partitions must be consecutive, from 0"}
		}
		var err *catalog.Error
		if out[a.Partition], err = d.placed(a.Replicas); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d *Desk) refuseTopic(out *kmsg.CreateTopicsResponseTopic, refusal *catalog.Error) {
	code, message := catalogError(refusal)
	out.ErrorCode = int16(code)
	if refusal != nil {
		out.ErrorMessage = &message
	}
	d.count(code)
}

// describeCreated fills in what the topic came to.
func (d *Desk) describeCreated(out *kmsg.CreateTopicsResponseTopic, spec *catalog.TopicSpec) {
	out.TopicID = spec.ID
	out.NumPartitions, out.ReplicationFactor = spec.Partitions, spec.ReplicationFactor
	if len(spec.Assignment) > 0 {
		out.NumPartitions, out.ReplicationFactor = int32(len(spec.Assignment)), int16(len(spec.Assignment[0]))
	}
	broker := d.node.Broker.Now()
	if len(spec.Configs) > 0 {
		out.Configs = describe(broker, spec.Configs)
		return
	}
	if d.defaultsOf != broker {
		d.defaultsOf, d.defaults = broker, describe(broker, nil)
	}
	out.Configs = d.defaults // shared: nobody changes them
}

// describe lists a topic's configuration as CreateTopics answers it.
func describe(broker *config.Broker, configs map[string]string) []kmsg.CreateTopicsResponseTopicConfig {
	var list []kmsg.CreateTopicsResponseTopicConfig
	for _, e := range broker.Describe(configs) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		value := e.Value
		c.Name, c.Value, c.ReadOnly, c.Source = e.Name, &value, false, int8(e.Source)
		list = append(list, c)
	}
	return list
}
