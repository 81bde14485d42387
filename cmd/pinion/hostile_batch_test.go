package main

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// Where a record batch keeps what the tests falsify (Kafka's format 2).
const (
	atBatchLength     = 8
	atBatchMagic      = 16
	atBatchCRC        = 17
	atBatchAttributes = 21
	atLastOffsetDelta = 23
	atBaseTimestamp   = 27
	atMaxTimestamp    = 35
	atProducerID      = 43
	atBaseSequence    = 53
	atRecordCount     = 57
)

// forged is a valid batch with bytes replaced at a place, under a checksum that fits.
func forged(at int, with ...byte) []byte {
	b := aBatch(3, 20)
	copy(b[at:], with)
	return sealed(b)
}

func sealed(b []byte) []byte {
	binary.BigEndian.PutUint32(b[atBatchCRC:], crc32.Checksum(b[atBatchAttributes:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// built is a batch of one record as the builder makes it after some changes.
func built(t *testing.T, change func(b *batch.Builder)) []byte {
	t.Helper()
	b := batch.NewBuilder()
	change(b)
	if b.Count() == 0 {
		b.Add(time.Now().UnixMilli(), []byte("k"), []byte("v"))
	}
	out, err := b.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Error codes, as Kafka numbers them.
const (
	okNone                = 0
	offsetOutOfRange      = 1
	corruptMessage        = 2
	unknownTopicPartition = 3
	messageTooLarge       = 10
	invalidTopic          = 17
	recordListTooLarge    = 18
	invalidRequiredAcks   = 21
	invalidTimestamp      = 32
	topicExists           = 36
	invalidPartitions     = 37
	invalidReplication    = 38
	invalidConfig         = 40
	invalidRequest        = 42
	policyViolation       = 44
	outOfOrderSequence    = 45
	transactionalIDDenied = 53
	sessionIDNotFound     = 70
	invalidSessionEpoch   = 71
	fencedLeaderEpoch     = 74
	unknownLeaderEpoch    = 75
	unsupportedCodec      = 76
	invalidRecord         = 87
	unknownTopicID        = 100
)

// TestForgedBatchesAreRefusedAndNotStored sends batches that are wrong in one way each. The codes are those of Kafka's
// ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords and LogValidator, with the differences disk/batch documents.
func TestForgedBatchesAreRefusedAndNotStored(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	v.topic("t", 2, "max.message.bytes=200000", "segment.bytes=1048576")
	v.topic("compacted", 1, "cleanup.policy=compact")
	v.topic("stamped", 1, "message.timestamp.type=LogAppendTime")
	bystander := startProbeTopic(v)
	future := time.Now().Add(3 * time.Hour).UnixMilli()
	zstd := built(t, func(b *batch.Builder) { b.Codec = codec.Zstd })
	cases := []struct {
		name    string
		topic   string
		version int16
		want    int16
		records []byte
	}{
		{"checksum", "t", 9, corruptMessage, func() []byte { b := aBatch(1, 9); b[len(b)-1] ^= 1; return b }()},
		{"magic 0", "t", 9, invalidRecord, forged(atBatchMagic, 0)},
		{"magic 1", "t", 9, invalidRecord, forged(atBatchMagic, 1)},
		{"magic 3", "t", 9, corruptMessage, forged(atBatchMagic, 3)},
		{"magic 255", "t", 9, corruptMessage, forged(atBatchMagic, 255)},
		{"length above what is there", "t", 9, invalidRecord, forged(atBatchLength, 0, 0, 1, 0)},
		{"length of 2^31-1", "t", 9, invalidRecord, forged(atBatchLength, 0x7f, 0xff, 0xff, 0xff)},
		{"negative length", "t", 9, corruptMessage, forged(atBatchLength, 0xff, 0xff, 0xff, 0xff)},
		{"length 0", "t", 9, corruptMessage, forged(atBatchLength, 0, 0, 0, 0)},
		{"base offset", "t", 9, invalidRecord, forged(0, 0, 0, 0, 0, 0, 0, 0, 9)},
		{"two batches", "t", 9, invalidRecord, append(aBatch(1, 9), aBatch(1, 9)...)},
		{"bytes behind", "t", 9, invalidRecord, append(aBatch(1, 9), 0)},
		{"half a header", "t", 9, invalidRecord, aBatch(1, 9)[:40]},
		{"empty", "t", 9, invalidRecord, []byte{}},
		{"null", "t", 9, invalidRecord, nil},
		{"no records", "t", 9, invalidRecord, forged(atRecordCount, 0, 0, 0, 0)},
		{"negative count", "t", 9, invalidRecord, forged(atRecordCount, 0xff, 0xff, 0xff, 0xff)},
		{"more counted than there", "t", 9, invalidRecord, sealed(append(forged(atRecordCount, 0, 0, 0, 9)[:0:0], forged(atRecordCount, 0, 0, 0, 9)...))},
		{"count and deltas of 2^31-1", "t", 9, invalidRecord, func() []byte {
			b := forged(atRecordCount, 0x7f, 0xff, 0xff, 0xff)
			copy(b[atLastOffsetDelta:], []byte{0x7f, 0xff, 0xff, 0xfe})
			return sealed(b)
		}()},
		{"last offset delta", "t", 9, invalidRecord, forged(atLastOffsetDelta, 0, 0, 0, 7)},
		{"negative last offset delta", "t", 9, invalidRecord, forged(atLastOffsetDelta, 0xff, 0xff, 0xff, 0xff)},
		{"control batch", "t", 9, invalidRecord, built(t, func(b *batch.Builder) { b.Control = true })},
		{"transactional batch", "t", 9, transactionalIDDenied, built(t, func(b *batch.Builder) { b.Transactional, b.ProducerID, b.ProducerEpoch, b.BaseSequence = true, 1, 0, 0 })},
		{"producer without sequence", "t", 9, invalidRecord, built(t, func(b *batch.Builder) { b.ProducerID, b.ProducerEpoch = 5, 0 })},
		{"unknown codec", "t", 9, unsupportedCodec, forged(atBatchAttributes, 0, 5)},
		{"claims gzip", "t", 9, invalidRecord, forged(atBatchAttributes, 0, 1)},
		{"claims zstd", "t", 9, invalidRecord, forged(atBatchAttributes, 0, 4)},
		{"zstd before version 7", "t", 6, unsupportedCodec, zstd},
		{"timestamp in the future", "t", 9, invalidTimestamp, built(t, func(b *batch.Builder) { b.Add(future, nil, []byte("v")) })},
		{"append time set by a client", "stamped", 9, invalidTimestamp, forged(atBatchAttributes, 0, 8)},
		{"base timestamp of -2^63", "t", 9, invalidTimestamp, forged(atBaseTimestamp, 0x80, 0, 0, 0, 0, 0, 0, 0)},
		{"base timestamp of 2^63-1", "t", 9, invalidTimestamp, forged(atBaseTimestamp, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"record length", "t", 9, invalidRecord, forged(batch.HeaderSize, 0x7f)},
		{"negative record length", "t", 9, invalidRecord, forged(batch.HeaderSize, 0x01)},
		{"key length", "t", 9, invalidRecord, forged(batch.HeaderSize+4, 0x7e)},
		{"too large", "t", 9, messageTooLarge, aBatch(1, 300_000)},
		{"bomb for the shard", "t", 9, messageTooLarge, bomb(t, codec.Gzip, 40<<20)},
		{"bomb for a helper", "t", 9, messageTooLarge, bomb(t, codec.Gzip, 150<<20)},
		{"bomb of zstd", "t", 9, messageTooLarge, bomb(t, codec.Zstd, 512<<20)},
		{"no key on a compacted topic", "compacted", 9, invalidRecord, built(t, func(b *batch.Builder) { b.Add(time.Now().UnixMilli(), nil, []byte("v")) })},
	}
	before := v.rss()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := v.dial()
			defer p.Close()
			req := produceRequest(c.topic, 0, c.records)
			req.SetVersion(c.version)
			resp, err := p.try(req)
			if err != nil {
				v.alive()
				t.Fatal(err)
			}
			part := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if part.ErrorCode != c.want {
				t.Errorf("error %d (%s), want %d", part.ErrorCode, text(part.ErrorMessage), c.want)
			}
			if part.ErrorCode != 0 && part.BaseOffset != -1 {
				t.Errorf("a refused batch has base offset %d", part.BaseOffset)
			}
			// The connection lives on, and so does the partition.
			if _, err := p.try(aRequest(3, 12, "t", [16]byte{})); err != nil {
				t.Errorf("the connection after it: %v", err)
			}
			// With acks=0 there is no answer, so the client learns of it by losing the connection.
			req.Acks = 0
			if err := p.send(encode(req, 99)); err != nil {
				t.Fatal(err)
			}
			p.closes("acks=0")
		})
	}
	for _, topic := range []string{"t", "compacted", "stamped"} {
		if end := v.end(topic, 0); end != 0 {
			t.Errorf("%s: %d records of refused batches are in the log", topic, end)
		}
	}
	if grown := v.rss() - before; grown > 96<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	p := v.dial()
	defer p.Close()
	if got := p.ask(produceRequest("t", 0, aBatch(3, 20))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; got.ErrorCode != 0 || got.BaseOffset != 0 {
		t.Errorf("a good batch after them: error %d, offset %d", got.ErrorCode, got.BaseOffset)
	}
	p99, worst, n := bystander.end()
	t.Logf("honest client meanwhile: p99 %s, worst %s of %d rounds", p99, worst, n)
}

// startProbeTopic makes the probe's topic and starts it.
func startProbeTopic(v *victim) *probe {
	v.topic("probe", probePartitions)
	return startProbe(v, "probe")
}

// bomb is a small batch that decompresses to n bytes: one record of zeros.
func bomb(t *testing.T, c codec.Codec, n int) []byte {
	return built(t, func(b *batch.Builder) {
		b.Codec = c
		b.Add(time.Now().UnixMilli(), []byte("k"), bytes.Repeat([]byte{0}, n))
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func TestProducersThatBreakTheirSequenceAreRefused(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	v.topic("t", 1)
	p := v.dial()
	defer p.Close()
	numbered := func(id int64, epoch int16, sequence int32) []byte {
		return built(t, func(b *batch.Builder) { b.ProducerID, b.ProducerEpoch, b.BaseSequence = id, epoch, sequence })
	}
	steps := []struct {
		name    string
		want    int16
		offset  int64
		records []byte
	}{
		{"first", okNone, 0, numbered(7, 1, 0)},
		{"again", okNone, 0, numbered(7, 1, 0)},
		{"gap", outOfOrderSequence, -1, numbered(7, 1, 9)},
		{"next", okNone, 1, numbered(7, 1, 1)},
		{"old epoch", 47, -1, numbered(7, 0, 2)},
		{"new epoch from the middle", outOfOrderSequence, -1, numbered(7, 2, 2)},
		{"new epoch", okNone, 2, numbered(7, 2, 0)},
		{"largest id and sequence", okNone, 3, numbered(1<<63-1, 1<<15-1, 1<<31-1)},
		{"sequence wraps", okNone, 4, numbered(1<<63-1, 1<<15-1, 0)},
	}
	for _, s := range steps {
		got := p.ask(produceRequest("t", 0, s.records)).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if got.ErrorCode != s.want || got.BaseOffset != s.offset {
			t.Errorf("%s: error %d at %d, want %d at %d", s.name, got.ErrorCode, got.BaseOffset, s.want, s.offset)
		}
	}
	if end := v.end("t", 0); end != 5 {
		t.Errorf("log end is %d, want 5", end)
	}
}
