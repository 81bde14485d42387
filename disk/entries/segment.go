package entries

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path"
	"strconv"
	"strings"

	"pinion/disk/device"
)

const (
	segmentSuffix  = ".entries"
	snapshotSuffix = ".snapshot"
	nameDigits     = 20
)

func segmentPath(folder string, number uint64) string {
	return path.Join(folder, fmt.Sprintf("%0*d%s", nameDigits, number, segmentSuffix))
}

func snapshotPath(folder string, index uint64) string {
	return path.Join(folder, fmt.Sprintf("%0*d%s", nameDigits, index, snapshotSuffix))
}

// segment is one file of the log. Only the active one is open.
type segment struct {
	number   uint64
	salt     uint64
	end      int64 // bytes
	reserved int64 // the file has space up to here, if that is above end
	file     device.File
}

// spareBytes is how much space the active segment gets at a time, so that the log goes on when others have filled the disk: some thousand entries.
const spareBytes = 1 << 20

// spare sees to it that there is space behind the end. Where the disk has none to give, writes may still find some.
func (s *segment) spare() {
	if s.reserved < s.end+spareBytes/2 && s.file.ReserveSpare(s.end, spareBytes) == nil {
		s.reserved = s.end + spareBytes
	}
}

// append writes one batch at the end and syncs it.
func (s *segment) append(b []byte) error {
	if _, err := s.file.Pwritev([][]byte{b}, s.end); err != nil {
		return fmt.Errorf("write segment %d: %w", s.number, err)
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("sync segment %d: %w", s.number, err)
	}
	s.end += int64(len(b))
	s.spare()
	return nil
}

func (s *segment) close() error {
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

// start makes the next segment, whole and durable, with the state and the carried entries as its first batch, and appends to
// it from now on. The former active segment is closed and sealed. Where the disk has no room for another with so much space ahead of
// it, that one, which has some, stays what it is (device.ErrNoSpace).
func (l *Log) start(baseIndex, baseTerm uint64, carried []Entry, spare int64) error {
	var salt [8]byte
	rand.Read(salt[:]) // never fails (crypto/rand)
	next := segment{number: l.active.number + 1, salt: binary.LittleEndian.Uint64(salt[:])}
	b := appendState(beginBatch(nil), l.state)
	for _, e := range carried {
		b = appendEntry(b, e)
	}
	b = finishBatch(b, next.salt, l.sequence, 1+len(carried))
	h := head{salt: next.salt, sequence: l.sequence, baseIndex: baseIndex, baseTerm: baseTerm}
	whole := append(appendHead(make([]byte, 0, headBytes+len(b)), h), b...)
	name := segmentPath(l.folder, next.number)
	if err := device.ReplaceSpare(l.dir, name, whole, spare); err != nil {
		return err
	}
	f, err := l.dir.Open(name)
	if err != nil {
		return err
	}
	next.file, next.end, next.reserved = f, int64(len(whole)), int64(len(whole))+spare
	if err := l.active.close(); err != nil {
		return err
	}
	l.sealed = append(l.sealed, l.active)
	next.spare()
	l.active = next
	l.sequence++
	l.unsaved = false
	return nil
}

// listing is what a folder holds of ours.
type listing struct {
	snapshots []uint64   // ascending
	segments  []numbered // ascending
}

type numbered struct {
	number uint64
	size   int64
}

// survey reads the folder's names. It passes over what it does not know: leftovers of a replacement, an administrator's notes.
func survey(dir device.Dir, folder string) (listing, error) {
	var out listing
	list, err := dir.List(folder)
	if err != nil {
		return out, err
	}
	for _, e := range list { // ascending by name, and names have leading zeros
		if n, ok := parseName(e.Name, snapshotSuffix); ok && !e.IsDir {
			out.snapshots = append(out.snapshots, n)
		}
		if n, ok := parseName(e.Name, segmentSuffix); ok && !e.IsDir {
			out.segments = append(out.segments, numbered{number: n, size: e.Size})
		}
	}
	return out, nil
}

func parseName(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != nameDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}
