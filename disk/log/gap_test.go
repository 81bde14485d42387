package log

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"pinion/disk/batch"
	"pinion/engine/model"
)

// sealedLog is a closed log of several segments, and their bases; each batch holds one offset.
func sealedLog(t *testing.T, cfg Config) (r *rig, bases []model.Offset) {
	t.Helper()
	cfg.SegmentBytes = 2000
	r = newRig(t, cfg)
	for r.l.Segments() < 5 {
		r.append(1, 100)
	}
	for i := range r.l.extents {
		bases = append(bases, r.l.extents[i].base)
	}
	r.close()
	return r, bases
}

// lose removes a segment.
func (r *rig) lose(base model.Offset) {
	r.t.Helper()
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix} {
		if err := os.Remove(r.file(base, suffix)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// loseEnd cuts the last batch of a segment off.
func (r *rig) loseEnd(base model.Offset) {
	r.t.Helper()
	raw := mustRead(r.t, r.file(base, logSuffix))
	at := 0
	for {
		h, _ := batch.ReadHeader(raw[at:])
		if at+h.Size() == len(raw) {
			mustWrite(r.t, r.file(base, logSuffix), raw[:at])
			return
		}
		at += h.Size()
	}
}

// lost reads at an offset, as often as it takes, and is the error that comes of it.
func (r *rig) lost(at model.Offset) error {
	r.t.Helper()
	for range 5 {
		s, state := r.l.Read(at, r.l.End(), 1000, true)
		if state == ReadOK {
			r.l.Release(s)
			return nil
		}
		if state != ReadNeedsWork {
			r.t.Fatalf("read at %d: state %d", at, state)
		}
		if err := r.try(r.l.PrepareRead(at)); err != nil {
			return err
		}
	}
	r.t.Fatalf("reading at %d never ends", at)
	return nil
}

// TestLostSegmentsAreNotPassedOver: what was durable and is gone between two segments stops who reads there, whatever may be compacted elsewhere in
// the log. What lies before and behind can be read.
func TestLostSegmentsAreNotPassedOver(t *testing.T) {
	for name, cfg := range map[string]Config{"delete": testConfig(), "compact": compactConfig()} {
		for _, whole := range []bool{true, false} {
			r, bases := sealedLog(t, cfg)
			from, end := bases[1], r.l.End()
			if whole {
				r.lose(bases[1])
			} else {
				r.loseEnd(bases[1])
				from = bases[2] - 1
			}
			r.open(OpenFrom{RecoveryPoint: end})
			in, err := Inspect(r.dir, "orders-0", cfg.Compact, OpenFrom{RecoveryPoint: end}, nil)
			if err != nil || len(in.Findings) == 0 || !in.Findings[0].Damage() || in.Findings[0].Offset != from {
				t.Errorf("%s, all of it %v: inspection: %v, %+v", name, whole, err, in.Findings)
			}
			for _, opened := range []bool{false, true} {
				for _, at := range []model.Offset{from, bases[2] - 1} {
					var damage *Damage
					if err := r.lost(at); !errors.As(err, &damage) || damage.Offset != from || !strings.Contains(damage.Reason, "begins at offset") {
						t.Fatalf("%s, all of it %v, opened %v: read at %d: %v", name, whole, opened, at, err)
					}
				}
				for _, at := range []model.Offset{0, from - 1, bases[2], end - 1} {
					if err := r.lost(at); err != nil {
						t.Fatalf("%s, all of it %v, opened %v: read at %d: %v", name, whole, opened, at, err)
					}
				}
			}
			if cfg.Compact {
				c := r.l.Compact(r.wholePass())
				for step := c.Step(); step != nil; step = c.Step() {
					if err := r.try(step); err != nil {
						break
					}
				}
				if !IsDamage(c.Err()) || r.l.CutLimit() != 0 {
					t.Fatalf("a pass over the loss: %v, gaps to %d", c.Err(), r.l.CutLimit())
				}
			}
			r.close()
		}
	}
}

// TestRetentionBesideALoss: a segment that is gone by the time the work is home takes no log offline.
func TestRetentionBesideALoss(t *testing.T) {
	r, bases := sealedLog(t, testConfig())
	end := r.l.End()
	r.lose(bases[1])
	r.open(OpenFrom{RecoveryPoint: end})
	work := r.l.PrepareRead(bases[1])
	work.Do()
	cfg := r.l.Config()
	cfg.RetentionBytes = r.l.Size() - r.l.extents[0].size
	r.l.SetConfig(cfg)
	r.run(r.l.Expire(r.now, end))
	if err := r.l.Finish(work); err != nil || r.l.Start() != bases[2] {
		t.Fatalf("%v, start %d, want %d", err, r.l.Start(), bases[2])
	}
	r.close()
}

// foreign lays down what a Kafka broker may have left of a compacted topic: keyed batches of two offsets, behind which offsets are missing.
func foreign(t *testing.T, cfg Config) (r *rig, ends []model.Offset) {
	t.Helper()
	r = newRig(t, cfg)
	r.close()
	if err := os.MkdirAll(r.path+"/orders-0", 0o700); err != nil {
		t.Fatal(err)
	}
	mustWrite(t, r.path+"/orders-0/"+metadataFile, appendMetadata(nil, testID))
	for base := model.Offset(0); base < 100; base += 20 {
		b := batch.NewBuilder()
		for i := range 2 {
			b.Add(int64(r.now.Wall), []byte{byte(base), byte(i)}, []byte("v"))
		}
		raw := b.Bytes()
		first, second := base+base/20, base+base/20+5
		if base == 80 { // the last segment is compacted nowhere
			first, second = 80, 82
		}
		batch.Stamp(raw, first, 0)
		next := bytes.Clone(raw)
		batch.Stamp(next, second, 0)
		mustWrite(t, r.file(base, logSuffix), append(raw, next...))
		ends = append(ends, second+2)
	}
	return r, ends
}

// TestForeignGapsArePassed: no log that a Kafka broker has compacted goes offline for it, whatever has become of its topic since.
func TestForeignGapsArePassed(t *testing.T) {
	whole := func(r *rig, ends []model.Offset) {
		r.t.Helper()
		in, err := Inspect(r.dir, "orders-0", r.l.cfg.Compact, OpenFrom{RecoveryPoint: ends[4]}, nil)
		if err != nil || slices.ContainsFunc(in.Findings, func(f Finding) bool { return f.Damage() }) {
			r.t.Errorf("inspection: %v, %+v", err, in.Findings)
		}
		for range 2 {
			for at := range r.l.End() {
				if err := r.lost(at); err != nil {
					r.t.Fatalf("read at %d: %v", at, err)
				}
			}
		}
		if got := r.l.End(); got != ends[len(ends)-1] {
			r.t.Fatalf("ends at %d, want %d", got, ends[len(ends)-1])
		}
	}
	cfg := compactConfig()
	t.Run("compact", func(t *testing.T) {
		r, ends := foreign(t, cfg)
		r.open(OpenFrom{RecoveryPoint: ends[4]})
		whole(r, ends)
		r.close()
	})
	for _, pointed := range []bool{false, true} { // the other was ours before
		t.Run("delete by now", func(t *testing.T) {
			cfg := testConfig()
			r, ends := foreign(t, cfg)
			if pointed {
				mustWrite(t, r.path+"/orders-0/"+pointFile, []byte("0\n0\n0\n-1\n"))
			}
			r.open(OpenFrom{RecoveryPoint: ends[4]})
			whole(r, ends)
			r.close()
		})
	}
	t.Run("compacted in part by ours", func(t *testing.T) {
		r, ends := foreign(t, cfg)
		// Of the later segments only the numbers tell that anything is missing behind them.
		for base := model.Offset(60); base < 100; base += 20 {
			mustWrite(t, r.file(base, logSuffix), stamped(base, 0, int64(r.now.Wall), 4, 10))
		}
		r.open(OpenFrom{RecoveryPoint: ends[4]})
		r.run(r.l.SyncWork())
		from := r.wholePass()
		from.Keys, from.StepMax = 3, 1
		c := r.l.Compact(from)
		for step := c.Step(); step != nil; step = c.Step() {
			r.run(step)
		}
		if c.Err() != nil || !c.Stats().MapFull || r.l.point.clean >= 60 || !r.l.pointed {
			t.Fatalf("%v, %+v, point %+v", c.Err(), c.Stats(), r.l.point)
		}
		whole(r, ends)
		r.close()
		r.open(OpenFrom{RecoveryPoint: ends[4]})
		whole(r, ends)
		deleted := cfg
		deleted.Compact = false
		r.l.SetConfig(deleted)
		whole(r, ends)
		r.close()
	})
	t.Run("emptied", func(t *testing.T) {
		r, ends := foreign(t, cfg)
		for _, base := range []model.Offset{0, 40} {
			mustWrite(t, r.file(base, logSuffix), nil)
		}
		r.open(OpenFrom{RecoveryPoint: ends[4]})
		whole(r, ends)
		r.close()
	})
}
