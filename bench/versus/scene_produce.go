package versus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// Where a record batch keeps what the script falsifies (format 2).
const (
	atLength          = 8
	atMagic           = 16
	atChecksum        = 17
	atAttributes      = 21
	atLastOffsetDelta = 23
	atMaxTimestamp    = 35
	atProducerEpoch   = 51
	atRecordCount     = 57
)

// forged is a batch with bytes replaced, under a checksum that fits.
func forged(b []byte, at int, with ...byte) []byte {
	b = append([]byte{}, b...)
	copy(b[at:], with)
	binary.BigEndian.PutUint32(b[atChecksum:], crc32.Checksum(b[atAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// sendTo is a Produce request for one topic, named as the version wants it.
func sendTo(version, acks int16, topic string, partitions ...kmsg.ProduceRequestTopicPartition) maker {
	return func(p *party) kmsg.Request {
		t := intoTopic(topic, partitions...)
		t.TopicID = p.id(topic)
		return versioned(produce(acks, t), version)
	}
}

func sceneProduce(s *script, v int16) {
	if v < 3 {
		s.do("before record batches", func(*party) kmsg.Request { return versioned(produce(1), v) })
		return
	}
	name := fmt.Sprintf("produce-%d", v)
	s.topic(name, 3)
	good := s.batch(3)
	for c := codec.None; c <= codec.Zstd; c++ {
		b := s.batch(20, func(b *batch.Builder) { b.Codec = c })
		s.do(fmt.Sprintf("codec %d, acks 1", c), sendTo(v, 1, name, intoPartition(0, b)))
		s.do(fmt.Sprintf("codec %d, acks all", c), sendTo(v, -1, name, intoPartition(1, b)))
	}
	s.tell("acks 0", sendTo(v, 0, name, intoPartition(0, good)))
	s.tell("acks 0, bad partition", sendTo(v, 0, name, intoPartition(99, good)))
	s.do("acks 2", sendTo(v, 2, name, intoPartition(0, good)))
	s.do("acks -2", sendTo(v, -2, name, intoPartition(0, good)))
	s.do("several partitions", sendTo(v, -1, name, intoPartition(2, good), intoPartition(0, good), intoPartition(1, good)))
	s.do("bad partitions among good", sendTo(v, -1, name, intoPartition(-1, good), intoPartition(0, good), intoPartition(3, good)))
	s.do("unknown topic", sendTo(v, -1, name+"-missing", intoPartition(0, good)))
	s.do("illegal topic name", sendTo(v, -1, "not/legal", intoPartition(0, good)))
	s.do("no partitions", sendTo(v, -1, name))
	s.do("no topics", func(*party) kmsg.Request { return versioned(produce(-1), v) })
	if v >= 13 {
		s.do("unknown topic id", func(*party) kmsg.Request {
			t := intoTopic("", intoPartition(0, good))
			t.TopicID = [16]byte{1, 2, 3}
			return versioned(produce(-1, t), v)
		})
	}
	// What one side takes and the other does not goes into a topic of its own, so that offsets stay the same.
	odd := name + "-odd"
	s.topic(odd, 1)
	s.do("transactional id", func(p *party) kmsg.Request {
		req := sendTo(v, -1, odd, intoPartition(0, good))(p).(*kmsg.ProduceRequest)
		req.TransactionID = kmsg.StringPtr("a transaction")
		return req
	})
	s.do("bytes behind", sendTo(v, -1, odd, intoPartition(0, append(append([]byte{}, good...), 0))))
	if v == 9 {
		s.doBriefly("null records", sendTo(v, -1, odd, intoPartition(0, nil)))
	}
	produceForged(s, v, name)
	produceSequences(s, v, name)
	produceConfigured(s, v, name)
	s.ask("everything that was kept", fetchAll(12, name, 0, 1, 2))
}

// produceForged sends batches that are wrong in one way each.
func produceForged(s *script, v int16, topic string) {
	good := s.batch(3)
	now := time.Now().UnixMilli()
	send := func(step string, b []byte) { s.do(step, sendTo(v, -1, topic, intoPartition(0, b))) }
	wrong := append([]byte{}, good...)
	wrong[len(wrong)-1] ^= 1
	send("wrong checksum", wrong)
	send("no records", []byte{})
	send("half a header", good[:40])
	send("half a batch", good[:len(good)-5])
	send("two batches", append(append([]byte{}, good...), good...))
	send("magic 0", forged(good, atMagic, 0))
	send("magic 1", forged(good, atMagic, 1))
	send("magic 3", forged(good, atMagic, 3))
	send("length too large", forged(good, atLength, 0, 0, 1, 0))
	send("length 0", forged(good, atLength, 0, 0, 0, 0))
	send("negative length", forged(good, atLength, 0xff, 0xff, 0xff, 0xff))
	send("base offset 9", forged(good, 7, 9))
	send("count 0", forged(good, atRecordCount, 0, 0, 0, 0))
	send("count -1", forged(good, atRecordCount, 0xff, 0xff, 0xff, 0xff))
	send("count 2 of 3", forged(good, atRecordCount, 0, 0, 0, 2))
	send("count 4 of 3", forged(good, atRecordCount, 0, 0, 0, 4))
	send("last offset delta 5", forged(good, atLastOffsetDelta, 0, 0, 0, 5))
	send("last offset delta -1", forged(good, atLastOffsetDelta, 0xff, 0xff, 0xff, 0xff))
	send("control batch", forged(good, atAttributes, 0, 0x20))
	send("transactional batch", forged(good, atAttributes, 0, 0x10))
	send("append time attribute", forged(good, atAttributes, 0, 0x08))
	send("codec 5", forged(good, atAttributes, 0, 5))
	send("codec 7", forged(good, atAttributes, 0, 7))
	send("gzip that is not", forged(good, atAttributes, 0, 1))
	send("unused attributes", forged(good, atAttributes, 0x80, 0))
	send("max timestamp too small", forged(good, atMaxTimestamp, 0, 0, 0, 0, 0, 0, 0, 1))
	send("timestamp in the future", s.built(func(b *batch.Builder) {
		b.Add(now, nil, []byte("now"))
		b.Add(now+2*3600_000, nil, []byte("in two hours"))
	}))
	send("no timestamp", s.built(func(b *batch.Builder) { b.Add(-1, nil, []byte("v")) }))
	send("negative timestamp", s.built(func(b *batch.Builder) { b.Add(-5, nil, []byte("v")) }))
	send("offset deltas with a gap", s.built(func(b *batch.Builder) {
		b.AddAt(0, s.base, nil, []byte("v"))
		b.AddAt(2, s.base, nil, []byte("v"))
	}))
	for c := codec.Gzip; c <= codec.Zstd; c++ {
		send(fmt.Sprintf("offset deltas with a gap, codec %d", c), s.built(func(b *batch.Builder) {
			b.Codec = c
			b.AddAt(0, s.base, nil, []byte("v"))
			b.AddAt(2, s.base, nil, []byte("v"))
		}))
	}
	send("null key, null value, no headers", s.built(func(b *batch.Builder) { b.Add(s.base, nil, nil) }))
	send("empty key, empty value", s.built(func(b *batch.Builder) { b.Add(s.base, []byte{}, []byte{}) }))
	send("producer id without epoch", s.built(func(b *batch.Builder) {
		b.ProducerID = 5
		b.Add(s.base, nil, []byte("v"))
	}))
	send("too large", s.built(func(b *batch.Builder) { b.Add(s.base, nil, make([]byte, 1<<20)) }))
}

// built is a batch as the builder makes it after some calls.
func (s *script) built(change func(b *batch.Builder)) []byte {
	b := batch.NewBuilder()
	change(b)
	return b.Bytes()
}

// produceSequences is an idempotent producer, and what it may do wrong.
func produceSequences(s *script, v int16, topic string) {
	s.producer(topic)
	send := func(step, producer string, partition int32, epoch int16, sequence int32, n int) {
		s.do(step, func(p *party) kmsg.Request {
			return sendTo(v, -1, topic, intoPartition(partition, s.batch(n, ofProducer(p.kept[producer], epoch, sequence))))(p)
		})
	}
	send("first batch", topic, 1, 0, 0, 3)
	send("second batch", topic, 1, 0, 3, 2)
	send("second batch again", topic, 1, 0, 3, 2)
	send("first batch again", topic, 1, 0, 0, 3)
	send("a part of the second batch", topic, 1, 0, 4, 1)
	send("over two batches", topic, 1, 0, 2, 2)
	send("a gap", topic, 1, 0, 7, 1)
	for i := range int32(6) {
		send(fmt.Sprintf("batch %d", i+3), topic, 1, 0, 5+i, 1)
	}
	send("a batch beyond the window again", topic, 1, 0, 0, 3)
	send("the oldest in the window again", topic, 1, 0, 6, 1)
	send("negative sequence", topic, 1, 0, -1, 1)
	send("sequence -5", topic, 1, 0, -5, 1)
	send("negative epoch", topic, 1, -2, 11, 1)
	send("next epoch, wrong sequence", topic, 1, 1, 11, 1)
	send("next epoch", topic, 1, 1, 0, 1)
	send("old epoch", topic, 1, 0, 11, 1)
	s.producer(topic + " late")
	send("unknown producer in the middle", topic+" late", 2, 3, math.MaxInt32-1, 2)
	send("around the largest sequence", topic+" late", 2, 3, 0, 2)
	send("from the largest sequence", topic+" late", 2, 3, 2, 1)
	s.producer(topic + " wrap")
	send("a batch over the largest sequence", topic+" wrap", 2, 0, math.MaxInt32-1, 4)
	send("behind it", topic+" wrap", 2, 0, 2, 1)
	send("a batch over the largest sequence again", topic+" wrap", 2, 0, math.MaxInt32-1, 4)
}

// produceConfigured is what a topic's own settings do to what is sent.
func produceConfigured(s *script, v int16, name string) {
	topic := name + "-append"
	s.topic(topic, 1, "message.timestamp.type", "LogAppendTime")
	for c := codec.None; c <= codec.Zstd; c++ {
		s.do(fmt.Sprintf("append time, codec %d", c), sendTo(v, -1, topic, intoPartition(0, s.batch(4, func(b *batch.Builder) { b.Codec = c }))))
	}
	s.ask("append times kept", fetchAll(12, topic, 0))
	topic = name + "-compacted"
	s.topic(topic, 1, "cleanup.policy", "compact")
	s.do("compacted, keys", sendTo(v, -1, topic, intoPartition(0, s.batch(2))))
	s.do("compacted, no keys", sendTo(v, -1, topic, intoPartition(0, s.built(func(b *batch.Builder) {
		b.Add(s.base, []byte("k"), []byte("v"))
		b.Add(s.base, nil, []byte("v"))
		b.Add(s.base, nil, []byte("v"))
	}))))
	s.do("compacted, no keys, zstd", sendTo(v, -1, topic, intoPartition(0, s.built(func(b *batch.Builder) {
		b.Codec = codec.Zstd
		b.Add(s.base, nil, []byte("v"))
	}))))
	topic = name + "-small"
	s.topic(topic, 1, "max.message.bytes", "500")
	s.do("above max.message.bytes", sendTo(v, -1, topic, intoPartition(0, s.batch(20))))
	s.do("below max.message.bytes", sendTo(v, -1, topic, intoPartition(0, s.batch(1))))
	topic = name + "-old"
	s.topic(topic, 1, "message.timestamp.before.max.ms", "1000")
	s.do("before the earliest timestamp", sendTo(v, -1, topic, intoPartition(0, s.batch(3))))
	for _, kind := range []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"} {
		topic = name + "-" + kind
		s.topic(topic, 1, "compression.type", kind)
		for c := codec.None; c <= codec.Zstd; c++ {
			s.do(fmt.Sprintf("codec %d into %s", c, kind), sendTo(v, -1, topic, intoPartition(0, s.batch(50, func(b *batch.Builder) { b.Codec = c }))))
		}
		s.ask("kept as "+kind, fetchAll(12, topic, 0))
	}
}
