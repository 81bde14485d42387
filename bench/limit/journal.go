package limit

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// journalBytes is how long a journal is; it was written once before, so that a sync does not change the file system's tables.
const journalBytes = 64 << 20

// written makes such a file.
func written(dir string) (appendFile, error) {
	file := appendFile{dir: dir, fd: -1}
	zeros := make([]byte, 1<<20)
	for file.at < journalBytes {
		if err := file.append(zeros); err != nil {
			return file, err
		}
	}
	if err := unix.Fdatasync(file.fd); err != nil {
		return file, fmt.Errorf("sync: %w", err)
	}
	return file, nil
}

// journal writes and syncs, and reports how long each took.
type journal struct {
	file  appendFile
	chunk []byte
}

func newJournal(spec Spec) (*journal, error) {
	file, err := written(spec.Dir)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, chunk: make([]byte, spec.Chunk)}
	for i := range j.chunk {
		j.chunk[i] = byte(i)
	}
	return j, nil
}

// durableFile is a journal as a broker would keep it: written past the page cache, and every write waits until the device has stored it.
type durableFile struct {
	fd     int
	at     int64
	gather []byte // page aligned, as the device wants it
	n      int
}

// gatherBytes is more than one look at the sockets brings, and sectorBytes what the device writes at least.
const (
	gatherBytes = 8 << 20
	sectorBytes = 512
)

func newDurableFile(dir string) (*durableFile, error) {
	file, err := written(dir)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("/proc/self/fd/%d", file.fd)
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_DSYNC|unix.O_DIRECT, 0)
	if err == unix.EINVAL { // a file system that has only its page cache
		fd, err = unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_DSYNC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	gather, err := unix.Mmap(-1, 0, gatherBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return &durableFile{fd: fd, gather: gather}, nil
}

// add takes bytes for the next write.
func (s *durableFile) add(b []byte) error {
	if s.n+len(b)+sectorBytes > len(s.gather) {
		return fmt.Errorf("more than %d bytes at a time", gatherBytes)
	}
	s.n += copy(s.gather[s.n:], b)
	return nil
}

// store writes what was added, in whole sectors.
func (s *durableFile) store() error {
	size := (s.n + sectorBytes - 1) / sectorBytes * sectorBytes
	if s.at+int64(size) > journalBytes {
		s.at = 0
	}
	s.n = 0
	return writeAll(s.fd, s.gather[:size], &s.at)
}

// run writes round and round; each sync is a line of JSON: nanoseconds.
func (j *journal) run(out io.Writer) error {
	encoder := json.NewEncoder(out)
	for {
		j.file.at = 0
		for j.file.at+int64(len(j.chunk)) <= journalBytes {
			before := time.Now()
			if err := j.file.append(j.chunk); err != nil {
				return err
			}
			if err := unix.Fdatasync(j.file.fd); err != nil {
				return fmt.Errorf("sync: %w", err)
			}
			if err := encoder.Encode(time.Since(before)); err != nil {
				return errDone
			}
		}
	}
}
