package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"pinion/disk/device"
	"pinion/engine/model"
)

// Contents is what a journal holds that the segments may lack.
type Contents struct {
	Generation uint64 // the largest seen
	Sequence   uint64 // of the last record that counts
	Oldest     uint64 // nothing of an earlier generation is needed
	Records    int
	Bytes      int64  // of the records
	Torn       string // why reading stopped, where bytes of a write that was never finished were found

	key   uint64 // of the records that count
	files []foundFile
	tails map[model.Partition]*Tail
	kept  map[model.Partition]bool // from files of their own
}

type foundFile struct {
	name       string
	generation uint64
}

// Tail is what the journal says of one partition.
type Tail struct {
	Appends []Entry      // in order; of a truncated log only what is left
	Synced  model.Offset // the segments held everything below
}

// Damage says that records which were durable are not what was written, so that acknowledged batches may be missing.
type Damage struct {
	File   string
	Pos    int64
	Reason string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s; acknowledged records may be missing: restore the file, or move the folder %s aside to start without it",
		d.File, d.Pos, d.Reason, Folder)
}

// Tail is what the journal says of a partition, or nil.
func (c *Contents) Tail(p model.Partition) *Tail { return c.tails[p] }

// Replays is of how many partitions the journal has something.
func (c *Contents) Replays() int { return len(c.tails) }

// Partitions yields every partition the journal has something of, in order.
func (c *Contents) Partitions(yield func(model.Partition) bool) {
	all := slices.SortedFunc(maps.Keys(c.tails), func(a, b model.Partition) int {
		return cmp.Or(a.Topic.Compare(b.Topic), cmp.Compare(a.Index, b.Index))
	})
	for _, p := range all {
		if !yield(p) {
			return
		}
	}
}

// Forget gives up what the journal says: it has been brought into the segments.
func (c *Contents) Forget() { c.tails = nil }

// found is one sound record and where it was.
type found struct {
	record
	file string
	pos  int64
}

// Read reads a journal; where there is none, or an empty one, nothing is in it. A *Damage is not to be passed over. It blocks.
func Read(dir device.Dir, options Options) (*Contents, error) {
	c := &Contents{tails: map[model.Partition]*Tail{}, kept: map[model.Partition]bool{}}
	entries, err := dir.List(Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var sizes []int64
	for _, e := range entries {
		name := path.Join(Folder, e.Name)
		if !e.IsDir && strings.HasSuffix(e.Name, keptSuffix) {
			if err := c.readKept(dir, name, e.Size); err != nil {
				return nil, fmt.Errorf("read journal: %w", err)
			}
		}
		if e.IsDir || !strings.HasSuffix(e.Name, nameSuffix) {
			continue
		}
		c.files = append(c.files, foundFile{name: name})
		sizes = append(sizes, max(options.FileBytes, e.Size))
	}
	all, err := c.readFiles(dir, sizes)
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	if err := c.order(all); err != nil {
		return nil, err
	}
	return c, nil
}

// headBytes of each file are read to learn its generation. More than a sector, so that one that shows what was there before does not hide
// the records behind it.
const headBytes = 64 << 10

// readFiles reads the newest file, and of the others those that it says are needed: after a clean stop none.
func (c *Contents) readFiles(dir device.Dir, sizes []int64) (all []found, err error) {
	heads := make([][]found, len(c.files))
	begun := uint64(0)
	for i := range c.files {
		if heads[i], err = readHeads(dir, c.files[i].name); err != nil {
			return nil, err
		}
		// Nothing but a record of ours was ever written at a file's first byte.
		if h := heads[i]; len(h) > 0 && h[0].pos == 0 && h[0].generation > begun {
			begun, c.key = h[0].generation, h[0].key
		}
	}
	newest := -1
	for i := range c.files {
		for _, r := range heads[i] {
			switch {
			case r.key == c.key || r.pos == 0:
				c.files[i].generation = max(c.files[i].generation, r.generation)
			case heads[i][0].pos > 0 && r.generation > begun:
				return nil, &Damage{File: r.file, Pos: 0, Reason: fmt.Sprintf("the file does not begin with a record, and generation %d lies behind", r.generation)}
			}
		}
		if newest < 0 || c.files[i].generation > c.files[newest].generation {
			newest = i
		}
	}
	oldest := uint64(0)
	read := func(i int) error {
		records, generation, err := readFile(dir, c.files[i].name, sizes[i], c.key)
		if err != nil {
			return err
		}
		c.files[i].generation = generation
		for k := range records {
			oldest = max(oldest, records[k].oldest)
		}
		all = append(all, records...)
		return nil
	}
	if newest >= 0 {
		if err := read(newest); err != nil {
			return nil, err
		}
	}
	for i := range c.files {
		// 0: nothing sound at its head, which may be damage.
		if g := c.files[i].generation; i == newest || g > 0 && g < oldest {
			continue
		}
		if err := read(i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readHeads are the records at the head of a file, whatever became of their batches.
func readHeads(dir device.Dir, name string) ([]found, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	head := make([]byte, headBytes)
	n, err := f.Pread(head, 0)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, f.Close())
	}
	return records(name, head[:n], readHead), f.Close()
}

// readFile returns the records of a file's last use in the life that has this key. Whatever lies between them is stepped over, for order to judge.
func readFile(dir device.Dir, name string, bytesMax int64, key uint64) (all []found, generation uint64, err error) {
	data, err := dir.ReadFile(name, bytesMax)
	if err != nil {
		return nil, 0, err
	}
	all = records(name, data, func(b []byte) (record, bool) {
		r, ok := readRecord(b)
		return r, ok && r.key == key
	})
	for i := range all {
		generation = max(generation, all[i].generation)
	}
	return slices.DeleteFunc(all, func(r found) bool { return r.generation < generation }), generation, nil
}

// records are all that are sound in a file's bytes, of whatever use.
func records(name string, data []byte, read func(b []byte) (record, bool)) (all []found) {
	for pos := 0; pos+recordHeader <= len(data); {
		if binary.LittleEndian.Uint32(data[pos:]) == magic {
			if r, ok := read(data[pos:]); ok {
				all = append(all, found{record: r, file: name, pos: int64(pos)})
				pos += int(r.span())
				continue
			}
		}
		pos += boundary
	}
	return all
}

// order finds the records that count, checks that none is missing among them, and applies their entries.
func (c *Contents) order(all []found) error {
	slices.SortFunc(all, func(a, b found) int { return cmp.Compare(a.sequence, b.sequence) })
	for i := range all {
		c.Generation = max(c.Generation, all[i].generation)
		c.Oldest = max(c.Oldest, all[i].oldest)
	}
	all = slices.DeleteFunc(all, func(r found) bool { return r.generation < c.Oldest })
	for i := range all {
		r := &all[i]
		where := ""
		switch {
		case i == 0 && r.generation != c.Oldest:
			return &Damage{File: r.file, Pos: r.pos, Reason: fmt.Sprintf("generation %d is needed and missing", c.Oldest)}
		case i == 0 && r.pos > 0:
			c.Sequence = r.sequence - 2 // at the best: one record of its write is missing
			where = fmt.Sprintf("generation %d does not begin with its first record", c.Oldest)
		case i > 0 && r.sequence != c.Sequence+1:
			where = fmt.Sprintf("record %d is followed by %d", c.Sequence, r.sequence)
		}
		if where != "" {
			c.Torn = where
			return c.checkBehind(all[i:])
		}
		if err := c.apply(r); err != nil {
			return err
		}
	}
	return nil
}

// checkBehind looks for proof that the record behind the last good one was durable: one of a later write.
func (c *Contents) checkBehind(rest []found) error {
	for i := range rest {
		if r := &rest[i]; r.first > c.Sequence+1 {
			return &Damage{File: r.file, Pos: r.pos, Reason: fmt.Sprintf("record %d, written before it, is missing", c.Sequence+1)}
		}
	}
	return nil
}

func (c *Contents) apply(r *found) error {
	c.Sequence = r.sequence
	c.Records++
	c.Bytes += r.span()
	err := r.each(func(e *Entry) {
		c.tail(e.Partition).add(e)
	})
	if err != nil {
		return &Damage{File: r.file, Pos: r.pos, Reason: err.Error()}
	}
	return nil
}

func (c *Contents) tail(p model.Partition) *Tail {
	tail := c.tails[p]
	if tail == nil {
		tail = &Tail{}
		c.tails[p] = tail
	}
	return tail
}

func (t *Tail) add(e *Entry) {
	switch e.Kind {
	case Append:
		t.Appends = append(t.Appends, *e)
	case Truncate:
		t.Appends = slices.DeleteFunc(t.Appends, func(a Entry) bool { return a.End > e.Base })
		t.Synced = min(t.Synced, e.Base)
	case Synced:
		t.Synced = max(t.Synced, e.End)
	}
}
