package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/model"
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
	names, ids := make(map[string]int), make(map[model.TopicID]int)
	for i := range wants {
		if wants[i].Topic != nil {
			names[*wants[i].Topic]++
		} else {
			ids[wants[i].TopicID]++
		}
	}
	r.FreeBody(t)
	for i := range wants {
		out := &resp.Topics[i]
		*out = kmsg.NewDeleteTopicsResponseTopic()
		out.Topic, out.TopicID = wants[i].Topic, wants[i].TopicID
		id := model.TopicID(wants[i].TopicID)
		if code := d.deleteRefusal(r, wants[i].Topic, id); code != wire.CodeNone {
			out.ErrorCode = int16(code)
			d.count(code)
			continue
		}
		name := ""
		if wants[i].Topic != nil {
			name = *wants[i].Topic
		}
		if names[name] > 1 || ids[id] > 1 {
			message := "the request names the topic more than once"
			out.ErrorCode, out.ErrorMessage = int16(wire.CodeInvalidRequest), &message
			d.count(wire.CodeInvalidRequest)
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
