// Package entries is the durable half of a consensus log: entries, the small state beside them, and the snapshot below them.
// It owns one folder of a log directory. It knows nothing of the protocol; whoever does says what to append and when an
// append must be durable. It refuses to guess: a tail that a power cut explains is cut, any other damage is an error.
//
//	<folder>/00000000000000000042.snapshot   one cell (disk/cell), named by the index it covers; the newest counts
//	<folder>/00000000000000000007.entries    segments, numbered upwards; one after a snapshot, more as the log grows
//
// A snapshot's value (version 1): index u64 | term u64 | length of members u32 | members | data. All integers little-endian.
//
// A segment is a head and batches, back to back:
//
//	byte  0-7    "PINENTRY"
//	byte  8-11   version (1)
//	byte 12-15   zero
//	byte 16-23   salt, random per segment, part of every batch's header sum
//	byte 24-31   sequence of the first batch
//	byte 32-39   base index: entries at or below come from what is before this segment; above, from here on
//	byte 40-47   term of the base
//	byte 48-59   zero
//	byte 60-63   CRC-32C of bytes 0-59
//
//	batch:
//	byte  0-3    "PBAT"
//	byte  4-7    length of the body
//	byte  8-15   sequence: one more than the batch before, across segments
//	byte 16-19   number of records
//	byte 20-23   CRC-32C of the body
//	byte 24-27   CRC-32C of the salt and bytes 0-23
//	byte 28-     body: records; then one byte 0x5a, so that a batch never ends in a zero
//
//	record:
//	0x01 | index u64 | term u64 | kind u8 | 1 if there is data, else 0 | length u32 | data      an entry
//	0x02 | term u64 | vote u64 | commit u64                                                   the state
//
// An entry at or below the last index replaces it and everything above. One append is one batch, one write and one sync, and
// the next begins only after that sync. So a batch that cannot be read is a torn tail only if nothing follows it and a part of
// it that a device writes at once (512 bytes) is missing or still zero. Everything else is damage to what was acknowledged.
//
// A segment appears whole, with its first batch (the state, and the entries above the base that are carried over), by an
// atomic replacement. What is older goes away after that.
package entries

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"pinion/disk/cell"
	"pinion/disk/device"
	"pinion/engine/must"
	"pinion/engine/mutant"
)

// Entry is one element of the log.
type Entry struct {
	Index uint64
	Term  uint64
	Kind  uint8  // the protocol's
	Data  []byte // nil and empty differ
}

// State is what the protocol keeps beside the log.
type State struct {
	Term   uint64
	Vote   uint64
	Commit uint64
}

// Snapshot stands for the entries up to Index.
type Snapshot struct {
	Index   uint64
	Term    uint64
	Members []byte // who takes part, in the protocol's encoding
	Data    []byte
}

// Config bounds a log.
type Config struct {
	SegmentBytes int64 // a segment of this size is followed by another; 0 means 8 MiB
}

const segmentBytesDefault = 8 << 20

// ErrDamaged says that bytes which were durable are gone or changed. The log must not be used; nothing was cut.
var ErrDamaged = errors.New("consensus log is damaged")

// ErrNotFounded says that the folder holds no log.
var ErrNotFounded = errors.New("consensus log is not founded")

// Log is an open log. One owner at a time. The first failed write is final: every later call that writes returns it. A new file that finds no
// space is none: nothing that was accepted is in it.
type Log struct {
	dir    device.Dir
	folder string
	config Config

	snapshot Snapshot // without Data
	list     []Entry  // invariant: list[i].Index == snapshot.Index+1+i
	state    State    // as last appended; durable up to what the last synced append carried
	unsaved  bool     // state is newer than what the file holds

	active   segment
	sealed   []segment // ascending; all below active
	sequence uint64    // of the next batch
	buffer   []byte    // scratch for one batch
	err      error
}

// Found makes the log of a new group, whose first snapshot names its members. It is complete only when the snapshot is there;
// after a power cut in between, Founded says no and Found starts over.
func Found(dir device.Dir, folder string, s Snapshot) error {
	if s.Index == 0 || s.Term == 0 {
		must.Failf("log founded at index %d, term %d", s.Index, s.Term)
	}
	if err := dir.Mkdir(folder); err != nil {
		return fmt.Errorf("found %s: %w", folder, err)
	}
	if err := dir.SyncDir(path.Dir(folder)); err != nil {
		return fmt.Errorf("found %s: %w", folder, err)
	}
	l := &Log{dir: dir, folder: folder, snapshot: s, state: State{Term: s.Term, Commit: s.Index}, sequence: 1}
	if err := l.follow(0); err != nil {
		return fmt.Errorf("found %s: %w", folder, err)
	}
	if err := l.active.close(); err != nil {
		return fmt.Errorf("found %s: %w", folder, err)
	}
	return writeSnapshot(dir, folder, s)
}

// Founded reports whether the folder holds a log. A folder that holds what Found cannot have left behind is ErrDamaged: a log
// that lost its snapshot must not be founded again.
func Founded(dir device.Dir, folder string) (bool, error) {
	names, err := survey(dir, folder)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(names.snapshots) > 0 {
		return true, nil
	}
	for _, s := range names.segments {
		if s.number != 1 || s.size != foundingBytes {
			return false, fmt.Errorf("%s holds segments and no snapshot: %w", folder, ErrDamaged)
		}
	}
	return false, nil
}

// State returns the state last appended, which a crash may take back to the last synced append.
func (l *Log) State() State { return l.state }

// Snapshot returns the newest snapshot without its data.
func (l *Log) Snapshot() Snapshot { return l.snapshot }

// SnapshotData reads the newest snapshot's data from disk.
func (l *Log) SnapshotData() ([]byte, error) {
	s, err := readSnapshot(l.dir, l.folder, l.snapshot.Index)
	return s.Data, err
}

// Last is the index of the last entry; the snapshot's when there is none above it.
func (l *Log) Last() uint64 { return l.snapshot.Index + uint64(len(l.list)) }

// Bytes is the size of the segments: what a start would have to replay.
func (l *Log) Bytes() int64 {
	n := l.active.end
	for _, s := range l.sealed {
		n += s.end
	}
	return n
}

// Term returns the term of the entry at index, also for the snapshot's own.
func (l *Log) Term(index uint64) (uint64, bool) {
	if index == l.snapshot.Index {
		return l.snapshot.Term, true
	}
	if index < l.snapshot.Index || index > l.Last() {
		return 0, false
	}
	return l.list[index-l.snapshot.Index-1].Term, true
}

// Entries returns [from, to), cut where more than bytesMax of data would be returned, but at least one. Read only.
func (l *Log) Entries(from, to, bytesMax uint64) []Entry {
	first := l.snapshot.Index + 1
	if from < first || to < from || to > l.Last()+1 {
		must.Failf("entries [%d, %d) asked of a log with [%d, %d]", from, to, first, l.Last())
	}
	all := l.list[from-first : to-first : to-first]
	size := uint64(0)
	for i := range all {
		size += uint64(len(all[i].Data))
		if size > bytesMax && i > 0 {
			return all[:i:i]
		}
	}
	return all
}

// Append writes entries, which replace everything at and above the first of them, and the state. With sync both are durable on
// return. Without, and without entries, the state waits for the next append: a crash may forget it.
func (l *Log) Append(list []Entry, state State, sync bool) error {
	if l.err != nil {
		return l.err
	}
	if len(list) > 0 && (list[0].Index <= l.snapshot.Index || list[0].Index > l.Last()+1) {
		must.Failf("entry %d appended to a log with (%d, %d]", list[0].Index, l.snapshot.Index, l.Last())
	}
	changed := state != l.state || l.unsaved
	if l.active.end >= l.config.SegmentBytes && (len(list) > 0 || sync && changed) {
		// The new segment opens with the former state: this one may speak of entries that are not written yet.
		// On a full disk the former segment goes on growing.
		if err := l.roll(); err != nil && !errors.Is(err, device.ErrNoSpace) {
			return l.fail(err)
		}
	}
	l.state, l.unsaved = state, changed
	if len(list) == 0 && !(sync && changed) {
		return nil
	}
	return l.fail(l.write(list))
}

// write puts one batch behind the active segment and syncs it.
func (l *Log) write(list []Entry) error {
	b := beginBatch(l.buffer[:0])
	records := 0
	if l.unsaved {
		b, records = appendState(b, l.state), 1
	}
	for _, e := range list {
		b = appendEntry(b, e)
	}
	b = finishBatch(b, l.active.salt, l.sequence, records+len(list))
	if cap(b) <= bufferBytesKept {
		l.buffer = b
	}
	if err := l.active.append(b); err != nil {
		return err
	}
	l.sequence++
	l.unsaved = false
	if len(list) > 0 {
		l.list = append(l.list[:list[0].Index-l.snapshot.Index-1], list...)
	}
	return nil
}

// bufferBytesKept bounds the scratch that stays allocated between batches.
const bufferBytesKept = 1 << 20

// roll seals the active segment, which is synced, and starts the next.
func (l *Log) roll() error {
	carried := l.list
	l.list = nil
	base := l.snapshot
	if n := len(carried); n > 0 {
		base = Snapshot{Index: carried[n-1].Index, Term: carried[n-1].Term}
	}
	err := l.start(base.Index, base.Term, nil, spareBytes)
	l.list = carried
	return err
}

// SaveSnapshot makes a snapshot durable and forgets the entries up to its index: all entries where the log does not hold one
// of the snapshot's index and term. Then only the snapshot and one segment are left. device.ErrNoSpace: there is no room for it, and the log
// is as it was.
func (l *Log) SaveSnapshot(s Snapshot) error {
	if l.err != nil {
		return l.err
	}
	if s.Index <= l.snapshot.Index {
		must.Failf("snapshot at %d replaces one at %d", s.Index, l.snapshot.Index)
	}
	err := writeSnapshot(l.dir, l.folder, s)
	if errors.Is(err, device.ErrNoSpace) {
		return err
	}
	if err != nil {
		return l.fail(err)
	}
	var kept []Entry
	spare := int64(0)
	term, ok := l.Term(s.Index)
	joined := ok && term == s.Term
	if joined {
		spare = spareBytes
		kept = append(kept, l.list[s.Index-l.snapshot.Index:]...)
	}
	l.snapshot, l.list = Snapshot{Index: s.Index, Term: s.Term, Members: s.Members}, kept
	l.state.Commit = max(l.state.Commit, s.Index)
	l.state.Term = max(l.state.Term, s.Term)
	err = l.follow(spare)
	if errors.Is(err, device.ErrNoSpace) && joined {
		return nil // the segments lead up to the snapshot and on; the next one has them go
	}
	if err != nil {
		return l.fail(err)
	}
	return l.fail(l.discard())
}

// follow starts a segment on top of the snapshot that carries every entry above it.
func (l *Log) follow(spare int64) error {
	return l.start(l.snapshot.Index, l.snapshot.Term, l.list, spare)
}

// discard removes every sealed segment and every snapshot but the newest. Names that survive a power cut are passed over by Open
// and removed there.
func (l *Log) discard() error {
	for _, s := range l.sealed {
		if err := l.dir.Remove(segmentPath(l.folder, s.number)); err != nil {
			return err
		}
	}
	l.sealed = nil
	names, err := survey(l.dir, l.folder)
	if err != nil {
		return err
	}
	for _, index := range names.snapshots {
		if index == l.snapshot.Index {
			continue
		}
		if err := l.dir.Remove(snapshotPath(l.folder, index)); err != nil {
			return err
		}
	}
	if mutant.On(mutant.SnapshotNotSynced) {
		return nil
	}
	return l.dir.SyncDir(l.folder)
}

// fail remembers the first error: what was accepted is in doubt from there on, and a retry would report a success that the
// kernel no longer stands behind.
func (l *Log) fail(err error) error {
	if err != nil && l.err == nil {
		l.err = fmt.Errorf("consensus log %s: %w", l.folder, err)
	}
	return l.err
}

// Close writes a state that still waits and closes the file. The log is fit for Open whether or not Close was called.
func (l *Log) Close() error {
	if l.err == nil && l.unsaved {
		l.fail(l.write(nil))
	}
	return errors.Join(l.err, l.active.close())
}

func writeSnapshot(dir device.Dir, folder string, s Snapshot) error {
	return cell.Write(dir, snapshotPath(folder, s.Index), snapshotVersion, appendSnapshot(nil, s))
}

func readSnapshot(dir device.Dir, folder string, index uint64) (Snapshot, error) {
	name := snapshotPath(folder, index)
	version, value, err := cell.Read(dir, name)
	if errors.Is(err, cell.ErrDamaged) {
		return Snapshot{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return Snapshot{}, err
	}
	if version != snapshotVersion {
		return Snapshot{}, fmt.Errorf("read %s: version %d, this build reads %d", name, version, snapshotVersion)
	}
	s, ok := decodeSnapshot(value)
	if !ok || s.Index != index {
		return Snapshot{}, fmt.Errorf("read %s: %w", name, ErrDamaged)
	}
	return s, nil
}
