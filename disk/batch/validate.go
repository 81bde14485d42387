package batch

import (
	"pinion/disk/codec"
)

// Limits is what the topic and the moment ask of a batch.
type Limits struct {
	MaxBatchBytes      int   // max.message.bytes, of the whole batch as it came
	OutputMax          int   // most bytes the payload may decompress to; Kafka has no such limit
	KeyRequired        bool  // cleanup.policy has compact
	CreateTime         bool  // message.timestamp.type=CreateTime; false is LogAppendTime
	TimestampBeforeMax int64 // message.timestamp.before.max.ms; not looked at without CreateTime
	TimestampAfterMax  int64 // message.timestamp.after.max.ms; the same
	NowMs              int64 // milliseconds since the Unix epoch
}

// Verdict is what Validate found.
type Verdict struct {
	Fault  Fault
	Record int32 // index of the first record at fault; -1 when the fault is not that of records
	Header Header
	// MaxTimestamp is the largest timestamp of the records (at least -1), or Limits.NowMs without CreateTime. In milliseconds. Only when
	// the batch is valid, as everything below. Kafka 4.3 indexes it at Header.LastOffset, whichever record carries it.
	MaxTimestamp int64
	// Restamp: timestamp type or maximum timestamp in the header are not what the topic and the records say. Kafka then writes
	// the right ones without a word; so call StampMaxTimestamp (CreateTime) or StampAppendTime, with MaxTimestamp, before the
	// batch is stored.
	Restamp bool
	// Rewrite: the offset deltas of the records are not 0, 1, 2, ... Such a batch must not be stored as it is: mend it with Recoder.Append or
	// refuse it. Kafka 4.3.1 does neither: it answers UNKNOWN_SERVER_ERROR if the batch is compressed (the rebuilding it means to do
	// fails for format 2) and stores it unchanged if not, so that consumers see offsets the log does not have.
	Rewrite bool
}

// RecordFault is one record the topic refuses: FaultTimestamp or FaultKeyMissing.
type RecordFault struct {
	Index int32
	Fault Fault
}

// recordFaultsMax bounds the list of record errors of one answer. Kafka sends one for each record; no client reads past the first few.
const recordFaultsMax = 32

// Validator is the scratch memory of Validate. One owner at a time; the zero value is ready. It holds on to the batch it saw last.
type Validator struct {
	walk   walk
	reader codec.Reader
	window []byte
}

// SlowBytes is the size above which a compressed batch is validated on a helper rather than a shard.
const SlowBytes = 64 << 10

// Slow reports whether validating b may take a shard too long: it is compressed and larger than SlowBytes. A smaller one can still
// inflate a thousandfold: on a shard, set Limits.OutputMax to InlineOutputMax and send what comes back as FaultInflated to a
// helper, which uses the real limit.
func Slow(b []byte) bool {
	return len(b) > SlowBytes && b[atAttributes+1]&CodecMask != 0
}

// InlineOutputMax is what a shard may inflate by itself: about a millisecond of gzip, a tenth of that with the other codecs.
const InlineOutputMax = 512 << 10

// Validate checks b, the whole records field of one partition of a produce request, as Kafka 4.3 does on its way to the log (ProduceRequest,
// UnifiedLog.analyzeAndValidateRecords, LogValidator), except that
//
//   - it refuses bytes behind the batch, where Kafka cuts an incomplete second batch off,
//   - it checks compressed records as strictly as uncompressed ones (Kafka skips over keys, values and headers without comparing the
//     length of the record),
//   - it bounds what a payload may decompress to.
//
// It writes nothing and keeps order of blame: the first fault of the list of Fault that holds is reported. It allocates nothing for an
// uncompressed batch, and for others nothing once v has seen one like it.
func Validate(v *Validator, b []byte, lim Limits) Verdict {
	verdict := Verdict{Record: -1}
	v.walk.faulty = 0
	verdict.Fault = frame(b, &verdict.Header, lim.MaxBatchBytes)
	if verdict.Fault != FaultNone {
		return verdict
	}
	h := &verdict.Header
	if verdict.Fault = client(h); verdict.Fault != FaultNone {
		return verdict
	}
	w := &v.walk
	w.begin(h, &lim)
	if payload := b[HeaderSize:]; h.Codec() == codec.None {
		used, ok := w.run(payload)
		if !ok || used != len(payload) || w.next != w.count {
			verdict.Fault = FaultRecord
		}
	} else {
		verdict.Fault = v.stream(h.Codec(), payload, lim.OutputMax)
	}
	if verdict.Fault != FaultNone {
		verdict.Record, w.faulty = w.next, 0
		return verdict
	}
	if verdict.Fault = w.fault(); verdict.Fault != FaultNone {
		verdict.Record = w.faults[0].Index
		return verdict
	}
	verdict.Rewrite = w.offsetsOff
	verdict.MaxTimestamp = w.max
	if !lim.CreateTime {
		verdict.MaxTimestamp = lim.NowMs
	}
	verdict.Restamp = h.IsAppendTime() == lim.CreateTime || h.MaxTimestamp != verdict.MaxTimestamp
	return verdict
}

// RecordFaults lists the records that made the last Validate say FaultTimestamp or FaultKeyMissing, in order, at most 32 of
// them, for the record errors of KIP-467. It is empty after any other verdict and valid until the next Validate.
func (v *Validator) RecordFaults() []RecordFault { return v.walk.faults[:v.walk.faulty] }

// frame checks that b is one whole batch of format 2 with the right checksum.
func frame(b []byte, h *Header, batchBytesMax int) Fault {
	if len(b) <= atMagic {
		return FaultTruncated
	}
	length := int32(uint32(b[atLength])<<24 | uint32(b[atLength+1])<<16 | uint32(b[atLength+2])<<8 | uint32(b[atLength+3]))
	if int(length) < lengthMinV0 || b[atMagic] > Magic {
		return FaultMalformed
	}
	size := int(length) + Overhead
	switch {
	case size > len(b):
		return FaultTruncated
	case b[atMagic] != Magic:
		return FaultMagic
	case size < len(b):
		return FaultExtraBatches
	}
	var ok bool
	if *h, ok = ReadHeader(b); !ok {
		return FaultMalformed
	}
	switch {
	case h.BaseOffset != 0:
		return FaultBaseOffset
	case size > batchBytesMax:
		return FaultTooLarge
	case !CheckCRC(b):
		return FaultCRC
	}
	return FaultNone
}

// lengthMinV0 is the least length of a record of the oldest format: below it Kafka calls the bytes corrupt without looking further.
const lengthMinV0 = 14

// client checks what a header from a client must say.
func client(h *Header) Fault {
	switch {
	case !h.Codec().Valid():
		return FaultCodec
	case h.LastOffsetDelta < 0:
		return FaultOffsets
	case h.Records <= 0 || int64(h.LastOffsetDelta)+1 != int64(h.Records):
		return FaultCount
	case h.IsControl():
		return FaultControl
	case h.HasProducer() && h.BaseSequence < 0:
		return FaultSequence
	}
	return FaultNone
}
