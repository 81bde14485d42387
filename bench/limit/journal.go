package limit

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

// journalBytes is how long the journal is; it was written once before, so that a sync does not change the file system's tables.
const journalBytes = 64 << 20

// journal writes and syncs, and reports how long each took.
type journal struct {
	file  appendFile
	chunk []byte
}

func newJournal(spec Spec) (*journal, error) {
	j := &journal{file: appendFile{dir: spec.Dir, fd: -1}, chunk: make([]byte, spec.Chunk)}
	zeros := make([]byte, 1<<20)
	for j.file.at < journalBytes {
		if err := j.file.append(zeros); err != nil {
			return nil, err
		}
	}
	if err := unix.Fdatasync(j.file.fd); err != nil {
		return nil, fmt.Errorf("sync: %w", err)
	}
	for i := range j.chunk {
		j.chunk[i] = byte(i)
	}
	return j, nil
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
