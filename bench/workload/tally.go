package workload

import (
	"sync"
	"time"

	"pinion/bench/load"
)

// base is the zero of stamps and of all times in this package.
var base = time.Now()

func now() int64 { return int64(time.Since(base)) }

// window is the measured time: [begin, end), both fixed before it begins, except that a backlog decides the end later.
type window struct {
	mu         sync.Mutex // guards both
	begin, end int64
}

func (w *window) holds(at int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return at >= w.begin && at < w.end
}

func (w *window) until() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}

func (w *window) set(begin, end int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begin, w.end = begin, end
}

// tally is what one sender or one consumer counts. Clients call back from their own goroutines.
type tally struct {
	mu      sync.Mutex // guards all below
	current load.Interval

	totalSent, totalRead int64 // records since the start, warm-up included
	failure              error // the first one
}

// acknowledged counts one record: as throughput of the time it was answered in, as a latency of the time it was meant for.
func (t *tally) acknowledged(w *window, intended, at int64, bytes int, err error) {
	if err != nil {
		t.failed(err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.totalSent++
	if w.holds(at) {
		t.current.Sent.Requests++
		t.current.Sent.Records++
		t.current.Sent.Bytes += int64(bytes)
	}
	if w.holds(intended) {
		load.Record(&t.current.Latency, at-intended)
	}
}

// failed counts a record that was refused, or a fetch.
func (t *tally) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failure == nil {
		t.failure = err
	}
	t.current.Errors++
}

func (t *tally) forgive() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current.Errors = 0
}

func (t *tally) delayed(d int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	load.Record(&t.current.Delay, d)
}

// read counts the records of one poll.
func (t *tally) read(records int, bytes int64, latencies []int64, counts bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.totalRead += int64(records)
	if counts {
		t.current.Received.Requests++
		t.current.Received.Records += int64(records)
		t.current.Received.Bytes += bytes
	}
	for _, l := range latencies {
		load.Record(&t.current.EndToEnd, l)
	}
}

// take gives what was counted since the last call.
func (t *tally) take() load.Interval {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.current
	t.current = load.Interval{}
	return one
}

func (t *tally) totals() (sent, read int64, failure error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.totalSent, t.totalRead, t.failure
}
