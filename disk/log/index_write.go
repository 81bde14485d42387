package log

import (
	"errors"
	"io/fs"

	"pinion/disk/device"
	"pinion/engine/model"
)

// indexWrite appends entries to a segment's two index files.
type indexWrite struct {
	folder  string
	base    model.Offset
	index   []byte
	times   []byte
	indexAt int64 // where they go
	timesAt int64
}

// do writes the entries; with sync it makes both files durable as well, entries or not. Missing files are made. It blocks.
func (w *indexWrite) do(dir device.Dir, sync bool) error {
	err := appendAt(dir, fileName(w.folder, w.base, indexSuffix), w.index, w.indexAt, sync)
	if err != nil {
		return err
	}
	return appendAt(dir, fileName(w.folder, w.base, timeSuffix), w.times, w.timesAt, sync)
}

// make is do without syncs, but that it makes missing files: Kafka wants both beside a segment.
func (w *indexWrite) make(dir device.Dir) error {
	for _, f := range []struct {
		suffix string
		data   []byte
		at     int64
	}{{indexSuffix, w.index, w.indexAt}, {timeSuffix, w.times, w.timesAt}} {
		name := fileName(w.folder, w.base, f.suffix)
		if len(f.data) > 0 || f.at > 0 {
			if err := appendAt(dir, name, f.data, f.at, false); err != nil {
				return err
			}
			continue
		}
		file, err := openOrCreate(dir, name)
		if err != nil {
			return err
		}
		if err := file.Close(); err != nil {
			return err
		}
	}
	return nil
}

func appendAt(dir device.Dir, name string, data []byte, pos int64, sync bool) error {
	if len(data) == 0 && !sync {
		return nil
	}
	f, err := openOrCreate(dir, name)
	if err != nil {
		return err
	}
	if len(data) > 0 {
		_, err = f.Pwritev([][]byte{data}, pos)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func openOrCreate(dir device.Dir, name string) (device.File, error) {
	f, err := dir.Open(name)
	if isNotExist(err) {
		f, err = dir.Create(name)
		if errors.Is(err, fs.ErrExist) {
			f, err = dir.Open(name)
		}
	}
	return f, err
}
