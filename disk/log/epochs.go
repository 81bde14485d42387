package log

import (
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"pinion/engine/model"
)

// epochEntry says that epoch wrote from start on.
type epochEntry struct {
	epoch model.Epoch
	start model.Offset
}

// epochs is the leader epoch history of a log (KIP-101). Invariant: epochs and starts both ascend strictly.
type epochs struct {
	entries []epochEntry
	dirty   bool // the file lacks something
	stored  bool // there is a file
}

func (e *epochs) latest() model.Epoch {
	if len(e.entries) == 0 {
		return model.NoEpoch
	}
	return e.entries[len(e.entries)-1].epoch
}

// assign notes that epoch writes from start on. An entry that wrote nothing gives way; an epoch that is not larger is ignored.
func (e *epochs) assign(epoch model.Epoch, start model.Offset) {
	if epoch <= e.latest() {
		return
	}
	n := len(e.entries)
	for n > 0 && e.entries[n-1].start >= start {
		n--
	}
	e.entries = append(e.entries[:n], epochEntry{epoch, start})
	e.dirty = true
}

// follow takes over what the batches say from some batch to the end of the log. The file may be older than a truncation, after which an
// epoch began earlier than it says: what it says of where the batches begin, or later, gives way.
func (e *epochs) follow(seen []epochEntry) {
	if len(seen) == 0 {
		return
	}
	first, n := seen[0], len(e.entries)
	for n > 0 && (e.entries[n-1].epoch > first.epoch || e.entries[n-1].start > first.start) {
		n--
	}
	if n < len(e.entries) {
		e.entries, e.dirty = e.entries[:n], true
	}
	for _, s := range seen {
		e.assign(s.epoch, s.start)
	}
}

// truncateEnd forgets what starts at end or later.
func (e *epochs) truncateEnd(end model.Offset) {
	n := sort.Search(len(e.entries), func(i int) bool { return e.entries[i].start >= end })
	if n < len(e.entries) {
		e.entries = e.entries[:n]
		e.dirty = true
	}
}

// truncateStart forgets what ended before start; the entry that covers start begins there from now on.
func (e *epochs) truncateStart(start model.Offset) {
	n := sort.Search(len(e.entries), func(i int) bool { return e.entries[i].start > start }) - 1
	if n < 0 || (n == 0 && e.entries[0].start == start) {
		return
	}
	e.entries = append(e.entries[:0], e.entries[n:]...)
	e.entries[0].start = start
	e.dirty = true
}

// end is Kafka's endOffsetFor: the largest epoch not above asked, and where the next one begins. NoEpoch and -1 when asked is unknown and
// larger than all, or is NoEpoch.
func (e *epochs) end(asked model.Epoch, logEnd model.Offset) (model.Epoch, model.Offset) {
	if asked == model.NoEpoch {
		return model.NoEpoch, -1
	}
	if asked == e.latest() {
		return asked, logEnd
	}
	higher := sort.Search(len(e.entries), func(i int) bool { return e.entries[i].epoch > asked })
	if higher == len(e.entries) {
		return model.NoEpoch, -1
	}
	if higher == 0 {
		// Older than all we know: what it wrote is gone, and what we have starts with the next one.
		return asked, e.entries[0].start
	}
	return e.entries[higher-1].epoch, e.entries[higher].start
}

// at is the epoch that wrote offset, or NoEpoch.
func (e *epochs) at(offset model.Offset) model.Epoch {
	n := sort.Search(len(e.entries), func(i int) bool { return e.entries[i].start > offset })
	if n == 0 {
		return model.NoEpoch
	}
	return e.entries[n-1].epoch
}

// appendFile writes the checkpoint file's text: version 0, the count, an entry a line.
func (e *epochs) appendFile(b []byte) []byte {
	b = append(b, "0\n"...)
	b = strconv.AppendInt(b, int64(len(e.entries)), 10)
	b = append(b, '\n')
	for _, entry := range e.entries {
		b = strconv.AppendInt(b, int64(entry.epoch), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(entry.start), 10)
		b = append(b, '\n')
	}
	return b
}

// epochFileMax bounds what is read: a hundred thousand elections of one partition.
const epochFileMax = 4 << 20

// parseEpochs reads the text appendFile writes. Every oddity is an error: the history is then rebuilt from the batches.
func parseEpochs(text []byte) ([]epochEntry, error) {
	if !bytes.HasSuffix(text, []byte("\n")) {
		return nil, fmt.Errorf("parse %s: its last line is cut short", epochFile)
	}
	lines := strings.Split(strings.TrimSuffix(string(bytes.TrimSuffix(text, []byte("\n"))), "\r"), "\n")
	if len(lines) < 2 || strings.TrimSpace(lines[0]) != "0" {
		return nil, fmt.Errorf("parse %s: no version 0", epochFile)
	}
	count, err := strconv.Atoi(strings.TrimSpace(lines[1]))
	if err != nil || count != len(lines)-2 {
		return nil, fmt.Errorf("parse %s: %q entries announced, %d there", epochFile, lines[1], len(lines)-2)
	}
	entries := make([]epochEntry, 0, count)
	for i, line := range lines[2:] {
		var entry epochEntry
		first, second, ok := strings.Cut(strings.TrimSpace(line), " ")
		epoch, err1 := strconv.ParseInt(first, 10, 32)
		start, err2 := strconv.ParseInt(second, 10, 64)
		entry = epochEntry{model.Epoch(epoch), model.Offset(start)}
		if !ok || err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return nil, fmt.Errorf("parse %s: line %d: %q", epochFile, i+3, line)
		}
		if i > 0 && (entry.epoch <= entries[i-1].epoch || entry.start <= entries[i-1].start) {
			return nil, fmt.Errorf("parse %s: line %d: %q does not ascend", epochFile, i+3, line)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// LatestEpoch is the largest leader epoch the log has seen, or NoEpoch.
func (l *Log) LatestEpoch() model.Epoch { return l.epochs.latest() }

// EpochAt is the leader epoch that wrote offset, or NoEpoch where that is unknown.
func (l *Log) EpochAt(offset model.Offset) model.Epoch { return l.epochs.at(offset) }

// EpochEnd is OffsetForLeaderEpoch (KIP-101, KIP-279): the largest epoch not above asked, and the offset behind the last record it
// wrote. NoEpoch and -1 when the log cannot say.
func (l *Log) EpochEnd(asked model.Epoch) (model.Epoch, model.Offset) {
	return l.epochs.end(asked, l.end)
}

// AssignEpoch notes that a leader takes over at the log end, before it has written anything. It reaches the disk with the next
// SyncWork, or with the first batch of the epoch.
func (l *Log) AssignEpoch(epoch model.Epoch) { l.epochs.assign(epoch, l.end) }
