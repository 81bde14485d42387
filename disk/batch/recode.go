package batch

import (
	"fmt"

	"pinion/disk/codec"
)

// Recoder rebuilds batches with the codec a topic asks for (compression.type) and with offset deltas 0, 1, 2, ... whatever they were (Verdict.Rewrite). It decompresses and compresses, so it runs on a helper. One owner at a time; the zero value is ready.
type Recoder struct {
	in  Iterator
	out *Builder
}

// Append writes b, exactly one batch, rebuilt behind dst: compressed with c at the level given (0 is the codec's default), offsets counted
// from the base offset, all else kept, the CRC new. Errors are those of Iterator.Err and of the compressor.
func (r *Recoder) Append(dst, b []byte, c codec.Codec, level, outputMax int) ([]byte, error) {
	if r.out == nil {
		r.out = NewBuilder()
	}
	out := r.out
	out.Reset()
	r.in.Reset(b, outputMax)
	h := r.in.Header()
	out.BaseOffset, out.Epoch = h.BaseOffset, h.Epoch
	out.Codec, out.Level = c, level
	out.ProducerID, out.ProducerEpoch, out.BaseSequence = h.ProducerID, h.ProducerEpoch, h.BaseSequence
	out.Transactional, out.Control, out.AppendTime = h.IsTransactional(), h.IsControl(), h.IsAppendTime()
	for r.in.Next() {
		record := r.in.Record()
		out.addRaw(out.last+1, record.Timestamp, record.Key, record.Value, record.count, record.headers)
	}
	if err := r.in.Err(); err != nil {
		return dst, fmt.Errorf("rebuild batch at offset %d: %w", h.BaseOffset, err)
	}
	return out.Append(dst)
}
