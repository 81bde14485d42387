package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DeleteTopics (key 20) deletes topics by name or, from version 6, by id. With delete.topic.enable=false it answers
// TOPIC_DELETION_DISABLED, which versions below 3 do not know. Version 5 adds messages.

func (d *Desk) deleteTopics(t *shard.Turn, r *conn.Request, req *kmsg.DeleteTopicsRequest) {
	wants := req.Topics
	if r.Version < 6 {
		for i := range req.TopicNames {
			want := kmsg.NewDeleteTopicsRequestTopic()
			want.Topic = &req.TopicNames[i]
			wants = append(wants, want)
		}
	}
	resp := kmsg.NewPtrDeleteTopicsResponse()
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(wants))
	left := 1
	home := func(t *shard.Turn) {
		if left--; left == 0 {
			d.answer(t, r, resp)
		}
	}
	twice := deletedTwice(d.image(), wants)
	r.FreeBody(t)
	for i := range wants {
		out := &resp.Topics[i]
		*out = kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = wants[i].Topic, wants[i].TopicID
		id := model.TopicID(wants[i].TopicID)
		if code := d.deleteRefusal(r, wants[i].Topic, id); code != wire.CodeNone {
			out.ErrorCode = int16(code)
			if code == wire.CodeInvalidRequest {
				message := "a topic is deleted by its name or by its id"
				out.ErrorMessage = &message
			}
			d.count(code)
			continue
		}
		name := ""
		if wants[i].Topic != nil {
			name = *wants[i].Topic
		}
		if twice[i] {
			message := "the request names the topic more than once"
			out.ErrorCode, out.ErrorMessage = int16(wire.CodeInvalidRequest), &message
			d.count(wire.CodeInvalidRequest)
			continue
		}
		if refusal := d.mutate(t, r, partitionsLost(d.image(), name, id), 5); refusal != nil {
			out.ErrorCode, out.ErrorMessage = d.refusedConfig(refusalOf(refusal))
			continue
		}
		left++
		asked := d.propose(catalog.DeleteTopic(name, id), func(t *shard.Turn, res catalog.Result) {
			code, message := catalogError(res.Err)
			out.ErrorCode = int16(code)
			d.count(code)
			if res.Err != nil {
				out.ErrorMessage = &message
			} else {
				out.Topic, out.TopicID = &res.Topic.Name, res.Topic.ID
			}
			home(t)
		})
		if !asked {
			out.ErrorCode = int16(wire.CodeNotController)
			left--
		}
	}
	home(t)
}

// partitionsLost is how many partitions go with a topic, 0 if it is not there.
func partitionsLost(image *placement.Image, name string, id model.TopicID) int64 {
	topic := image.TopicByID(id)
	if name != "" {
		topic = image.TopicCalled(name)
	}
	if topic == nil {
		return 0
	}
	return int64(topic.Partitions())
}

// deletedTwice tells which topics of a request are named more than once, be it by name, by id or by both.
func deletedTwice(image *placement.Image, wants []kmsg.DeleteTopicsRequestTopic) []bool {
	type key struct {
		name string
		id   model.TopicID // of a topic that is not there
	}
	keys, times := make([]key, len(wants)), make(map[key]int)
	for i := range wants {
		id := model.TopicID(wants[i].TopicID)
		switch topic := image.TopicByID(id); {
		case wants[i].Topic != nil:
			keys[i].name = *wants[i].Topic
		case topic != nil:
			keys[i].name = topic.Name
		default:
			keys[i].id = id
		}
		times[keys[i]]++
	}
	twice := make([]bool, len(wants))
	for i := range keys {
		twice[i] = times[keys[i]] > 1
	}
	return twice
}

// deleteRefusal is the code for a deletion that is not even proposed.
func (d *Desk) deleteRefusal(r *conn.Request, name *string, id model.TopicID) wire.ErrorCode {
	switch {
	case !d.node.Broker.Now().DeleteTopics && r.Version < 3:
		return wire.CodeInvalidRequest
	case !d.node.Broker.Now().DeleteTopics:
		return wire.CodeTopicDeletionDisabled
	case name == nil && id.IsZero(), name != nil && !id.IsZero():
		return wire.CodeInvalidRequest
	case !d.allowed(r, opDelete, onTopic, ""):
		return wire.CodeTopicAuthorizationFailed
	}
	return wire.CodeNone
}
