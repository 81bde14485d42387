package journal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"pinion/disk/device"
	"pinion/engine/mutant"
)

// Options size a journal.
type Options struct {
	FileBytes int64
	FilesMax  int // times FileBytes is what all partitions may have in the journal, and what a start may have to read

	// BufferBytes is how much a shard gathers before appends wait; a buffer and one batch more fit into a file.
	BufferBytes int64
	// BatchMax is the largest batch that goes by the journal. What goes there is stored twice; beyond, a sync of its segment costs less.
	BatchMax int
	// SyncMin is from what size on that is so where few segments are being synced. One write of the journal is durable for all partitions, a sync for
	// one alone: with many of them batches go by the journal up to BatchMax.
	SyncMin int
	// LendMin is from what size on a batch is not copied while it goes there. It takes up to a kilobyte more of the journal.
	LendMin int
}

// DefaultOptions bound a replay to 128 MiB: a quarter of a second of reading on a slow disk.
func DefaultOptions() Options {
	return Options{FileBytes: 8 << 20, FilesMax: 16, BufferBytes: 1 << 20, BatchMax: 128 << 10, SyncMin: 48 << 10, LendMin: 8 << 10}
}

// ErrFull says that every file holds something that is needed. It is not a failure: release some, then write again.
var ErrFull = errors.New("journal is full")

// slot is one file.
type slot struct {
	name       string
	file       device.File // writes to it are durable from its last zero on
	generation uint64      // of its last use; 0: never used
	zeroed     int64       // below FileBytes while it is being made
}

// Writer appends records. One owner at a time; every method blocks but the accessors.
type Writer struct {
	dir        device.Dir
	options    Options
	slots      []slot
	current    int
	pos        int64
	wrote      int64 // by the last write
	generation uint64
	sequence   uint64 // of the last record
	key        uint64
	told       uint64 // oldest in the last durable record: what a reader goes by
	empty      *Buffer
	iov        [][]byte
	filesMax   int // fewer than the option's where the disk had no space for another
	err        error
}

// Open begins a new generation behind what Read found, and declares everything before it unneeded: the caller has brought it into the
// segments and synced them. The folder is made when missing.
func Open(dir device.Dir, options Options, found *Contents) (*Writer, error) {
	w := &Writer{dir: dir, options: options, current: -1, generation: found.Generation, sequence: found.Sequence, told: found.Oldest, empty: NewBuffer(), key: newKey(), filesMax: options.FilesMax}
	if err := w.open(found); err != nil {
		return nil, fmt.Errorf("open journal: %w", errors.Join(err, w.giveUp(len(found.files))))
	}
	return w, nil
}

// newKey is one that nobody can know.
func newKey() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

// giveUp closes everything and removes the files that were made: a full disk is tried again later.
func (w *Writer) giveUp(found int) error {
	var err error
	for i, s := range w.slots {
		err = errors.Join(err, s.file.Close())
		if i >= found {
			err = errors.Join(err, w.dir.Remove(s.name))
		}
	}
	return err
}

func (w *Writer) open(found *Contents) error {
	if err := w.dir.Mkdir(Folder); err != nil {
		return err
	}
	if err := w.syncNames("."); err != nil {
		return err
	}
	for _, old := range found.files {
		f, err := w.dir.Open(old.name)
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err != nil {
			return errors.Join(err, f.Close())
		}
		s := slot{name: old.name, file: f, generation: old.generation, zeroed: size}
		if size >= w.options.FileBytes {
			err = w.harden(&s)
		}
		w.slots = append(w.slots, s)
		if err != nil {
			return err
		}
	}
	// A file that was made right before a kill has its length, but maybe no durable name.
	if err := w.syncNames(Folder); err != nil {
		return err
	}
	// What was found stays until the record below is durable, so this may take one file more than the limit.
	next := w.free(w.told)
	if next < 0 {
		if err := w.add(); err != nil {
			return err
		}
		next = len(w.slots) - 1
	}
	for w.slots[next].zeroed < w.options.FileBytes {
		if err := w.zero(next); err != nil {
			return err
		}
	}
	w.begin(next)
	return w.tell(w.generation)
}

// tell writes a record that says nothing but what is needed.
func (w *Writer) tell(oldest uint64) error {
	w.empty.Reset()
	_, err := w.write([]*Buffer{w.empty}, oldest, w.options.FileBytes)
	return err
}

// free finds a file of which nothing is needed, or -1.
func (w *Writer) free(oldest uint64) int {
	for i := range w.slots {
		if s := &w.slots[i]; i != w.current && s.zeroed >= w.options.FileBytes && s.generation < oldest {
			return i
		}
	}
	return -1
}

// add makes a file, empty yet.
func (w *Writer) add() error {
	for n := len(w.slots); ; n++ {
		name := path.Join(Folder, fmt.Sprintf("%04d%s", n, nameSuffix))
		f, err := w.dir.Create(name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		w.slots = append(w.slots, slot{name: name, file: f})
		return nil
	}
}

// zeroStep is how much of a new file is filled at a time: about 50 us, so that it can be done between two writes.
const zeroStep = 256 << 10

var zeroBytes [zeroStep]byte

// zero fills a step of a file that is being made; the last step makes it durable, with its name.
func (w *Writer) zero(i int) error {
	s := &w.slots[i]
	n := min(zeroStep, w.options.FileBytes-s.zeroed)
	if _, err := s.file.Pwritev([][]byte{zeroBytes[:n]}, s.zeroed); err != nil {
		return err
	}
	s.file.Push(s.zeroed, n) // or the sync has all of it to write, and commits wait for that
	if s.zeroed+n == w.options.FileBytes {
		if err := s.file.Sync(); err != nil {
			return err
		}
		if err := w.syncNames(Folder); err != nil {
			return err
		}
		if err := w.harden(s); err != nil {
			return err
		}
	}
	s.zeroed += n
	return nil
}

// harden opens a file again, for durable writes.
func (w *Writer) harden(s *slot) error {
	f, err := w.dir.OpenDurable(s.name)
	if err != nil {
		return err
	}
	err = s.file.Close()
	s.file = f
	return err
}

// syncNames makes the names in a folder durable.
func (w *Writer) syncNames(name string) error {
	if mutant.On(mutant.NamesNotSynced) {
		return nil
	}
	return w.dir.SyncDir(name)
}

// begin goes on in a file from its first byte.
func (w *Writer) begin(i int) {
	w.generation++
	w.current, w.pos = i, 0
	w.slots[i].generation = w.generation
}

// Generation is that of the file records go to now. It only grows.
func (w *Writer) Generation() uint64 { return w.generation }

// Files is how many files there are.
func (w *Writer) Files() int { return len(w.slots) }

// Used is how many files hold something that is needed when nothing before oldest is.
func (w *Writer) Used(oldest uint64) int {
	n := 0
	for i := range w.slots {
		if w.slots[i].generation >= oldest {
			n++
		}
	}
	return n
}

// spare is kept free at the end of each file for a record that tells that another file may be used again: until that is durable, a reader
// would look for what was in it.
const spare = boundary

// Write makes the first n buffers durable, all of them unless they do not fit into one file: call again with the rest. oldest is the first
// generation of which anything is needed. ErrFull when there is no file to go on in; any other error is final.
func (w *Writer) Write(buffers []*Buffer, oldest uint64) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	oldest = min(oldest, w.generation)
	limit := w.options.FileBytes - spare
	if w.pos > 0 && w.pos+buffers[0].Bytes() > limit {
		if err := w.roll(oldest); err != nil {
			return 0, err
		}
		oldest = min(oldest, w.generation)
	}
	return w.write(buffers, oldest, limit)
}

// write makes records of as many buffers as fit below limit.
func (w *Writer) write(buffers []*Buffer, oldest uint64, limit int64) (int, error) {
	n, size := 0, w.pos
	for n < len(buffers) && size+buffers[n].Bytes() <= limit {
		size += buffers[n].Bytes()
		n++
	}
	if n == 0 {
		return 0, w.fail(fmt.Errorf("a record of %d bytes does not fit into a file of %d", buffers[0].Bytes(), w.options.FileBytes))
	}
	first, last := w.sequence+1, w.sequence+uint64(n)
	w.iov = w.iov[:0]
	for _, b := range buffers[:n] {
		w.sequence++
		w.iov = b.seal(stamp{generation: w.generation, sequence: w.sequence, oldest: oldest, first: first, last: last, key: w.key}, w.iov)
	}
	f := w.slots[w.current].file
	_, err := f.Pwritev(w.iov, w.pos)
	clear(w.iov)
	if mutant.On(mutant.SyncRetried) && err != nil {
		err = f.Sync()
	}
	if err != nil {
		return 0, w.fail(err)
	}
	w.wrote = size - w.pos
	w.pos, w.told = size, oldest
	return n, nil
}

// roll goes on in the next file.
func (w *Writer) roll(oldest uint64) error {
	if w.free(w.told) < 0 && w.free(oldest) >= 0 {
		if err := w.tell(oldest); err != nil {
			return err
		}
	}
	for w.free(w.told) < 0 {
		made, err := w.Prepare(w.told)
		if err != nil {
			return err
		}
		if !made {
			return ErrFull
		}
	}
	w.begin(w.free(w.told))
	return nil
}

// making is the file that is not filled with zeros yet, or -1.
func (w *Writer) making() int {
	for i := range w.slots {
		if i != w.current && w.slots[i].zeroed < w.options.FileBytes {
			return i
		}
	}
	return -1
}

// Prepare does a little of what the next file takes, if there will be none to use again. It is false when there is nothing to do, or
// nothing can be done because all files are there and needed. No space for another file is not an error: what there is must do.
func (w *Writer) Prepare(oldest uint64) (bool, error) {
	w.filesMax = w.options.FilesMax
	if w.err != nil {
		return false, w.err
	}
	if w.free(oldest) >= 0 {
		return false, nil
	}
	i := w.making()
	if i < 0 {
		if len(w.slots) >= w.options.FilesMax {
			return false, nil
		}
		if err := w.add(); errors.Is(err, device.ErrNoSpace) {
			w.filesMax = len(w.slots)
			return false, nil
		} else if err != nil {
			return false, w.fail(err)
		}
		i = len(w.slots) - 1
	}
	// Faster than the current one fills, so that it is made when that is full.
	for to := w.slots[i].zeroed + max(1, 2*w.wrote); w.slots[i].zeroed < min(to, w.options.FileBytes); {
		// No reservation: those are refused before the disk is full, and this is what the rest is for.
		if err := w.zero(i); device.IsFull(err) {
			return false, w.abandon(i)
		} else if err != nil {
			return false, w.fail(err)
		}
	}
	return true, nil
}

// abandon takes a file back that there is no space for.
func (w *Writer) abandon(i int) error {
	s := w.slots[i]
	w.slots = append(w.slots[:i], w.slots[i+1:]...)
	if w.current > i {
		w.current--
	}
	if err := errors.Join(s.file.Close(), w.dir.Remove(s.name)); err != nil {
		return w.fail(err)
	}
	w.filesMax = len(w.slots)
	return nil
}

// FilesMax is how many files there may be, as far as the last Prepare found space for them.
func (w *Writer) FilesMax() int { return w.filesMax }

func (w *Writer) fail(err error) error {
	if w.err == nil {
		w.err = fmt.Errorf("journal: %w", err)
	}
	return w.err
}

// Finish declares everything unneeded, after all logs were closed cleanly, and closes the files.
func (w *Writer) Finish() error {
	if w.err == nil {
		// In a file of its own: it must not take part in what it makes unneeded.
		next := w.free(w.told)
		if next < 0 && w.tell(w.generation) == nil { // all others are free from now on
			next = w.free(w.told)
		}
		if next >= 0 {
			w.begin(next)
			_ = w.tell(w.generation) // kept in err
		}
	}
	return errors.Join(w.err, w.Close())
}

// Close closes the files and leaves everything as it is.
func (w *Writer) Close() error {
	var err error
	for i := range w.slots {
		err = errors.Join(err, w.slots[i].file.Close())
	}
	w.slots = nil
	return err
}
