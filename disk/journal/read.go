package journal

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
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
		d.File, d.Pos, d.Reason, folder)
}

// Tail is what the journal says of a partition, or nil.
func (c *Contents) Tail(p model.Partition) *Tail { return c.tails[p] }

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
	stamp
	file    string
	pos     int64
	count   int
	entries []byte
}

// Read reads a journal; where there is none, or an empty one, nothing is in it. A *Damage is not to be passed over. It blocks.
func Read(dir device.Dir, options Options) (*Contents, error) {
	c := &Contents{tails: map[model.Partition]*Tail{}, kept: map[model.Partition]bool{}}
	entries, err := dir.List(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	var all []found
	for _, e := range entries {
		name := path.Join(folder, e.Name)
		if !e.IsDir && strings.HasSuffix(e.Name, keptSuffix) {
			if err := c.readKept(dir, name, e.Size); err != nil {
				return nil, fmt.Errorf("read journal: %w", err)
			}
		}
		if e.IsDir || !strings.HasSuffix(e.Name, nameSuffix) {
			continue
		}
		records, generation, err := readFile(dir, name, max(options.FileBytes, e.Size))
		if err != nil {
			return nil, fmt.Errorf("read journal: %w", err)
		}
		c.files = append(c.files, foundFile{name, generation})
		all = append(all, records...)
	}
	if err := c.order(all); err != nil {
		return nil, err
	}
	return c, nil
}

// readFile returns the records of a file's last use. Whatever lies between them is stepped over, for order to judge.
func readFile(dir device.Dir, name string, bytesMax int64) (records []found, generation uint64, err error) {
	data, err := dir.ReadFile(name, bytesMax)
	if err != nil {
		return nil, 0, err
	}
	for pos := 0; pos+recordHeader <= len(data); {
		if binary.LittleEndian.Uint32(data[pos:]) == magic {
			if s, count, entries, ok := readRecord(data[pos:]); ok {
				records = append(records, found{stamp: s, file: name, pos: int64(pos), count: count, entries: entries})
				generation = max(generation, s.generation)
				pos += int(padded(recordHeader + len(entries)))
				continue
			}
		}
		pos += boundary
	}
	records = slices.DeleteFunc(records, func(r found) bool { return r.generation < generation })
	return records, generation, nil
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
	c.Bytes += int64(recordHeader + len(r.entries))
	err := readEntries(r.entries, r.count, func(e *Entry) {
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
