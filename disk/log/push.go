package log

// pushPage is what a file is stored in multiples of: the page that is still written to stays.
const pushPage = 4 << 10

// Push returns the Work that has the kernel begin to store what was appended to the active segment since the last Push or sync, or nil when that
// is less than so many bytes. It runs beside any other Work. A log that is pushed as it grows has little left when a sync comes, which would
// otherwise hold up the writes of everybody on its disk until it is through.
func (l *Log) Push(least int64) *Work {
	if l.err != nil || l.closed || l.busy&busyPush != 0 || len(l.extents) == 0 {
		return nil
	}
	e := l.last()
	to := e.size / pushPage * pushPage
	s := l.open(e)
	if s == nil || to-min(s.pushed, e.size) < least {
		return nil
	}
	from := min(s.pushed, e.size)
	s.pushed = to
	s.hold()
	return l.begin(busyPush, &pushTask{s: s, from: from, to: to})
}

// pushTask leaves its errors to the next sync, which meets them as well.
type pushTask struct {
	s        *Segment
	from, to int64
}

func (t *pushTask) do() error {
	t.s.file.Push(t.from, t.to-t.from)
	return nil
}

func (t *pushTask) finish(*Log, error) error {
	t.s.release()
	return nil
}
