package log

import (
	"bytes"
	"testing"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// expireAll runs retention until it is content.
func (r *rig) expireAll(high model.Offset) {
	r.t.Helper()
	for range 10 {
		w := r.l.Expire(r.now, high)
		if w == nil {
			return
		}
		r.run(w)
	}
	r.t.Fatal("retention never ends")
}

func TestRetention(t *testing.T) {
	fill := func(t *testing.T) *rig {
		r := newRig(t, testConfig())
		for range 300 {
			r.append(1, 1000)
		}
		return r
	}
	t.Run("off", func(t *testing.T) {
		r := fill(t)
		r.now.Wall += 1 << 40
		if r.l.Expire(r.now, r.l.End()) != nil {
			t.Fatal("something expires")
		}
	})
	t.Run("not ours", func(t *testing.T) {
		r := fill(t)
		r.cfg.Delete, r.cfg.RetentionMs, r.cfg.RetentionBytes = false, 1, 1
		r.l.SetConfig(r.cfg)
		r.now.Wall += 1000
		if r.l.Expire(r.now, r.l.End()) != nil {
			t.Fatal("something expires without the delete policy")
		}
	})
	t.Run("bytes", func(t *testing.T) {
		r := fill(t)
		span, _ := r.read(0, 300, 10000, true)
		want := bytes.Clone(span.Bytes())
		r.cfg.RetentionBytes = 130_000
		r.l.SetConfig(r.cfg)
		size, second := r.l.Size(), r.l.extents[2].base
		r.expireAll(r.l.End())
		// A segment goes only if the rest still has that many bytes.
		if r.l.Size() < 130_000 || r.l.Size()-r.l.extents[0].size >= 130_000 || r.l.Size() >= size {
			t.Fatalf("%d bytes of %d remain", r.l.Size(), size)
		}
		if r.l.Start() < second || r.l.Start() != r.l.extents[0].base {
			t.Fatalf("start %d", r.l.Start())
		}
		if _, state := r.l.Read(r.l.Start()-1, 300, 1, true); state != ReadBelowStart {
			t.Fatalf("state %d", state)
		}
		r.sweep()
		if !bytes.Equal(span.Bytes(), want) {
			t.Fatal("leased bytes changed")
		}
		r.l.Release(span)
		checkReads(t, r)
		if e := r.l.EpochAt(r.l.Start()); e != 0 || r.l.EpochAt(0) != model.NoEpoch {
			t.Fatal("epochs do not begin at the start")
		}
		c := r.crash(OpenFrom{RecoveryPoint: r.l.RecoveryPoint()})
		if c.l.Start() != r.l.Start() || c.l.End() != 300 {
			t.Fatalf("after a start [%d, %d)", c.l.Start(), c.l.End())
		}
		r.close()
		r.verify()
	})
	t.Run("time, and the high watermark holds", func(t *testing.T) {
		r := fill(t)
		r.cfg.RetentionMs = 1000
		r.l.SetConfig(r.cfg)
		third := r.l.extents[2].base
		r.now.Wall += 10_000
		r.expireAll(third + 1)
		if r.l.Start() != third || r.l.Segments() < 3 {
			t.Fatalf("start %d, want %d", r.l.Start(), third)
		}
		r.expireAll(r.l.End())
		if r.l.Start() != 300 || r.l.Size() != 0 || r.l.Segments() != 1 {
			t.Fatalf("start %d, %d bytes in %d segments: the active one must be rolled", r.l.Start(), r.l.Size(), r.l.Segments())
		}
		if c := r.crash(OpenFrom{RecoveryPoint: 300}); c.l.Start() != 300 || c.l.End() != 300 {
			t.Fatalf("after a start [%d, %d)", c.l.Start(), c.l.End())
		}
		r.append(1, 1)
		checkReads(t, r)
	})
	t.Run("start was moved", func(t *testing.T) {
		r := fill(t)
		if r.l.AdvanceStart(301) || !r.l.AdvanceStart(150) || r.l.AdvanceStart(100) {
			t.Fatal("wrong starts pass")
		}
		if _, state := r.l.Read(149, 300, 1, true); state != ReadBelowStart {
			t.Fatalf("state %d", state)
		}
		r.expireAll(300)
		if r.l.Start() != 150 || r.l.extents[0].base > 150 || r.l.extents[1].base <= 150 {
			t.Fatalf("start %d, segments from %d", r.l.Start(), r.l.extents[0].base)
		}
		if c := r.crash(OpenFrom{Start: 150}); c.l.Start() != 150 {
			t.Fatalf("start %d", c.l.Start())
		}
	})
	t.Run("no timestamps", func(t *testing.T) {
		r := newRig(t, testConfig())
		for range 200 {
			r.stage(stamped(r.l.End(), 0, -1, 1, 1000))
			if err := r.l.Write(); err != nil {
				t.Fatal(err)
			}
		}
		r.cfg.RetentionMs = 1000
		r.l.SetConfig(r.cfg)
		if r.l.Expire(r.now, 200) != nil {
			t.Fatal("expired at once")
		}
		r.now.Wall += 2000
		r.expireAll(200)
		if r.l.Start() != 200 {
			t.Fatalf("start %d", r.l.Start())
		}
	})
}

// TestRetentionOfThePast: records that are older than retention when they come are kept for as long as any other, also after a start.
func TestRetentionOfThePast(t *testing.T) {
	cfg := testConfig()
	cfg.RetentionMs = 10_000
	r := newRig(t, cfg)
	r.now.Wall = clock.Wall(time.Now().UnixMilli()) // files carry the machine's time
	past := int64(r.now.Wall) - 365*24*3600*1000
	for range 200 {
		r.stage(stamped(r.l.End(), 0, past, 1, 1000))
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	r.run(r.l.SyncWork())
	written := r.now
	for _, c := range []*rig{r, r.crash(OpenFrom{RecoveryPoint: 200})} {
		c.now = written
		if w := c.l.Expire(c.now, 200); w != nil {
			t.Fatal("records of the past go at once")
		}
		c.now.Wall += 60_000
		if c.expireAll(200); c.l.Start() != 200 {
			t.Fatalf("start %d: records of the past stay for ever", c.l.Start())
		}
	}
	// What was fresh when it came goes by its own time, as in Kafka.
	fresh := newRig(t, cfg)
	fresh.now = written
	for range 200 {
		fresh.stage(stamped(fresh.l.End(), 0, int64(fresh.now.Wall)-9_000, 1, 1000))
		if err := fresh.l.Write(); err != nil {
			t.Fatal(err)
		}
	}
	fresh.now.Wall += 2_000
	if fresh.expireAll(200); fresh.l.Start() != 200 {
		t.Fatalf("start %d", fresh.l.Start())
	}
}

// TestRoll is Kafka's LogSegment.shouldRoll.
func TestRoll(t *testing.T) {
	r := newRig(t, testConfig())
	r.cfg.SegmentMs = 1000
	r.l.SetConfig(r.cfg)
	first := int64(r.now.Wall)
	r.append(1, 10)
	if need := r.l.Need(100, r.now, first+1000); need != NeedNone {
		t.Fatalf("need %v", need)
	}
	if need := r.l.Need(100, r.now, first+1001); need != NeedRoll {
		t.Fatalf("a batch 1001 ms later needs %v", need)
	}
	if need := r.l.Need(int(r.cfg.SegmentBytes), r.now, first); need != NeedRoll {
		t.Fatalf("a full segment needs %v", need)
	}
	if r.l.Fits(int(r.cfg.SegmentBytes)+1) || !r.l.Fits(int(r.cfg.SegmentBytes)) {
		t.Fatal("fits")
	}
	r.cfg.IndexBytesMax = 7
	r.l.SetConfig(r.cfg)
	if need := r.l.Need(10, r.now, first); need != NeedRoll {
		t.Fatalf("a full index needs %v", need)
	}
	r.cfg.IndexBytesMax = 10 << 20
	r.cfg.SegmentJitterMs = 900
	r.l.SetConfig(r.cfg)
	due := int64(0)
	for ms := int64(0); ms <= 1001; ms++ {
		if r.l.Need(10, r.now, first+ms) == NeedRoll {
			due = ms
			break
		}
	}
	if due < 100 || due > 1001 {
		t.Fatalf("due after %d ms", due)
	}
	if c := r.crash(OpenFrom{}); c.l.tail.firstTime != first {
		t.Fatalf("first timestamp %d after a start, %d before", c.l.tail.firstTime, first)
	}
	// Without timestamps the clock counts.
	q := newRig(t, r.cfg)
	q.stage(stamped(0, 0, -1, 1, 10))
	if err := q.l.Write(); err != nil {
		t.Fatal(err)
	}
	if need := q.l.Need(10, q.now, -1); need != NeedNone {
		t.Fatalf("need %v", need)
	}
	q.now.Wall += 1002
	if need := q.l.Need(10, q.now, -1); need != NeedRoll {
		t.Fatalf("a second later needs %v", need)
	}
}

// TestRetentionOnAFullDisk: what fills the disk may be the active segments, which go once they have expired though nothing can be reserved
// for those that follow them.
func TestRetentionOnAFullDisk(t *testing.T) {
	r, d := nearlyFull(t)
	d.Limit(d.Used() + 4096)
	d.KeepFree(8192)
	r.cfg.RetentionMs = 1000
	r.l.SetConfig(r.cfg)
	r.now.Wall += 10_000
	used := d.Used()
	r.expireAll(r.l.End())
	r.sweep()
	if r.l.Start() != r.l.End() || d.Used() >= used {
		t.Fatalf("start %d, end %d; %d bytes used of %d", r.l.Start(), r.l.End(), d.Used(), used)
	}
	d.Limit(0)
	r.append(1, 100)
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
}
