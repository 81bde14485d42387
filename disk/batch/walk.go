package batch

import (
	"encoding/binary"
	"math"
)

// walk goes over the records of one batch. It is fed pieces of the (decompressed) payload by run, or by big for a record that fits no
// piece, and stops for good at the first record whose structure is broken.
type walk struct {
	next  int32 // index of the record to come; invariant: next <= count
	count int32

	// From the header and the limits.
	base        int64 // added to each delta
	fixed       bool  // every record has the timestamp max began with: the batch says append time
	createTime  bool
	keyRequired bool
	now         int64
	beforeMax   int64
	afterMax    int64

	// The same, prepared for run: timestamps in [lower, lower+span] pass, a key length with a bit of keyBits does not, and from
	// quickFrom bytes on there is enough to load.
	lower     int64
	span      uint64
	keyBits   uint64
	quickFrom int

	// Found so far.
	max        int64
	offsetsOff bool // an offset delta is not the index of its record
	mistimed   bool
	faulty     int32 // used part of faults
	faults     [recordFaultsMax]RecordFault
}

func (w *walk) begin(h *Header, lim *Limits) {
	w.next, w.count = 0, h.Records
	w.base, w.fixed = h.BaseTimestamp, h.IsAppendTime()
	w.createTime, w.keyRequired = lim.CreateTime, lim.KeyRequired
	w.now, w.beforeMax, w.afterMax = lim.NowMs, lim.TimestampBeforeMax, lim.TimestampAfterMax
	w.max, w.offsetsOff, w.mistimed, w.faulty = NoTimestamp, false, false, 0
	w.prepare()
	if w.fixed {
		w.base, w.quickFrom = h.MaxTimestamp, math.MaxInt
	}
}

// quickBytes is what run loads at once and the least it needs to do so.
const quickBytes = 8

// prepare sets what run compares with. A timestamp outside the span is not refused, only looked at closely.
func (w *walk) prepare() {
	w.quickFrom = quickBytes
	w.keyBits = 0
	if w.keyRequired {
		w.keyBits = 1
	}
	w.lower, w.span = math.MinInt64, math.MaxUint64
	if !w.createTime {
		return
	}
	if w.now < 0 || w.beforeMax < 0 || w.afterMax < 0 {
		w.quickFrom = math.MaxInt // a clock before 1970: judge each record by itself
		return
	}
	w.lower = w.now - w.beforeMax // cannot wrap around, and neither can the age of a timestamp above it
	upper := int64(math.MaxInt64)
	if w.afterMax <= math.MaxInt64-w.now {
		upper = w.now + w.afterMax
	}
	w.span = uint64(upper - w.lower)
}

// fault is what the topic has against the records: a wrong timestamp weighs more than a missing key, as in Kafka.
func (w *walk) fault() Fault {
	switch {
	case w.mistimed:
		return FaultTimestamp
	case w.faulty > 0:
		return FaultKeyMissing
	}
	return FaultNone
}

// run takes as many whole records from p as there are, at most what is missing from the count, and returns the bytes used. False:
// the next record is broken. A record that p does not hold entirely is left for later.
//
// This is the hot loop of producing. One 64-bit load holds all fields up to the key when length, timestamp delta and offset delta take at
// most two bytes each and the key length takes one: a record below 8 KiB, in a batch of at most 8192 records within 8 s,
// with a key below 64 bytes or none. Only its length stands between a record and the next; the rest overlaps in the pipeline. Records
// that are different in any way, or that the topic may refuse, go through general.
func (w *walk) run(p []byte) (int, bool) {
	at := 0
	for w.next < w.count {
		if len(p)-at >= w.quickFrom {
			x := binary.LittleEndian.Uint64(p[at:])
			size, field := x&0x7f, at+3
			if x&0x80 != 0 {
				size |= x >> 1 & 0x3f80
				x, field = x>>8, field+1
			}
			wide := x // bit 7: a second byte of the field says that there is a third
			end := field - 2 + int(size>>1)
			x >>= 16 // length and attributes
			stamp := x & 0x7f
			if x&0x80 != 0 {
				stamp |= x >> 1 & 0x3f80
				x, field = x>>8, field+1
				wide |= x
			}
			x >>= 8
			delta := x & 0x7f
			if x&0x80 != 0 {
				delta |= x >> 1 & 0x3f80
				x, field = x>>8, field+1
				wide |= x
			}
			key := x >> 8 & 0xff
			field += 2 + int(key>>1)
			time := w.base + (int64(stamp>>1) ^ -int64(stamp&1))
			negative := key >> 1 & -(key & 1) // any negative length means null; only -1 is read right by key>>1
			if (wide|key)&0x80|size&1|key&w.keyBits|negative == 0 && delta == uint64(w.next)<<1 && end <= len(p) &&
				uint64(time-w.lower) <= w.span && plain(p, field, end) {
				w.max = max(w.max, time)
				w.next++
				at = end
				continue
			}
		}
		end, ok := w.general(p, at)
		if !ok || end == at {
			return at, ok
		}
		at = end
	}
	return at, true
}

// plain reports whether p[at:end] is a value, its length in one or two bytes, and no headers.
func plain(p []byte, at, end int) bool {
	if at+1 >= len(p) {
		return false
	}
	size := int(p[at])
	if size >= 0x80 {
		at++
		size = size&0x7f | int(p[at])<<7
	}
	if size&1 != 0 || size >= 1<<14 { // null, or a third byte
		return false
	}
	at += 1 + size>>1
	return at == end-1 && at < len(p) && p[at] == 0
}

// general takes the record at p[at:] and returns where it ends, which is at itself when p does not hold all of it.
func (w *walk) general(p []byte, at int) (int, bool) {
	size, body := varint(p, at)
	if body < 0 {
		return at, len(p)-at < varintMax
	}
	if size < recordMin {
		return at, false
	}
	if int(size) > len(p)-body {
		return at, true
	}
	end := body + int(size)
	return end, w.record(p[body:end])
}

// record checks one record; b is all of it but the length, at least recordMin bytes.
func (w *walk) record(b []byte) bool {
	stamp, at := varlong(b, 1)
	if at < 0 {
		return false
	}
	delta, at := varint(b, at)
	if at < 0 {
		return false
	}
	key, at := varint(b, at)
	if at < 0 {
		return false
	}
	if key > 0 {
		if at += int(key); at > len(b) {
			return false
		}
	}
	value, at := varint(b, at)
	if at < 0 {
		return false
	}
	if value > 0 {
		if at += int(value); at > len(b) {
			return false
		}
	}
	if headers(b, at) != len(b) {
		return false
	}
	w.judge(stamp, delta, key)
	return true
}

// recordMin is the least size of a record after its length (attributes and five varints), and headerMin that of a header.
const (
	recordMin = 6
	headerMin = 2
)

// headers walks the count and the headers at b[at:] and returns where they end, or -1.
func headers(b []byte, at int) int {
	count, at := varint(b, at)
	if at < 0 || count < 0 || int(count) > (len(b)-at)/headerMin {
		return -1
	}
	for ; count > 0; count-- {
		var size int32
		if size, at = varint(b, at); at < 0 || size < 0 || int(size) > len(b)-at {
			return -1
		}
		if size, at = varint(b, at+int(size)); at < 0 || int(size) > len(b)-at {
			return -1
		}
		at += max(int(size), 0)
	}
	return at
}

// judge holds the fields of the next record against the topic.
func (w *walk) judge(stampDelta int64, offsetDelta, key int32) {
	stamp := w.base
	if !w.fixed {
		stamp += stampDelta
	}
	if stamp > w.max {
		w.max = stamp
	}
	if offsetDelta != w.next {
		w.offsetsOff = true
	}
	if key < 0 && w.keyRequired {
		w.blame(FaultKeyMissing)
	} else if w.createTime && stamp != NoTimestamp {
		// Wraps around where Kafka's arithmetic does.
		if age := w.now - stamp; age > w.beforeMax || -age > w.afterMax {
			w.blame(FaultTimestamp)
		}
	} else if w.fixed {
		w.blame(FaultTimestamp)
	}
	w.next++
}

func (w *walk) blame(f Fault) {
	if f == FaultTimestamp {
		w.mistimed = true
	}
	if int(w.faulty) < len(w.faults) {
		w.faults[w.faulty] = RecordFault{Index: w.next, Fault: f}
		w.faulty++
	}
}
