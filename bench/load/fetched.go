package load

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// fetchFrontBytes is how much of a Fetch response stands before the records of its first partition when the topic's name has
// name bytes; it is all a generator keeps of a response that it only counts.
func fetchFrontBytes(name int) int {
	return 4 + 4 + 2 + 4 + 4 + 2 + name + 4 + partitionFrontBytes
}

// partitionFrontBytes are index, error, high watermark, last stable offset, log start, no aborted transactions, preferred replica
// and the length of the records.
const partitionFrontBytes = 4 + 2 + 8 + 8 + 8 + 4 + 4 + 4

var errShort = errors.New("a Fetch response that ends early")

// fetched walks a Fetch response for one topic, as far as it was kept.
type fetched struct {
	b          []byte
	partitions int

	index   int32
	code    int16
	records []byte // of the partition, as far as it was kept
	size    int    // of the records, kept or not
}

// openFetched starts the walk over a frame without its length.
func openFetched(frame []byte) (fetched, error) {
	const fixed = 4 + 4 + 2 + 4 + 4
	if len(frame) < fixed {
		return fetched{}, errShort
	}
	if code := int16(binary.BigEndian.Uint16(frame[8:])); code != 0 {
		return fetched{}, kafkaError(code)
	}
	if binary.BigEndian.Uint32(frame[fixed-4:]) == 0 {
		return fetched{}, nil
	}
	b := frame[fixed:]
	if len(b) < 2 {
		return fetched{}, errShort
	}
	b = b[2:][min(int(binary.BigEndian.Uint16(b)), len(b)-2):]
	if len(b) < 4 {
		return fetched{}, errShort
	}
	return fetched{b: b[4:], partitions: int(binary.BigEndian.Uint32(b))}, nil
}

// next moves to the next partition.
func (f *fetched) next() (bool, error) {
	if f.partitions == 0 {
		return false, nil
	}
	f.partitions--
	if len(f.b) < partitionFrontBytes {
		return false, errShort
	}
	f.index = int32(binary.BigEndian.Uint32(f.b))
	f.code = int16(binary.BigEndian.Uint16(f.b[4:]))
	if aborted := int32(binary.BigEndian.Uint32(f.b[30:])); aborted > 0 {
		return false, fmt.Errorf("partition %d has aborted transactions; this reader counts none", f.index)
	}
	f.size = int(max(0, int32(binary.BigEndian.Uint32(f.b[38:]))))
	f.b = f.b[partitionFrontBytes:]
	f.records = f.b[:min(f.size, len(f.b))]
	f.b = f.b[len(f.records):]
	return true, nil
}
