package log

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/model"
)

// pointFile lies in the folder of a partition that has been compacted: a version and three numbers, a line each. Kafka keeps one file of this
// name for a whole log directory; it lies beside the log here for the reasons startFile does.
const pointFile = "cleaner-offset-checkpoint"

const pointFileMax = 128

// cleanPoint is how far compaction has come. A log that is to be compacted has one from its first segment on, so that a start can tell a gap
// from a loss.
type cleanPoint struct {
	clean model.Offset // every key stands at most once below
	gaps  model.Offset // offsets may be missing below, each outlived by one that is below too; invariant: durable before any are
	purge clock.Wall   // from then on a pass has tombstones to remove; never: there are none
}

const never clock.Wall = -1

var notCleaned = cleanPoint{purge: never}

func (p cleanPoint) valid() error {
	if p.clean < 0 || p.gaps < p.clean || p.purge < never {
		return fmt.Errorf("clean to %d, gaps to %d, purge at %d", p.clean, p.gaps, p.purge)
	}
	return nil
}

// cutTo is the point of a log that ends at end.
func (p cleanPoint) cutTo(end model.Offset) cleanPoint {
	p.clean, p.gaps = min(p.clean, end), min(p.gaps, end)
	return p
}

// gaps is up to where a segment may end before the next one begins. Nothing tells where the gaps of a log end that is to be compacted and has no point: it may
// come from a Kafka broker. Nor does a point tell of what such a broker has compacted since, but the segments show it (thinned).
func (l *Log) gaps() model.Offset {
	if l.cfg.Compact && !l.pointed {
		return segmentEndMax
	}
	return max(l.point.gaps, l.oddities().thinned)
}

// gapBefore reports whether offsets may be missing right before segment i. Compaction alone explains that: a roll begins where the log ends.
func (l *Log) gapBefore(i int) bool { return l.extents[i].base <= l.gaps() }

// thinned reports whether compaction has taken records from a batch, or before it: in any other log one begins at expect, and holds as many as it has offsets.
func thinned(h *batch.Header, expect model.Offset) bool {
	return h.BaseOffset > expect || h.Records <= h.LastOffsetDelta
}

// lostBefore is why there is damage where a segment ends.
const lostBefore = "the segment ends here, the next one begins at offset %d, and nothing was compacted there"

func writePoint(dir device.Dir, folder string, p cleanPoint) error {
	b := append([]byte(nil), "0\n"...)
	for _, n := range []int64{int64(p.clean), int64(p.gaps), int64(p.purge)} {
		b = append(strconv.AppendInt(b, n, 10), '\n')
	}
	return dir.Replace(path.Join(folder, pointFile), b)
}

// readPoint returns the stored point, and whether there is one. A file that makes no sense costs a pass over the whole log, no more: ok is false then, and offsets
// may be missing anywhere.
func readPoint(dir device.Dir, folder string, end model.Offset) (p cleanPoint, there, ok bool, err error) {
	text, err := dir.ReadFile(path.Join(folder, pointFile), pointFileMax)
	if isNotExist(err) {
		return notCleaned, false, true, nil
	}
	if err != nil {
		return notCleaned, false, false, err
	}
	rest, versioned := strings.CutPrefix(string(text), "0\n")
	lines := strings.Split(rest, "\n")
	if versioned && len(lines) == 4 && lines[3] == "" {
		clean, err1 := strconv.ParseInt(lines[0], 10, 64)
		gaps, err2 := strconv.ParseInt(lines[1], 10, 64)
		purge, err3 := strconv.ParseInt(lines[2], 10, 64)
		p = cleanPoint{model.Offset(clean), model.Offset(gaps), clock.Wall(purge)}
		if err1 == nil && err2 == nil && err3 == nil && p.valid() == nil {
			return p, true, true, nil
		}
	}
	return cleanPoint{gaps: end, purge: never}, true, false, nil
}
