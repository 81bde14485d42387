package main

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// ledger sums what went through a topic: one stream for each partition, so that the order between partitions, which Kafka does not
// promise, does not matter, and the order within one does.
type ledger struct {
	streams [partitions]stream
}

// stream is one partition's records so far.
type stream struct {
	hash    hash.Hash
	buffer  []byte // not hashed yet
	records int64
	bytes   int64 // of keys and values
}

const streamBuffer = 64 << 10

func newLedger() *ledger {
	l := &ledger{}
	for i := range l.streams {
		l.streams[i] = stream{hash: sha256.New(), buffer: make([]byte, 0, 2*streamBuffer)}
	}
	return l
}

// add takes a partition's next record.
func (l *ledger) add(partition int32, key, value []byte) {
	s := &l.streams[partition]
	s.records++
	s.bytes += int64(len(key) + len(value))
	s.buffer = appendField(appendField(s.buffer, key), value)
	if len(s.buffer) >= streamBuffer {
		s.flush()
	}
}

// appendField appends a length and the bytes; null is told from empty by a length of -1, as in a record.
func appendField(b, field []byte) []byte {
	if field == nil {
		return binary.BigEndian.AppendUint32(b, 1<<32-1)
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(len(field))), field...)
}

func (s *stream) flush() {
	s.hash.Write(s.buffer)
	s.buffer = s.buffer[:0]
}

// sum is the topic's sum so far.
func (l *ledger) sum() [sha256.Size]byte {
	var all []byte
	for i := range l.streams {
		l.streams[i].flush()
		all = l.streams[i].hash.Sum(all)
	}
	return sha256.Sum256(all)
}

// total counts records and the bytes of their keys and values.
func (l *ledger) total() (records, bytes int64) {
	for i := range l.streams {
		records += l.streams[i].records
		bytes += l.streams[i].bytes
	}
	return records, bytes
}
