package coordinator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"pinion/disk/batch"
	"pinion/disk/log"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/shard"
)

// loader reads a partition's records into the machine, some at a time: helpers wait for the disk, and the shard does other things between.
type loader struct {
	shard.Letter
	seat    *seat
	ask     partition.FetchAsk
	next    model.Offset
	high    model.Offset // as far as is durable
	records batch.Iterator
	held    map[int64][]*held  // records of transactions that have not ended, by producer
	waiting map[string][]*held // the same by key, one of each producer
	again   shard.Timer
	began   clock.Mono
	read    int
	unknown int
	said    string // why it could not go on, when it last could not
	offline bool   // its disk has failed or its log is damaged, when it was last tried

	// While away with a helper.
	span  log.Span
	bytes []byte
	err   error
}

// held is a record of a transaction. It is void when a record behind it has counted that says something else of its key: which of two is later is
// told by where they lie, not by which transaction ended first, because compaction knows nothing of that and keeps the last.
type held struct {
	producer   int64
	offset     model.Offset
	key, value []byte
	void       bool
}

const (
	// loadBytes is read and taken in at once: about two milliseconds.
	loadBytes = 256 << 10
	// loadRetry is between two attempts while the partition cannot be read.
	loadRetry = 200 * time.Millisecond
	// brokenRetry is between two attempts to read records that are unreadable: the disk may have recovered, or they lie in another directory by then.
	brokenRetry = 10 * time.Second
	// recordsBytesMax bounds what one compressed batch of another broker may inflate to.
	recordsBytesMax = 128 << 20
)

func (l *loader) begin(t *shard.Turn, s *seat) {
	l.seat, l.began, l.held = s, t.Now().Mono, map[int64][]*held{}
	l.waiting = map[string][]*held{}
	l.ask = partition.FetchAsk{Home: s.set.id, Owner: s.set.id, To: s.set.partitions, Caller: l, BytesMax: loadBytes}
	l.fetch(t)
}

func (l *loader) fetch(t *shard.Turn) {
	s := l.seat
	if s.set.owing[s.name] != nil { // what is not durable yet would not be read, and count after the next start
		t.Arm(&l.again, loadRetry, l)
		return
	}
	l.ask.Parts = append(l.ask.Parts[:0], partition.FetchPart{FetchWant: partition.FetchWant{
		Partition: s.name, From: l.next, BytesMax: loadBytes, Epoch: model.NoEpoch, LastFetched: model.NoEpoch}})
	t.Ask(s.set.id, &l.ask)
}

// Fetched takes what the partition has on loan to a helper.
func (l *loader) Fetched(t *shard.Turn, ask *partition.FetchAsk) {
	s, part := l.seat, &ask.Parts[0]
	l.offline = part.Code == partition.StorageFailed
	switch {
	case s.state != reading:
		if part.Leased {
			t.Ask(s.set.id, (*partition.Release)(ask))
		}
	case part.Code == partition.OutOfRange && l.next < part.LogStart:
		l.next = part.LogStart
		l.fetch(t)
	case part.Code != partition.OK:
		t.Arm(&l.again, loadRetry, l) // it is being handed over, or its disk has failed: the image tells when it is not ours any more
	case part.Leased:
		s.since, l.high, l.span = part.Since, part.High, part.Span
		t.HelpBulk(l)
	case l.next >= part.High || part.Nothing:
		s.since = part.Since
		l.done(t)
	default:
		t.Arm(&l.again, loadRetry, l) // other readers have all open files
	}
}

// Fire tries again, from the first batch that is not taken in whole.
func (l *loader) Fire(t *shard.Turn, _ *shard.Timer) {
	if s := l.seat; s.state == broken {
		s.state = reading
	}
	if l.seat.state == reading {
		l.fetch(t)
	}
}

// Waiting never happens: the ask does not want to wait.
func (l *loader) Waiting(*shard.Turn, *partition.FetchAsk) {}

// Cancelled never happens either.
func (l *loader) Cancelled(*shard.Turn, *partition.FetchAsk) {}

// Run reads the span, on a helper.
func (l *loader) Run() {
	l.bytes = append(l.bytes[:0], make([]byte, l.span.Len)...)
	for at := 0; at < len(l.bytes); {
		n, err := l.span.ReadCold(l.bytes[at:], at)
		if err != nil || n == 0 {
			l.err = errors.Join(err, fmt.Errorf("read at offset %d", l.span.Offset))
			return
		}
		at += n
	}
}

// Deliver takes the bytes in, back on the shard.
func (l *loader) Deliver(t *shard.Turn) {
	s := l.seat
	l.span = log.Span{}
	t.Ask(s.set.id, (*partition.Release)(&l.ask))
	if s.state != reading {
		return
	}
	err := l.err
	if l.err = nil; err == nil {
		err = l.take()
	}
	if err == nil {
		return
	}
	s.state = broken
	t.Arm(&l.again, brokenRetry, l)
	if said := err.Error(); l.said != said {
		l.said = said
		s.set.options.Log.Error("groups cannot be served: their records are unreadable", "topic", Topic, "partition", s.name.Index, "err", err)
	}
}

// Released goes on with the next bytes.
func (l *loader) Released(t *shard.Turn, _ *partition.FetchAsk) {
	switch {
	case l.seat.state != reading:
	case l.next >= l.high:
		l.done(t)
	default:
		l.fetch(t)
	}
}

// take runs the whole batches of the bytes into the machine.
func (l *loader) take() error {
	b := l.bytes
	for len(b) > 0 {
		h, ok := batch.ReadHeader(b)
		if !ok || h.Length < batch.HeaderSize-batch.Overhead || h.Size() > len(b) {
			break // the span's end cut it
		}
		one := b[:h.Size()]
		b = b[h.Size():]
		if h.LastOffset() < l.next {
			continue
		}
		if !batch.CheckCRC(one) {
			return fmt.Errorf("batch at offset %d: its CRC is wrong", h.BaseOffset)
		}
		if err := l.takeBatch(&h, one); err != nil {
			return fmt.Errorf("batch at offset %d: %w", h.BaseOffset, err)
		}
		l.next = h.LastOffset() + 1
	}
	if len(b) == len(l.bytes) {
		return fmt.Errorf("no whole batch at offset %d", l.next)
	}
	return nil
}

// takeBatch takes the records of one batch. Those of a transaction count when it ends well.
func (l *loader) takeBatch(h *batch.Header, one []byte) error {
	l.records.Reset(one, recordsBytesMax)
	for l.records.Next() {
		r := l.records.Record()
		switch {
		case h.IsControl():
			if err := l.end(h.ProducerID, r.Key); err != nil {
				return fmt.Errorf("record at offset %d: %w", r.Offset, err)
			}
		case h.IsTransactional():
			l.hold(&held{producer: h.ProducerID, offset: r.Offset, key: clone(r.Key), value: clone(r.Value)})
		default:
			if err := l.replay(r.Offset, r.Key, r.Value); err != nil {
				return fmt.Errorf("record at offset %d: %w", r.Offset, err)
			}
		}
	}
	return l.records.Err()
}

// What a control record's key says: a version, then how the transaction ended, or something else. Fixed by the protocol.
const (
	controlKeyBytes = 4
	controlAbort    = 0
	controlCommit   = 1
)

// hold keeps a record until its transaction ends. Of several that say something of one key in a transaction only the last can count.
func (l *loader) hold(r *held) {
	l.held[r.producer] = append(l.held[r.producer], r)
	others := l.waiting[string(r.key)]
	for i, other := range others {
		if other.producer == r.producer {
			other.void, others[i] = true, r
			return
		}
	}
	l.waiting[string(r.key)] = append(others, r)
}

// end ends the transaction of a producer, if that is what a control record says.
func (l *loader) end(producer int64, key []byte) error {
	if len(key) < controlKeyBytes {
		return fmt.Errorf("marker with a key of %d bytes", len(key))
	}
	kind := binary.BigEndian.Uint16(key[2:])
	if kind != controlAbort && kind != controlCommit {
		return nil
	}
	records := l.held[producer]
	delete(l.held, producer)
	for _, r := range records {
		if kind == controlCommit && !r.void {
			if err := l.replay(r.offset, r.key, r.value); err != nil {
				return fmt.Errorf("of a transaction, at offset %d: %w", r.offset, err)
			}
		}
		others := slices.DeleteFunc(l.waiting[string(r.key)], func(other *held) bool { return other == r })
		if l.waiting[string(r.key)] = others; len(others) == 0 {
			delete(l.waiting, string(r.key))
		}
	}
	return nil
}

// clone keeps null null.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// replay takes in a record that counts.
func (l *loader) replay(offset model.Offset, key, value []byte) error {
	for _, r := range l.waiting[string(key)] {
		r.void = r.void || r.offset < offset
	}
	known, err := l.seat.machine.Replay(key, value)
	l.read++
	if !known {
		l.unknown++
	}
	return err
}

// done begins the service.
func (l *loader) done(t *shard.Turn) {
	s := l.seat
	if l.read > 0 {
		s.set.options.Log.Info("groups loaded", "partition", s.name.Index, "records", l.read, "took", t.Now().Mono.Sub(l.began).Round(time.Millisecond))
	}
	if l.unknown > 0 {
		s.set.options.Log.Warn("records of other kinds of groups are left as they are", "partition", s.name.Index, "records", l.unknown)
	}
	l.bytes, l.held, l.waiting = nil, nil, nil
	s.serve(t)
}
