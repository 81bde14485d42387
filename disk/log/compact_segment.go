package log

import (
	"errors"
	"fmt"
	"io"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// siftedSegment is the new form of a group of segments, while it is written.
type siftedSegment struct {
	file    device.File
	base    model.Offset
	end     model.Offset // of the group
	touched clock.Wall
	size    int64
	reserve int64
	first   int64 // largest timestamp of the first batch
	index   *indexBuilder
	pending []byte
}

// sifterBuffer is how much is gathered for one write.
const sifterBuffer = 1 << 20

// newSifted makes the file. The space is reserved first: a full disk then ends the pass before it has cost any reading.
func newSifted(dir device.Dir, folder string, group []compactPart, interval int) (*siftedSegment, error) {
	s := &siftedSegment{base: group[0].base, end: group[len(group)-1].end, first: -1, index: newIndexBuilder(interval)}
	for _, p := range group {
		s.reserve += p.size
		s.touched = max(s.touched, p.touched)
	}
	if err := removeCleaned(dir, folder, s.base); err != nil {
		return nil, err
	}
	var err error
	if s.file, err = dir.Create(fileName(folder, s.base, logSuffix) + cleanedSuffix); err != nil {
		return nil, err
	}
	if err = s.file.Reserve(0, s.reserve); err != nil {
		return nil, errors.Join(err, s.discard(dir, folder))
	}
	return s, nil
}

// add writes one batch.
func (s *siftedSegment) add(raw []byte) error {
	if s.size+int64(len(raw)) > segmentBytesMax {
		return fmt.Errorf("segment %d would be larger than a segment can be", s.base)
	}
	h, _ := batch.ReadHeader(raw)
	if s.size == 0 {
		s.first = h.MaxTimestamp
	}
	s.index.add(s.base, s.size, &h)
	s.size += int64(len(raw))
	s.pending = append(s.pending, raw...)
	if len(s.pending) >= sifterBuffer {
		return s.flush()
	}
	return nil
}

func (s *siftedSegment) flush() error {
	if len(s.pending) == 0 {
		return nil
	}
	_, err := s.file.Pwritev([][]byte{s.pending}, s.size-int64(len(s.pending)))
	s.pending = s.pending[:0]
	return err
}

// seal makes the files whole and durable, under names that mean nothing yet.
func (s *siftedSegment) seal(dir device.Dir, folder string) error {
	err := s.flush()
	if err == nil {
		err = s.file.Trim(s.size)
	}
	if err == nil {
		s.date()
		err = s.file.Sync()
	}
	if err = errors.Join(err, s.close()); err != nil {
		return err
	}
	s.index.seal()
	if err := writeWhole(dir, fileName(folder, s.base, indexSuffix)+cleanedSuffix, s.index.index); err != nil {
		return err
	}
	return writeWhole(dir, fileName(folder, s.base, timeSuffix)+cleanedSuffix, s.index.times)
}

// date has the file as old as the newest that it takes the place of: retention asks for that where records have no timestamps.
func (s *siftedSegment) date() {
	if s.touched > 0 {
		s.file.Date(int64(s.touched))
	}
}

func (s *siftedSegment) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

func (s *siftedSegment) discard(dir device.Dir, folder string) error {
	return errors.Join(s.close(), removeCleaned(dir, folder, s.base))
}

// extent is what the log knows of the segment once it is one.
func (s *siftedSegment) extent() extent {
	e := extent{
		base: s.base, size: s.size, synced: s.size, touched: s.touched, maxTime: s.index.maxTime, maxTimeAt: s.index.maxTimeAt,
		slot: noSlot, indexed: int32(len(s.index.index)), timed: int32(len(s.index.times)), indexSynced: true,
	}
	e.setFirstTime(s.first)
	return e
}

// removeCleaned removes what an earlier pass left.
func removeCleaned(dir device.Dir, folder string, base model.Offset) error {
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix} {
		if err := dir.Remove(fileName(folder, base, suffix) + cleanedSuffix); err != nil && !isNotExist(err) {
			return err
		}
	}
	return nil
}

// writeWhole makes a file with this content, durably but for its name.
func writeWhole(dir device.Dir, name string, data []byte) error {
	f, err := dir.Create(name)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		_, err = f.Pwritev([][]byte{data}, 0)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }
