package batch

import "fmt"

// Sifter takes records out of batches, as compaction does. What is left keeps its offsets, and the batch the range of offsets and
// sequences it had when it was written: readers and the idempotent window see gaps, never other numbers. One owner at a time; the
// zero value is ready.
type Sifter struct {
	in  Iterator
	out *Builder
}

// Append writes b, exactly one batch, behind dst with only those records that keep says yes to, compressed with its own codec. A horizon
// that is not NoTimestamp becomes its delete horizon (KIP-534), one that it has stays otherwise. Where nothing is kept it is AppendEmpty.
// Errors are those of Iterator.Err and of the compressor.
func (s *Sifter) Append(dst, b []byte, keep func(*Record) bool, horizon int64, outputMax int) ([]byte, error) {
	if s.out == nil {
		s.out = NewBuilder()
	}
	out := s.out
	out.Reset()
	s.in.Reset(b, outputMax)
	h := s.in.Header()
	if horizon == NoTimestamp && h.HasDeleteHorizon() {
		horizon = h.BaseTimestamp
	}
	out.BaseOffset, out.Epoch, out.Codec = h.BaseOffset, h.Epoch, h.Codec()
	out.ProducerID, out.ProducerEpoch, out.BaseSequence = h.ProducerID, h.ProducerEpoch, h.BaseSequence
	out.Transactional, out.Control, out.AppendTime = h.IsTransactional(), h.IsControl(), h.IsAppendTime()
	if horizon != NoTimestamp {
		out.horizon, out.base = true, horizon
	}
	for s.in.Next() {
		r := s.in.Record()
		if keep(r) {
			out.addRaw(int32(r.Offset-h.BaseOffset), r.Timestamp, r.Key, r.Value, r.count, r.headers)
		}
	}
	if err := s.in.Err(); err != nil {
		return dst, fmt.Errorf("sift batch at offset %d: %w", h.BaseOffset, err)
	}
	if out.count == 0 {
		return AppendEmpty(dst, h), nil
	}
	out.last = h.LastOffsetDelta
	return out.Append(dst)
}

// AppendEmpty writes a batch without records behind dst that stands for h: the same offsets, the same sequences. Compaction leaves it where
// a batch has lost all its records and its numbers are still needed. It is what Kafka leaves (DefaultRecordBatch.writeEmptyHeader).
func AppendEmpty(dst []byte, h *Header) []byte {
	empty := *h
	empty.Length = HeaderSize - Overhead
	empty.Attributes = h.Attributes & (attrKept &^ (CodecMask | DeleteHorizon))
	empty.BaseTimestamp = NoTimestamp
	empty.Records = 0
	start := len(dst)
	dst = empty.Append(dst)
	stampCRC(dst[start:])
	return dst
}
