package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"pinion/disk/device"
	"pinion/engine/model"
)

// keptSuffix ends the name of a file that holds, as one record, what the journal had of a partition that could not be opened. The next start
// reads it before the journal itself, whose files have been used again by then.
const keptSuffix = ".kept"

func keptName(p model.Partition) string {
	return path.Join(Folder, fmt.Sprintf("%x-%d%s", p.Topic[:], p.Index, keptSuffix))
}

// Keep stores what the journal has of a partition, before Open declares it unneeded.
func (c *Contents) Keep(dir device.Dir, p model.Partition) error {
	tail := c.tails[p]
	if tail == nil {
		return nil
	}
	b := NewBuffer()
	for i := range tail.Appends {
		b.Add(&tail.Appends[i])
	}
	b.Add(&Entry{Kind: Synced, Partition: p, End: tail.Synced})
	if err := dir.Replace(keptName(p), seal(b.raw, b.count, stamp{})); err != nil {
		return fmt.Errorf("keep what the journal has of %s: %w", p, err)
	}
	return nil
}

// Release removes what Keep stored of a partition at an earlier start: it has been opened since.
func (c *Contents) Release(dir device.Dir, p model.Partition) error {
	if !c.kept[p] {
		return nil
	}
	if err := dir.Remove(keptName(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(c.kept, p)
	return nil
}

// readKept applies one kept file.
func (c *Contents) readKept(dir device.Dir, name string, bytesMax int64) error {
	data, err := dir.ReadFile(name, bytesMax)
	if err != nil {
		return err
	}
	r, ok := readRecord(data)
	if !ok {
		return &Damage{File: name, Reason: "it was replaced as a whole and is no record"}
	}
	err = r.each(func(e *Entry) {
		c.kept[e.Partition] = true
		c.tail(e.Partition).add(e)
	})
	if err != nil {
		return &Damage{File: name, Reason: err.Error()}
	}
	return nil
}
