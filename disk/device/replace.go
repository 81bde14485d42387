package device

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"pinion/engine/mutant"
)

// tempSuffix ends the name of a file that Replace has not finished. Kafka's checkpoint files use the same.
const tempSuffix = ".tmp"

// Replace implements Dir.
func (r *root) Replace(name string, data []byte) error { return ReplaceIn(r, name, data) }

// ReadFile implements Dir.
func (r *root) ReadFile(name string, max int64) ([]byte, error) { return ReadFileIn(r, name, max) }

// ReplaceIn is Dir.Replace by the other calls of a Dir, for those who implement one. It writes path+".tmp", syncs it, renames it over
// path and syncs the folder. A leftover of an earlier cut is overwritten by a new inode. One replacement of a path at a time.
func ReplaceIn(dir Dir, name string, data []byte) error { return ReplaceSpare(dir, name, data, 0) }

// ReplaceSpare is Dir.Replace with space behind the end of the new file (see File.ReserveSpare): ErrNoSpace where the disk has not so much.
func ReplaceSpare(dir Dir, name string, data []byte, spare int64) error {
	temp := name + tempSuffix
	if err := dir.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if err := writeSynced(dir, temp, data, spare); err != nil {
		_ = dir.Remove(temp)                                    // what it takes others may need
		return fmt.Errorf("replace %s: %w", name, noSpace(err)) // the old one stands
	}
	if err := dir.Rename(temp, name); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	if mutant.On(mutant.SnapshotNotSynced) || mutant.On(mutant.NamesNotSynced) {
		return nil
	}
	if err := dir.SyncDir(path.Dir(name)); err != nil {
		return fmt.Errorf("replace %s: %w", name, err)
	}
	return nil
}

func writeSynced(dir Dir, name string, data []byte, spare int64) error {
	f, err := dir.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Pwritev([][]byte{data}, 0)
	if err == nil {
		err = f.ReserveSpare(int64(len(data)), spare)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// ReadFileIn is Dir.ReadFile by the other calls of a Dir.
func ReadFileIn(dir Dir, name string, max int64) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > max {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d: %w", name, size, max, ErrTooLarge)
	}
	data := make([]byte, size)
	n, err := f.Pread(data, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return data[:n], nil
}

func sortEntries(entries []Entry) {
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
}
