package log

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"pinion/disk/device"
	"pinion/engine/model"
)

// startFile lies in a partition's folder once DeleteRecords has moved the log's start: a version and the offset, a line each. Kafka keeps
// one such file for a whole log directory and writes it once a minute; here the move is durable before it is answered, and a file of its own
// means that no partition waits for another, that it goes where the folder goes, and that no later topic of the same name inherits it.
const startFile = "log-start-offset-checkpoint"

const startFileMax = 64

// StoreStart returns the Work that makes offsets below to unreadable for good (DeleteRecords, API key 21). Start moves in Finish, when a
// file says so that survives a power cut; Expire then removes the segments that hold nothing else. It is nil when to lies outside
// [Start, Written], or while other Work is in the way.
func (l *Log) StoreStart(to model.Offset) *Work {
	if l.err != nil || l.closed || to < l.start || to > l.written || l.busy&(busyStart|busyWhole) != 0 {
		return nil
	}
	if !l.hasFolder || to == l.start {
		return l.begin(busyStart, idle{}) // nothing was ever written, or nothing moves
	}
	return l.begin(busyStart, &startTask{dir: l.dir, folder: l.name, id: l.id, to: to})
}

// StoredStart is where StoreStart last moved the start, 0 where it never did. Retention may have moved it further.
func (l *Log) StoredStart() model.Offset { return l.stored }

// AdvanceStart is StoreStart without the file, for a caller that keeps the start itself. It is false when to lies outside
// [Start, Written].
func (l *Log) AdvanceStart(to model.Offset) bool {
	if to < l.start || to > l.written {
		return false
	}
	l.start = to
	l.epochs.truncateStart(to)
	return true
}

type startTask struct {
	dir    device.Dir
	folder string
	id     model.TopicID
	to     model.Offset
}

// do also syncs the name of the folder, and whose it is: the partition may be younger than the last sync.
func (t *startTask) do() error {
	if err := syncMetadata(t.dir, t.folder, t.id); err != nil {
		return err
	}
	if err := writeStart(t.dir, t.folder, t.to); err != nil {
		return err
	}
	return t.dir.SyncDir(path.Dir(t.folder))
}

func (t *startTask) finish(l *Log, err error) error {
	if err != nil {
		err = fmt.Errorf("store log start %d: %w", t.to, err)
		if errors.Is(err, device.ErrNoSpace) {
			return err // the file is what it was
		}
		return l.fail(err)
	}
	l.stored = t.to
	l.AdvanceStart(max(t.to, l.start)) // retention may have been here meanwhile
	return nil
}

func writeStart(dir device.Dir, folder string, at model.Offset) error {
	return dir.Replace(path.Join(folder, startFile), appendStart(nil, at))
}

func appendStart(b []byte, at model.Offset) []byte {
	b = append(b, "0\n"...)
	b = strconv.AppendInt(b, int64(at), 10)
	return append(b, '\n')
}

// readStart returns the stored start, 0 where none was stored. The file is replaced as a whole, so that anything else in it is damage: to
// pass over it would show records that were deleted.
func readStart(dir device.Dir, folder string) (model.Offset, error) {
	name := path.Join(folder, startFile)
	text, err := dir.ReadFile(name, startFileMax)
	if isNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	rest, versioned := strings.CutPrefix(string(text), "0\n")
	digits, whole := strings.CutSuffix(rest, "\n")
	at, err := strconv.ParseInt(digits, 10, 64)
	if !versioned || !whole || err != nil || at < 0 {
		return 0, &Damage{Segment: name, Reason: "not a version and an offset; without the file the log starts at its first segment"}
	}
	return model.Offset(at), nil
}
