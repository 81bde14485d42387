package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// CreatePartitions (key 37) grows topics, each on its own, to a new number of partitions; there is no way back. The new partitions may
// be placed by hand. With validateOnly nothing is created. What is answered for can be written at once. Versions 2 (flexible) and 3
// (KIP-599: it may be throttled) change nothing else.

func (d *Desk) createPartitions(t *shard.Turn, r *conn.Request, req *kmsg.CreatePartitionsRequest) {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(req.Topics))
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
	for i := range req.Topics {
		in, out := &req.Topics[i], &resp.Topics[i]
		*out = kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = in.Topic
		if !d.allowed(r, opAlter, onTopic, in.Topic) {
			out.ErrorCode = int16(wire.CodeTopicAuthorizationFailed)
			d.count(wire.CodeTopicAuthorizationFailed)
			continue
		}
		assignment, refusal := d.growth(in)
		if seen[in.Topic] > 1 {
			refusal = &catalog.Error{Code: catalog.InvalidRequest, Message: "Duplicate topic name."}
		}
		if refusal == nil && !req.ValidateOnly {
			refusal = d.mutate(t, r, int64(in.Count-d.image().TopicCalled(in.Topic).Partitions()), 3)
		}
		if refusal != nil || req.ValidateOnly {
			d.refuseGrowth(out, refusal)
			continue
		}
		left++
		asked := d.propose(catalog.CreatePartitions(in.Topic, in.Count, assignment), func(t *shard.Turn, res catalog.Result) {
			d.refuseGrowth(out, res.Err)
			home(t)
		})
		if !asked {
			d.refuseGrowth(out, controllerBusy)
			left--
		}
	}
	home(t)
}

// controllerBusy is for what the controller's queue does not take.
var controllerBusy = &catalog.Error{Code: catalog.NotLeader, Message: "the controller is busy; try again"}

// growth checks one topic of the request against the newest image; the controller asks the same questions again.
func (d *Desk) growth(in *kmsg.CreatePartitionsRequestTopic) (catalog.Assignment, *catalog.Error) {
	var assignment catalog.Assignment
	if topic := d.image().TopicCalled(in.Topic); topic != nil && topic.Internal {
		// A group would be looked for in another partition than the one that has it.
		return nil, &catalog.Error{Code: catalog.InvalidPartitions, Message: "the number of partitions of an internal topic says where its keys are; it cannot be changed"}
	}
	for _, a := range in.Assignment {
		replicas, err := d.placed(a.Replicas)
		if err != nil {
			return nil, err
		}
		assignment = append(assignment, replicas)
	}
	if err := catalog.CheckGrow(d.image(), in.Topic, in.Count, assignment); err != nil {
		return nil, err
	}
	if in.Assignment != nil && len(in.Assignment) == 0 {
		// The catalogue takes none for "choose"; Kafka does so only where the list is null.
		return nil, &catalog.Error{Code: catalog.InvalidAssignment, Message: "an assignment was given, and it has no partitions"}
	}
	return assignment, nil
}

func (d *Desk) refuseGrowth(out *kmsg.CreatePartitionsResponseTopic, refusal *catalog.Error) {
	code, message := catalogError(refusal)
	out.ErrorCode = int16(code)
	if refusal != nil {
		out.ErrorMessage = &message
	}
	d.count(code)
}
