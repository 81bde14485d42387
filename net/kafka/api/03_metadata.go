package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/control"
	"pinion/engine/coordinator"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// Metadata (key 3) names the brokers, as the listener of this connection reaches them, and the topics asked for. No topics means
// all in version 0; from 1 on null means all and none means none. Missing topics are created if both the broker and the request
// allow it, never when all are asked for. Version 10 adds topic ids, 12 lookup by id; 8-10 carry authorised operations.

func (d *Desk) metadata(t *shard.Turn, r *conn.Request, req *kmsg.MetadataRequest) {
	all := req.Topics == nil || r.Version == 0 && len(req.Topics) == 0
	req.Topics = once(req.Topics)
	create := !all && d.node.Broker.Now().AutoCreateTopics && (r.Version < 4 || req.AllowAutoTopicCreation)
	if create {
		if missing := d.missing(req); len(missing) > 0 {
			d.createMissing(t, r, req, missing)
			return
		}
	}
	d.answerMetadata(t, r, req, all, nil)
}

// once keeps the first of each topic that is named; Kafka takes them as a set. Without it half a megabyte that says one topic over and
// over is answered with gigabytes.
func once(topics []kmsg.MetadataRequestTopic) []kmsg.MetadataRequestTopic {
	if len(topics) < 2 {
		return topics
	}
	type key struct {
		named bool
		name  string
		id    [16]byte
	}
	seen := make(map[key]struct{})
	kept := topics[:0]
	for _, topic := range topics {
		k := key{id: topic.TopicID}
		if topic.Topic != nil {
			k.named, k.name = true, *topic.Topic
		}
		if _, again := seen[k]; !again {
			seen[k] = struct{}{}
			kept = append(kept, topic)
		}
	}
	return kept
}

// missing lists the legal names of topics that do not exist.
func (d *Desk) missing(req *kmsg.MetadataRequest) []string {
	var names []string
	image := d.image()
	for i := range req.Topics {
		if name := req.Topics[i].Topic; name != nil && *name != "" && image.TopicCalled(*name) == nil && catalog.CheckName(*name) == nil {
			names = append(names, *name)
		}
	}
	return names
}

// createMissing creates topics with the broker's defaults, then answers.
func (d *Desk) createMissing(t *shard.Turn, r *conn.Request, req *kmsg.MetadataRequest, names []string) {
	refused := make(map[string]wire.ErrorCode)
	left := len(names)
	r.FreeBody(t)
	for _, name := range names {
		done := func(_ *shard.Turn, res catalog.Result) {
			if code, _ := catalogError(res.Err); code != wire.CodeNone && code != wire.CodeTopicAlreadyExists {
				refused[name] = code
			}
			if left--; left == 0 {
				d.answerMetadata(t, r, req, false, refused)
			}
		}
		if !d.propose(catalog.CreateTopic(d.defaultTopic(name)), done) {
			done(t, catalog.Result{Err: &catalog.Error{Code: catalog.NotLeader, Message: "the controller is busy"}})
		}
	}
}

// defaultTopic is a topic as auto-creation makes it.
func (d *Desk) defaultTopic(name string) catalog.TopicSpec {
	if name == coordinator.Topic {
		return d.offsetsTopic()
	}
	b := d.node.Broker.Now()
	return catalog.TopicSpec{Name: name, ID: control.NewTopicID(), Partitions: b.NumPartitions, ReplicationFactor: b.DefaultReplicationFactor}
}

// propose sends a command to the controller; done runs on this shard.
func (d *Desk) propose(cmd catalog.Command, done func(t *shard.Turn, res catalog.Result)) bool {
	return d.node.Control.Propose(cmd, func(res catalog.Result) {
		d.later(func(t *shard.Turn) { done(t, res) })
	})
}

func (d *Desk) answerMetadata(t *shard.Turn, r *conn.Request, req *kmsg.MetadataRequest, all bool, refused map[string]wire.ErrorCode) {
	image := d.image()
	a := metadataAnswer{request: r, req: req, all: all, refused: refused}
	if a.large(image) && d.describesAll(r) {
		d.answerLarge(t, &a, image)
		return
	}
	resp := d.metadataHead(r, req)
	if all {
		image.Topics(func(topic *placement.Topic) bool {
			if d.allowed(r, opDescribe, onTopic, topic.Name) {
				resp.Topics = append(resp.Topics, d.metadataTopic(r, req, topic))
			}
			return true
		})
	} else {
		for i := range req.Topics {
			resp.Topics = append(resp.Topics, d.metadataNamed(r, req, image, &req.Topics[i], refused))
		}
	}
	d.answer(t, r, resp)
}

// metadataHead is an answer without topics.
func (d *Desk) metadataHead(r *conn.Request, req *kmsg.MetadataRequest) *kmsg.MetadataResponse {
	resp := kmsg.NewPtrMetadataResponse()
	cluster := d.image().Cluster()
	resp.ClusterID = &cluster
	resp.ControllerID = d.self()
	if req.IncludeClusterAuthorizedOperations {
		resp.AuthorizedOperations = d.operations(r, onCluster, "")
	}
	for e := range d.brokers(r) {
		b := kmsg.NewMetadataResponseBroker()
		b.NodeID, b.Host, b.Port = int32(e.ID), e.Host, e.Port
		if e.Rack != "" {
			b.Rack = &e.Rack
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	return resp
}

// metadataNamed answers one topic asked for by name or by id.
func (d *Desk) metadataNamed(r *conn.Request, req *kmsg.MetadataRequest, image *placement.Image, want *kmsg.MetadataRequestTopic, refused map[string]wire.ErrorCode) kmsg.MetadataResponseTopic {
	m := d.metadataOne(r, req, image, want, refused)
	if m.topic != nil {
		return d.metadataTopic(r, req, m.topic)
	}
	out := kmsg.NewMetadataResponseTopic()
	out.ErrorCode, out.Topic, out.TopicID = int16(m.code), m.name, m.id
	return out
}

// metadataOne finds one topic asked for by name or by id, or says why it is not shown.
func (d *Desk) metadataOne(r *conn.Request, req *kmsg.MetadataRequest, image *placement.Image, want *kmsg.MetadataRequestTopic, refused map[string]wire.ErrorCode) metadataTopic {
	id := model.TopicID(want.TopicID)
	out := metadataTopic{name: want.Topic, id: id, operations: noOperations}
	var topic *placement.Topic
	var code wire.ErrorCode
	switch {
	case want.Topic == nil && id.IsZero(), r.Version < 12 && (want.Topic == nil || !id.IsZero()):
		code = wire.CodeInvalidRequest
	case want.Topic == nil:
		topic, code = image.TopicByID(id), wire.CodeUnknownTopicID
	default:
		topic, code = image.TopicCalled(*want.Topic), wire.CodeUnknownTopicOrPartition
		if catalog.CheckName(*want.Topic) != nil {
			code = wire.CodeInvalidTopicException
		} else if c, ok := refused[*want.Topic]; ok {
			code = c
		}
	}
	if topic == nil {
		out.code = code
		d.count(code)
		return out
	}
	if !d.allowed(r, opDescribe, onTopic, topic.Name) {
		out.code = wire.CodeTopicAuthorizationFailed
		return out
	}
	out.name, out.id, out.topic = &topic.Name, topic.ID, topic
	if req.IncludeTopicAuthorizedOperations {
		out.operations = d.operations(r, onTopic, topic.Name)
	}
	return out
}

func (d *Desk) metadataTopic(r *conn.Request, req *kmsg.MetadataRequest, topic *placement.Topic) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &topic.Name, topic.ID, topic.Internal
	if req.IncludeTopicAuthorizedOperations {
		out.AuthorizedOperations = d.operations(r, onTopic, topic.Name)
	}
	naming := d.node.Naming
	d.stats.MetadataPartitions += uint64(topic.Partitions())
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, topic.Partitions())
	for i := range out.Partitions {
		p := topic.Partition(int32(i))
		o := &out.Partitions[i]
		*o = kmsg.NewMetadataResponseTopicPartition()
		o.Partition, o.Leader, o.LeaderEpoch = int32(i), int32(naming.Leader(p)), int32(p.LeaderEpoch)
		o.Replicas = make([]int32, len(p.Replicas))
		for j := range p.Replicas {
			o.Replicas[j] = int32(naming.Replica(p.Replicas[j]))
		}
		o.ISR = make([]int32, len(p.ISR))
		for j := range p.ISR {
			o.ISR[j] = int32(naming.Holder(p, p.ISR[j]))
		}
		if p.Leader == placement.NoLeader {
			o.ErrorCode = int16(wire.CodeLeaderNotAvailable)
		}
	}
	return out
}
