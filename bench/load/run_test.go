package load

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// answering is a topic of one partition whose leader answers each request with what a function makes of it.
func answering(t *testing.T, answer func(frame []byte) []byte) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c, answer)
		}
	}()
	return Target{Topic: "some-topic", Leaders: []string{l.Addr().String()}}
}

func serve(c net.Conn, answer func(frame []byte) []byte) {
	defer c.Close()
	for {
		frame := make([]byte, 4)
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint32(frame))...)
		if _, err := io.ReadFull(c, frame[4:]); err != nil {
			return
		}
		if _, err := c.Write(answer(frame)); err != nil {
			return
		}
	}
}

func produced(frame []byte) []byte {
	return AppendProduceReply(nil, Correlation(frame), ProducedTopic(frame))
}

// A broker that answers only once the measured time is over has done nothing in it; how long all of it took is known nevertheless.
func TestWhatIsAnsweredLaterIsNoThroughput(t *testing.T) {
	over := make(chan struct{})
	target := answering(t, func(frame []byte) []byte {
		<-over
		return produced(frame)
	})
	plan := Plan{Duration: 100 * time.Millisecond, Produce: &Produce{Target: target, Connections: 1, Shape: Shape{Records: 1, RecordBytes: 100}, Acks: 1, Rate: 1000}}
	o, err := Run(t.Context(), nil, plan, Hooks{End: func() { close(over) }})
	if err != nil {
		t.Fatal(err)
	}
	if o.Total.Sent != (Count{}) || o.Total.Latency.TotalCount() != 100 {
		t.Errorf("throughput of %+v, %d latencies; want none and 100", o.Total.Sent, o.Total.Latency.TotalCount())
	}
}

// What a broker, or the generator, cannot keep up with is counted as unanswered; a rate that is held leaves nothing.
func TestEverythingDueIsAccountedFor(t *testing.T) {
	for _, c := range []struct {
		rate, left int64
		answer     func(frame []byte) []byte
	}{
		{1000, 0, produced},
		{5_000_000, 5_000_000 * 3 / 10, func([]byte) []byte { return nil }},
	} {
		plan := Plan{Duration: 300 * time.Millisecond, Produce: &Produce{Target: answering(t, c.answer), Connections: 1,
			Shape: Shape{Records: 1, RecordBytes: 100}, Acks: 1, Rate: float64(c.rate)}}
		if c.left > 0 {
			plan.Grace = time.Millisecond // nothing will come
		}
		o, err := Run(t.Context(), nil, plan, Hooks{})
		if err != nil {
			t.Fatal(err)
		}
		if o.Unanswered != c.left {
			t.Errorf("%d a second: %d unanswered, want %d", c.rate, o.Unanswered, c.left)
		}
		if h := o.Total.Latency; c.left == 0 && h.TotalCount() != c.rate*3/10 {
			t.Errorf("%d a second: %d latencies", c.rate, h.TotalCount())
		}
	}
}

// A batch that the end of an answer cuts off comes again, and counts then.
func TestCutOffBatchesAreNotCounted(t *testing.T) {
	shape := Shape{Records: 10, RecordBytes: 100}
	whole, err := shape.Batch()
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{})
	target := answering(t, func(frame []byte) []byte {
		<-begun
		return AppendFetchReply(nil, Correlation(frame), "some-topic", append(whole[:len(whole):len(whole)], whole[:len(whole)/2]...))
	})
	plan := Plan{Duration: time.Hour, Fetch: &Fetch{Target: target, Connections: 1, BytesMax: 1 << 20, Starts: []int64{0}, Ends: []int64{10}, Once: true}}
	o, err := Run(t.Context(), nil, plan, Hooks{Begin: func() { close(begun) }})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Count{1, 10, int64(len(whole))}); o.Total.Received != want {
		t.Errorf("%+v, want %+v", o.Total.Received, want)
	}
}

// echoing is a partition that gives back what it got, once its reader may go on.
type echoing struct {
	mu     sync.Mutex
	log    []byte
	starts []int // of each record's batch in the log
	read   chan struct{}
}

func (e *echoing) answer(frame []byte) []byte {
	if !IsFetch(frame) {
		e.mu.Lock()
		defer e.mu.Unlock()
		b := ProducedBatch(frame)
		binary.BigEndian.PutUint64(b, uint64(len(e.starts)))
		e.starts, e.log = append(e.starts, len(e.log)), append(e.log, b...)
		return produced(frame)
	}
	<-e.read
	e.mu.Lock()
	defer e.mu.Unlock()
	var rest []byte
	if _, from := Fetched(frame); int(from) < len(e.starts) {
		rest = e.log[e.starts[from]:]
	}
	return AppendFetchReply(nil, Correlation(frame), "some-topic", rest)
}

func (e *echoing) records() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int64(len(e.starts))
}

// However many threads there are, a reader that is behind at the end is waited for, and what it does not get is counted.
func TestAllThreadsWaitForTheTail(t *testing.T) {
	for _, threads := range []int{1, 3} {
		tailed := func(e *echoing, grace time.Duration, atEnd func()) *Outcome {
			target, one := answering(t, e.answer), Shape{Records: 1, RecordBytes: 100}
			plan := Plan{Duration: 100 * time.Millisecond, Grace: grace, Threads: threads,
				Produce: &Produce{Target: target, Connections: 3, Shape: one, Acks: 1, Rate: 1000, Stamp: true},
				Tail:    &Tail{Target: target, Connections: 1, From: []int64{0}, RecordBytes: one.RecordBytes}}
			o, err := Run(t.Context(), nil, plan, Hooks{End: atEnd})
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		late := &echoing{read: make(chan struct{})}
		o := tailed(late, graceDefault, func() { close(late.read) })
		if h := o.Total.EndToEnd; h == nil || h.TotalCount() != late.records() || o.Unread != 0 {
			t.Errorf("%d threads: %d records, end to end %v, %d unread", threads, late.records(), h, o.Unread)
		}
		silent := &echoing{read: make(chan struct{})}
		o = tailed(silent, 100*time.Millisecond, nil)
		close(silent.read)
		if o.Unread == 0 || o.Unread > silent.records() {
			t.Errorf("%d threads: %d unread of %d", threads, o.Unread, silent.records())
		}
	}
}
