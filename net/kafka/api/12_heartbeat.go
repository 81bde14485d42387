package api

import (
	"bytes"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/coordinator"
	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// Heartbeat (key 12) keeps a member in its group, and tells it by REBALANCE_IN_PROGRESS that it has to join again. Version 3 brought static members.
// While the coordinator reads what it knows, every heartbeat is good, as in Kafka: the sessions begin only then.

// beat is the last heartbeat of a connection, to be used again: a client says the same every few seconds for as long as a generation lasts, and
// what is the same to the byte is neither decoded nor made anew. One that is on its way is left alone; the next is another then.
type beat struct {
	coordinator.Ask
	desk    *Desk
	said    group.Heartbeat
	version int16
	body    []byte // as the client sent it; nil: too long to be kept
	request *conn.Request
	away    bool // from when it is asked until its answer has left
	size    int
	answer  [wire.HeartbeatRoom]byte
}

// heartbeatAgain serves a heartbeat that is the connection's last one again, and reports whether it is.
func (d *Desk) heartbeatAgain(t *shard.Turn, r *conn.Request) bool {
	b := r.Conn().Attachment().(*client).beat
	if b == nil || b.away || b.version != r.Version || !bytes.Equal(b.body, r.Body) {
		return false
	}
	b.ask(t, r)
	return true
}

func (d *Desk) heartbeat(t *shard.Turn, r *conn.Request, req *kmsg.HeartbeatRequest) {
	b := &beat{desk: d, version: r.Version}
	b.said = group.Heartbeat{Common: group.Common{Group: req.Group}, Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation}
	c := r.Conn().Attachment().(*client)
	if c.beat = nil; len(r.Body) <= beatBytesMax {
		c.beat, b.body = b, kept(r.Body)
	}
	b.ask(t, r)
}

// beatBytesMax bounds what a connection keeps: names of some hundred bytes, where the protocol has room for 32 KiB each.
const beatBytesMax = 1 << 10

// ask sends the heartbeat to its group's coordinator.
func (b *beat) ask(t *shard.Turn, r *conn.Request) {
	d := b.desk
	b.request, b.away = r, true
	b.said.Common = group.Common{Group: b.said.Group}
	r.Calm()
	r.FreeBody(t)
	topic := d.image().TopicCalled(coordinator.Topic)
	if topic == nil {
		b.end(t, group.NotCoordinator)
		return
	}
	index := coordinator.Place(b.said.Group, topic.Partitions())
	owner, ours := d.seatOf(r, topic, index)
	if !ours {
		b.end(t, group.NotCoordinator)
		return
	}
	b.Ask = coordinator.Ask{Home: t.Shard(), To: d.node.Coordinators[owner], Caller: b, Partition: model.Partition{Topic: topic.ID, Index: index}, Request: &b.said}
	r.Conn().Asking(t, owner)
	t.Ask(owner, &b.Ask)
}

// Answered takes the answer home.
func (b *beat) Answered(t *shard.Turn, _ *coordinator.Ask) {
	code := b.Code
	if code == group.OK {
		code = group.CodeOf(&b.said)
	}
	b.end(t, code)
}

func (b *beat) end(t *shard.Turn, code group.Code) {
	if code == group.Loading {
		code = group.OK
	}
	d, r := b.desk, b.request
	b.request = nil
	wait := milliseconds(max(d.spendTime(t, r), r.Held()))
	b.size = len(wire.AppendHeartbeat(b.answer[:0], b.version, r.Correlation, wait, d.groupError(code)))
	r.Done(t, b)
}

// Emit queues the bytes as they are.
func (b *beat) Emit(_ *shard.Turn, w *conn.Writer) { w.Lend(b.answer[:b.size]) }

// Sent lets the beat be used again.
func (b *beat) Sent(*shard.Turn) { b.away = false }

// Drop is Sent for an answer that never leaves.
func (b *beat) Drop(*shard.Turn) { b.away = false }
