package api

import (
	"pinion/engine/coordinator"
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// groupErrors maps what a group answers.
var groupErrors = [...]wire.ErrorCode{
	group.OK:                   wire.CodeNone,
	group.NotCoordinator:       wire.CodeNotCoordinator,
	group.Loading:              wire.CodeCoordinatorLoadInProgress,
	group.NotAvailable:         wire.CodeCoordinatorNotAvailable,
	group.InvalidGroup:         wire.CodeInvalidGroupID,
	group.InvalidSession:       wire.CodeInvalidSessionTimeout,
	group.UnknownMember:        wire.CodeUnknownMemberID,
	group.MemberRequired:       wire.CodeMemberIDRequired,
	group.FencedInstance:       wire.CodeFencedInstanceID,
	group.IllegalGeneration:    wire.CodeIllegalGeneration,
	group.InconsistentProtocol: wire.CodeInconsistentGroupProtocol,
	group.Rebalancing:          wire.CodeRebalanceInProgress,
	group.SizeReached:          wire.CodeGroupMaxSizeReached,
	group.NotFound:             wire.CodeGroupIDNotFound,
	group.NonEmpty:             wire.CodeNonEmptyGroup,
	group.Subscribed:           wire.CodeGroupSubscribedToTopic,
	group.MetadataTooLarge:     wire.CodeOffsetMetadataTooLarge,
	group.Failed:               wire.CodeUnknownServerError,
}

// groupCall is one question to a coordinator. The answer may be minutes away, so nobody polls for it.
type groupCall struct {
	coordinator.Ask
	done func(t *shard.Turn, code group.Code)
}

// Answered takes the answer home.
func (c *groupCall) Answered(t *shard.Turn, _ *coordinator.Ask) {
	code := c.Code
	if code == group.OK {
		code = c.outcome()
	}
	c.done(t, code)
}

func (c *groupCall) outcome() group.Code { return group.CodeOf(c.Request) }

// coordinate sends a request to the coordinator of a group; done is told the outcome, here and now if there is nobody to ask.
func (d *Desk) coordinate(t *shard.Turn, r *conn.Request, id string, req group.Request, done func(t *shard.Turn, code group.Code)) {
	topic := d.image().TopicCalled(coordinator.Topic)
	if topic == nil {
		done(t, group.NotCoordinator)
		return
	}
	d.coordinateAt(t, r, topic, coordinator.Place(id, topic.Partitions()), req, done)
}

// coordinateAt is coordinate for the groups of one partition.
func (d *Desk) coordinateAt(t *shard.Turn, r *conn.Request, topic *placement.Topic, index int32, req group.Request, done func(t *shard.Turn, code group.Code)) {
	owner, ours := d.seatOf(r, topic, index)
	if !ours {
		done(t, group.NotCoordinator)
		return
	}
	call := &groupCall{done: done}
	call.Ask = coordinator.Ask{Home: t.Shard(), To: d.node.Coordinators[owner], Caller: call, Partition: model.Partition{Topic: topic.ID, Index: index}, Request: req}
	t.Ask(owner, &call.Ask)
}

// seatOf is the shard that looks after the groups of one partition, and whether a request that came here may ask it.
func (d *Desk) seatOf(r *conn.Request, topic *placement.Topic, index int32) (model.ShardID, bool) {
	place := topic.Partition(index)
	if place == nil || place.Leader != d.node.ID {
		return model.NoShard, false
	}
	owner := place.ShardOn(d.node.ID)
	return owner, owner >= 0 && int(owner) < len(d.node.Coordinators) && !d.elsewhere(r, owner)
}

// groupError is the code a client is told, counted.
func (d *Desk) groupError(code group.Code) int16 {
	c := groupErrors[code]
	d.count(c)
	return int16(c)
}

// kept copies bytes of a request that outlive its body.
func kept(b []byte) []byte { return append([]byte{}, b...) }

// clientHost is the client's address as Kafka writes it into groups.
func clientHost(r *conn.Request) string { return "/" + r.Conn().Peer().Addr().Unmap().String() }
