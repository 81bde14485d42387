package log

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/engine/model"
)

// pool runs Works on goroutines and hands them back, as a shard's helpers do.
type pool struct {
	back  chan *Work
	under int
}

func (p *pool) post(w *Work) bool {
	if w == nil {
		return false
	}
	p.under++
	go func() {
		w.Do()
		p.back <- w
	}()
	return true
}

// TestOwnerAndHelpers appends and reads while every kind of Work is under way, in random order, against a plain list of batches. The race
// detector is the point.
func TestOwnerAndHelpers(t *testing.T) {
	cfg := testConfig()
	cfg.SegmentBytes = 20 << 10
	cfg.IndexIntervalBytes = 500
	r := newRig(t, cfg)
	r.files.max = 3
	p := &pool{back: make(chan *Work, 100)}
	o := &owner{t: t, r: r, p: p, random: rand.New(rand.NewPCG(8, uint64(time.Now().UnixNano()))), content: map[model.Offset][]byte{}}
	deadline := time.Now().Add(1500 * time.Millisecond)
	for time.Now().Before(deadline) {
		o.step()
		for len(p.back) > 0 {
			o.finish(<-p.back)
		}
	}
	for p.under > 0 {
		o.finish(<-p.back)
	}
	for _, s := range o.leased {
		r.l.Release(s.span)
	}
	c := r.crash(OpenFrom{RecoveryPoint: r.l.RecoveryPoint()})
	if c.l.End() != r.l.End() || c.rec.Short != 0 {
		t.Fatalf("end %d of %d after a crash, %+v", c.l.End(), r.l.End(), c.rec)
	}
	r.close()
	r.verify()
	r.verifyIndexes()
	t.Logf("%d appends, end %d, %d truncations, %d reads", o.appends, r.l.End(), o.truncations, o.reads)
	if o.appends < 50 || o.reads < 50 {
		t.Fatal("hardly anything happened")
	}
}

type owner struct {
	t           *testing.T
	r           *rig
	p           *pool
	random      *rand.Rand
	content     map[model.Offset][]byte // by base offset
	leased      []leasedSpan
	recovery    model.Offset
	appends     int
	reads       int
	truncations int
}

type leasedSpan struct {
	span Span
	want []byte
}

func (o *owner) finish(w *Work) {
	o.t.Helper()
	o.p.under--
	var err error
	if w.log == nil {
		err = o.r.files.Finish(w)
	} else {
		err = o.r.l.Finish(w)
	}
	if err != nil {
		o.t.Fatal(err)
	}
	if _, is := w.task.(*timeTask); is {
		if offset, _, _, ok := w.Time(); ok && offset < 0 {
			o.t.Fatal("time")
		}
	}
}

func (o *owner) step() {
	l := o.r.l
	switch n := o.random.IntN(100); {
	case n < 50:
		o.append()
	case n < 75:
		o.read()
	case n < 80:
		o.release()
	case n < 84:
		o.p.post(l.SyncWork())
	case n < 86:
		o.p.post(l.SyncSealed())
	case n < 88:
		o.p.post(l.FindTime(int64(o.r.now.Wall) - int64(o.random.IntN(1000))))
	case n < 89:
		o.p.post(l.MaxTime())
	case n < 91 && o.r.files.Over():
		o.p.post(o.r.files.Sweep())
	case n < 93:
		o.p.post(l.Prepare(l.Ahead()))
	case n < 94:
		cfg := l.Config()
		cfg.RetentionBytes = 100_000
		l.SetConfig(cfg)
		o.p.post(l.Expire(o.r.now, l.Written()))
	case n < 95 && l.Written()-l.Start() > 20:
		if o.p.post(l.Truncate(l.Written() - model.Offset(o.random.IntN(12)))) {
			o.truncations++
		}
	default:
		o.r.now.Wall++
	}
}

func (o *owner) append() {
	l := o.r.l
	for range 1 + o.random.IntN(3) {
		b := stamped(l.End(), 0, int64(o.r.now.Wall), 1+o.random.IntN(3), o.random.IntN(2000))
		h, _ := batch.ReadHeader(b)
		need := l.NeedFor(h, o.r.now)
		if need != NeedNone {
			if err := l.Write(); err != nil {
				o.t.Fatal(err)
			}
			o.p.post(l.Prepare(need))
			return
		}
		o.content[l.End()] = b
		l.Stage(b, h, o.r.now)
		o.appends++
	}
	if err := l.Write(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *owner) read() {
	l := o.r.l
	if l.Written() == l.Start() {
		return
	}
	from := l.Start() + model.Offset(o.random.Int64N(int64(l.Written()-l.Start())))
	s, state := l.Read(from, l.Written(), 1+o.random.IntN(5000), true)
	switch state {
	case ReadNeedsWork:
		if o.p.under < 20 {
			o.p.post(l.PrepareRead(from))
		}
	case ReadOK:
		first := o.content[s.Offset]
		if len(first) != s.First || !bytes.Equal(s.Bytes()[:s.First], first) {
			o.t.Fatalf("read at %d: batch at %d differs", from, s.Offset)
		}
		o.reads++
		if o.random.IntN(4) == 0 && len(o.leased) < 10 {
			o.leased = append(o.leased, leasedSpan{s, bytes.Clone(s.Bytes())})
			return
		}
		l.Release(s)
	default:
		o.t.Fatalf("read at %d in [%d, %d): state %d", from, l.Start(), l.Written(), state)
	}
}

// release checks that a leased span, however old, still has its bytes.
func (o *owner) release() {
	if len(o.leased) == 0 {
		return
	}
	i := o.random.IntN(len(o.leased))
	s := o.leased[i]
	if !bytes.Equal(s.span.Bytes(), s.want) {
		o.t.Fatal("bytes under a lease have changed")
	}
	o.r.l.Release(s.span)
	o.leased = append(o.leased[:i], o.leased[i+1:]...)
}
