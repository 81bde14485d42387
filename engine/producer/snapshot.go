package producer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// Kafka's producer snapshot, <offset>.snapshot (ProducerSnapshot.json, version 1; big-endian):
//
//	 0         2          6         10
//	+---------+----------+---------+---------+---------+---- ...
//	| version | CRC-32C  | entries | entry   | entry   |
//	|    = 1  | from 6 on|         | 46 bytes| 46 bytes|
//	+---------+----------+---------+---------+---------+---- ...
//
//	 0         8       10         14         22       26          34            38           46
//	+---------+-------+----------+----------+--------+-----------+-------------+------------+
//	| producer| epoch | last     | last     | offset | timestamp | coordinator | first open |
//	| id      |       | sequence | offset   | delta  |           | epoch       | offset     |
//	+---------+-------+----------+----------+--------+-----------+-------------+------------+
//
// Fixed by Kafka. -1 in last sequence and last offset: no batch is known.
const (
	snapshotVersion    = 1
	snapshotAtCRC      = 2
	snapshotAtEntries  = 6
	snapshotHeaderSize = 10
	snapshotEntrySize  = 46
)

// Our window file, <offset>.window, beside it (big-endian). Entries stand in order of last use, oldest first:
//
//	 0          8         10         14        18
//	+----------+---------+----------+---------+----------- ...
//	| "PINIONPW"| version | CRC-32C  | entries | entry, entry
//	|          |    = 1  | from 14  |         |
//	+----------+---------+----------+---------+----------- ...
//
//	 0         8           16           24            28      30      31
//	+---------+-----------+------------+-------------+-------+-------+--------------------+
//	| producer| last used | first open | coordinator | epoch | count | count times 24     |
//	| id      | (ms)      | offset     | epoch       |       | (0-5) | bytes: the batches |
//	+---------+-----------+------------+-------------+-------+-------+--------------------+
//
//	 0          4        8             16          24
//	+----------+--------+-------------+-----------+
//	| last     | offset | last offset | timestamp |    oldest batch first
//	| sequence | delta  |             |           |
//	+----------+--------+-------------+-----------+
//
// Chosen by us.
const (
	windowMagic      = "PINIONPW"
	windowVersion    = 1
	windowAtVersion  = 8
	windowAtCRC      = 10
	windowAtEntries  = 14
	windowHeaderSize = 18
	windowEntrySize  = 31
	windowBatchSize  = 24
)

// ErrDamaged means that a snapshot or window cannot be used: rebuild the table from the log.
var ErrDamaged = errors.New("damaged producer snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendSnapshot writes Kafka's snapshot file behind buf, producers in ascending order of id.
func (t *Table) AppendSnapshot(buf []byte) []byte {
	start := len(buf)
	buf = binary.BigEndian.AppendUint16(buf, snapshotVersion)
	buf = binary.BigEndian.AppendUint32(buf, 0)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(t.states)))
	order := make([]int32, len(t.states))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int {
		if t.states[a].id < t.states[b].id {
			return -1
		}
		return 1
	})
	for _, place := range order {
		s := &t.states[place]
		last := kept{last: -1, lastOffset: -1, timestamp: int64(s.used)}
		if s.count > 0 {
			last = s.batches[s.count-1]
		}
		buf = binary.BigEndian.AppendUint64(buf, uint64(s.id))
		buf = binary.BigEndian.AppendUint16(buf, uint16(s.epoch))
		buf = binary.BigEndian.AppendUint32(buf, uint32(last.last))
		buf = binary.BigEndian.AppendUint64(buf, uint64(last.lastOffset))
		buf = binary.BigEndian.AppendUint32(buf, uint32(last.delta))
		buf = binary.BigEndian.AppendUint64(buf, uint64(last.timestamp))
		buf = binary.BigEndian.AppendUint32(buf, uint32(s.coord))
		buf = binary.BigEndian.AppendUint64(buf, uint64(s.txnFirst))
	}
	out := buf[start:]
	binary.BigEndian.PutUint32(out[snapshotAtCRC:], crc32.Checksum(out[snapshotAtEntries:], castagnoli))
	return buf
}

// AppendWindow writes our window file behind buf.
func (t *Table) AppendWindow(buf []byte) []byte {
	start := len(buf)
	buf = append(buf, windowMagic...)
	buf = binary.BigEndian.AppendUint16(buf, windowVersion)
	buf = binary.BigEndian.AppendUint32(buf, 0)
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(t.states)))
	for place := t.oldest; place != nowhere; place = t.states[place].newer {
		s := &t.states[place]
		buf = binary.BigEndian.AppendUint64(buf, uint64(s.id))
		buf = binary.BigEndian.AppendUint64(buf, uint64(s.used))
		buf = binary.BigEndian.AppendUint64(buf, uint64(s.txnFirst))
		buf = binary.BigEndian.AppendUint32(buf, uint32(s.coord))
		buf = binary.BigEndian.AppendUint16(buf, uint16(s.epoch))
		buf = append(buf, s.count)
		for _, k := range s.batches[:s.count] {
			buf = appendBatch(buf, &k)
		}
	}
	out := buf[start:]
	binary.BigEndian.PutUint32(out[windowAtCRC:], crc32.Checksum(out[windowAtEntries:], castagnoli))
	return buf
}

func appendBatch(buf []byte, k *kept) []byte {
	buf = binary.BigEndian.AppendUint32(buf, uint32(k.last))
	buf = binary.BigEndian.AppendUint32(buf, uint32(k.delta))
	buf = binary.BigEndian.AppendUint64(buf, uint64(k.lastOffset))
	return binary.BigEndian.AppendUint64(buf, uint64(k.timestamp))
}

// Load makes a table from both files, either of which may be empty: the window alone counts if it is there, and Kafka's snapshot, with one
// batch for each producer, if it is not. An error wraps ErrDamaged; then the table has to be rebuilt from the log. Of more producers
// than a table holds those used last are kept.
func Load(snapshot, window []byte) (*Table, error) {
	t := NewTable()
	if len(window) > 0 {
		if err := t.readWindow(window); err != nil {
			return nil, fmt.Errorf("producer window: %w", err)
		}
		return t, nil
	}
	if len(snapshot) > 0 {
		if err := t.readSnapshot(snapshot); err != nil {
			return nil, fmt.Errorf("producer snapshot: %w", err)
		}
	}
	return t, nil
}

func (t *Table) readWindow(b []byte) error {
	if len(b) < windowHeaderSize || !bytes.HasPrefix(b, []byte(windowMagic)) {
		return ErrDamaged
	}
	if version := binary.BigEndian.Uint16(b[windowAtVersion:]); version != windowVersion {
		return fmt.Errorf("version %d: %w", version, ErrDamaged)
	}
	if binary.BigEndian.Uint32(b[windowAtCRC:]) != crc32.Checksum(b[windowAtEntries:], castagnoli) {
		return fmt.Errorf("checksum: %w", ErrDamaged)
	}
	count := binary.BigEndian.Uint32(b[windowAtEntries:])
	b = b[windowHeaderSize:]
	for range count {
		if len(b) < windowEntrySize {
			return ErrDamaged
		}
		s := state{
			id:       int64(binary.BigEndian.Uint64(b)),
			used:     clock.Wall(binary.BigEndian.Uint64(b[8:])),
			txnFirst: int64(binary.BigEndian.Uint64(b[16:])),
			coord:    int32(binary.BigEndian.Uint32(b[24:])),
			epoch:    int16(binary.BigEndian.Uint16(b[28:])),
			count:    b[30],
		}
		b = b[windowEntrySize:]
		if s.count > BatchesKept || len(b) < int(s.count)*windowBatchSize {
			return ErrDamaged
		}
		for i := range s.count {
			s.batches[i] = readBatch(b)
			b = b[windowBatchSize:]
		}
		if err := t.restore(&s); err != nil {
			return err
		}
	}
	if len(b) != 0 {
		return ErrDamaged
	}
	return nil
}

func readBatch(b []byte) kept {
	return kept{
		last:       int32(binary.BigEndian.Uint32(b)),
		delta:      int32(binary.BigEndian.Uint32(b[4:])),
		lastOffset: model.Offset(binary.BigEndian.Uint64(b[8:])),
		timestamp:  int64(binary.BigEndian.Uint64(b[16:])),
	}
}

func (t *Table) readSnapshot(b []byte) error {
	if len(b) < snapshotHeaderSize {
		return ErrDamaged
	}
	if version := binary.BigEndian.Uint16(b); version != snapshotVersion {
		return fmt.Errorf("version %d: %w", version, ErrDamaged)
	}
	if binary.BigEndian.Uint32(b[snapshotAtCRC:]) != crc32.Checksum(b[snapshotAtEntries:], castagnoli) {
		return fmt.Errorf("checksum: %w", ErrDamaged)
	}
	count := binary.BigEndian.Uint32(b[snapshotAtEntries:])
	b = b[snapshotHeaderSize:]
	if uint64(len(b)) != uint64(count)*snapshotEntrySize {
		return ErrDamaged
	}
	states := make([]state, 0, count)
	for ; len(b) > 0; b = b[snapshotEntrySize:] {
		last := kept{
			last:       int32(binary.BigEndian.Uint32(b[10:])),
			lastOffset: model.Offset(binary.BigEndian.Uint64(b[14:])),
			delta:      int32(binary.BigEndian.Uint32(b[22:])),
			timestamp:  int64(binary.BigEndian.Uint64(b[26:])),
		}
		s := state{
			id:       int64(binary.BigEndian.Uint64(b)),
			epoch:    int16(binary.BigEndian.Uint16(b[8:])),
			used:     clock.Wall(last.timestamp),
			coord:    int32(binary.BigEndian.Uint32(b[34:])),
			txnFirst: int64(binary.BigEndian.Uint64(b[38:])),
		}
		if last.lastOffset >= 0 && last.last >= 0 {
			s.batches[0], s.count = last, 1
		}
		states = append(states, s)
	}
	// Kafka writes them in no order; ours is by last use.
	slices.SortStableFunc(states, func(a, b state) int {
		switch {
		case a.used < b.used:
			return -1
		case a.used > b.used:
			return 1
		}
		return 0
	})
	for i := range states {
		if err := t.restore(&states[i]); err != nil {
			return err
		}
	}
	return nil
}

// restore puts a state read from a file behind those restored before, the newest last.
func (t *Table) restore(s *state) error {
	if err := s.valid(); err != nil {
		return err
	}
	if _, twice := t.places[s.id]; twice {
		return fmt.Errorf("producer %d twice: %w", s.id, ErrDamaged)
	}
	place := t.admit(s.id)
	s.newer, s.older = t.states[place].newer, t.states[place].older
	t.states[place] = *s
	return nil
}

func (s *state) valid() error {
	if s.id < 0 || s.epoch < noEpoch {
		return fmt.Errorf("producer %d with epoch %d: %w", s.id, s.epoch, ErrDamaged)
	}
	before := model.Offset(-1)
	for i := range s.batches[:s.count] {
		k := &s.batches[i]
		if k.last < 0 || k.delta < 0 || k.lastOffset < model.Offset(k.delta) || k.lastOffset-model.Offset(k.delta) <= before ||
			k.lastOffset == math.MaxInt64 {
			return fmt.Errorf("producer %d, batch at offset %d: %w", s.id, k.lastOffset, ErrDamaged)
		}
		before = k.lastOffset
	}
	return nil
}
