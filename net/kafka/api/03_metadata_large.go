package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/valyala/bytebufferpool"

	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// metadataAnswer is a Metadata request on its way to an answer.
type metadataAnswer struct {
	request *conn.Request
	req     *kmsg.MetadataRequest
	all     bool
	refused map[string]wire.ErrorCode
}

// large reports whether the answer has more partitions than a shard encodes itself.
func (a *metadataAnswer) large(image *placement.Image) bool {
	if a.all {
		return image.PartitionCount() > inlinePartitionsMax
	}
	sum := 0
	for i := range a.req.Topics {
		if topic := metadataWanted(image, &a.req.Topics[i]); topic != nil {
			sum += int(topic.Partitions())
		}
	}
	return sum > inlinePartitionsMax
}

func metadataWanted(image *placement.Image, want *kmsg.MetadataRequestTopic) *placement.Topic {
	if want.Topic != nil {
		return image.TopicCalled(*want.Topic)
	}
	return image.TopicByID(want.TopicID)
}

// answerLarge answers from a sheet, once there is one.
func (d *Desk) answerLarge(t *shard.Turn, a *metadataAnswer, image *placement.Image) {
	r := a.request
	r.FreeBody(t)
	form := sheetForm{version: r.Version, naming: d.node.Naming, operations: noOperations}
	if a.req.IncludeTopicAuthorizedOperations {
		form.operations = d.operations(r, onTopic, "")
	}
	if s := d.node.press.find(form, image.Revision()); s != nil {
		d.sendLarge(t, a, s)
		return
	}
	ask := &sheetAsk{press: d.node.press, home: t.Shard(), form: form, image: image}
	ask.done = func(t *shard.Turn, s *sheet) { d.sendLarge(t, a, s) }
	t.Ask(d.node.press.home, ask)
}

// sendLarge puts the answer together: what is the client's own in a buffer, the topics from the sheet.
func (d *Desk) sendLarge(t *shard.Turn, a *metadataAnswer, s *sheet) {
	r := a.request
	resp := d.metadataHead(r, a.req)
	resp.SetVersion(r.Version)
	out := &sheetReply{buffer: bytebufferpool.Get()}
	b := wire.AppendResponseHeader(out.buffer.B, wire.Lookup(r.Key), r.Version, r.Correlation)
	b = resp.AppendTo(b)
	// What kmsg wrote ends with an empty array of topics and what follows it.
	tail := append([]byte(nil), b[len(b)-metadataTailBytes(r.Version):]...)
	b = b[:len(b)-len(tail)-len(appendMetadataCount(nil, r.Version, 0))]
	if a.all {
		b = appendMetadataCount(b, r.Version, s.count)
		out.cut(b, s.bytes)
	} else {
		b = appendMetadataCount(b, r.Version, len(a.req.Topics))
		for i := range a.req.Topics {
			m := d.metadataOne(r, a.req, s.image, &a.req.Topics[i], a.refused)
			if at, ok := s.place(m.topic); ok && m.operations == s.form.operations {
				out.cut(b, s.bytes[at.from:at.to])
				continue
			}
			b = appendMetadataTopic(b, r.Version, d.node.Naming, &m)
			d.stats.MetadataPartitions += partitionsOf(m.topic)
		}
	}
	b = append(b, tail...)
	out.buffer.B = b
	var lent int
	for i := range out.lent {
		lent += len(out.lent[i].bytes)
	}
	wire.FinishFrame(b, 0, int64(lent))
	r.Owe(cap(b) + lent)
	r.Done(t, out)
}

// metadataTailBytes is what follows the topics: the client's operations on the cluster, tags, an error.
func metadataTailBytes(version int16) int {
	n := 0
	if version >= 8 && version <= 10 {
		n += 4
	}
	if version >= metadataFlexible {
		n++
	}
	if version >= 13 {
		n += 2
	}
	return n
}

func partitionsOf(topic *placement.Topic) uint64 {
	if topic == nil {
		return 0
	}
	return uint64(topic.Partitions())
}

// sheetReply is an answer of bytes of its own and runs of a sheet between them.
type sheetReply struct {
	buffer *bytebufferpool.ByteBuffer
	lent   []sheetRun
}

// sheetRun goes into the answer behind so many of its own bytes.
type sheetRun struct {
	after int
	bytes []byte
}

// cut lets a run follow what the buffer holds so far.
func (c *sheetReply) cut(b, run []byte) { c.lent = append(c.lent, sheetRun{len(b), run}) }

// Emit queues own bytes and runs by turns.
func (c *sheetReply) Emit(_ *shard.Turn, w *conn.Writer) {
	from := 0
	for _, run := range c.lent {
		if run.after > from {
			w.Lend(c.buffer.B[from:run.after])
			from = run.after
		}
		w.Lend(run.bytes)
	}
	if from < len(c.buffer.B) {
		w.Lend(c.buffer.B[from:])
	}
}

// Sent returns the buffer to its pool; the sheet is the collector's.
func (c *sheetReply) Sent(*shard.Turn) { bytebufferpool.Put(c.buffer) }

// Drop returns the buffer to its pool.
func (c *sheetReply) Drop(*shard.Turn) { bytebufferpool.Put(c.buffer) }
