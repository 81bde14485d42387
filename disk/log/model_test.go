package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"pinion/engine/model"
)

// TestModel does everything a log can do in random order, with deaths in between, and holds what is left against what it was told: the last value
// of each key, offsets, order, nothing invented, the last batch of each producer. MODEL_RUNS makes it longer, MODEL_SEED repeats one.
func TestModel(t *testing.T) {
	runs, seed := 2, rand.Uint64()
	if text := os.Getenv("MODEL_RUNS"); text != "" {
		runs, _ = strconv.Atoi(text)
	}
	if text := os.Getenv("MODEL_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	for n := range runs {
		t.Run(fmt.Sprintf("seed %d", seed+uint64(n)), func(t *testing.T) { liveByChance(t, seed+uint64(n)) })
	}
}

func liveByChance(t *testing.T, seed uint64) {
	cfg := compactConfig()
	g := newLedger(seed)
	g.keys = 1 + g.random.IntN(60)
	cfg.Delete = g.random.IntN(2) == 0
	cfg.DeleteRetentionMs = g.random.Int64N(3000)
	cfg.MinCompactionLagMs = g.random.Int64N(2) * g.random.Int64N(2000)
	r := newRig(t, cfg)
	var pass *Compaction
	end := func() {
		if pass != nil && !pass.Done() {
			if w := pass.Abandon(); w != nil {
				r.run(w)
			}
		}
		pass = nil
	}
	for op := range 700 {
		switch k := g.random.IntN(100); {
		case k < 50:
			r.put(g)
		case k < 75:
			if pass == nil || pass.Done() {
				if w := r.l.SyncSealed(); w != nil {
					r.run(w)
				}
				from := r.compactFrom(g)
				from.Keys = 1 + g.random.IntN(100)
				from.Stable = model.Offset(g.random.Int64N(int64(r.l.Written()) + 1))
				pass = r.l.Compact(from)
			}
			for range 1 + g.random.IntN(6) {
				if pass == nil || pass.Done() {
					break
				}
				if w := pass.Step(); w != nil {
					r.run(w)
				}
			}
			if pass != nil && pass.Err() != nil {
				t.Fatalf("op %d: %v", op, pass.Err())
			}
		case k < 80:
			r.sweep()
		case k < 83 && cfg.Delete:
			cfg.RetentionBytes = r.l.Size() - g.random.Int64N(20_000)
			r.l.SetConfig(cfg)
			if w := r.l.Expire(r.now, r.l.Written()); w != nil {
				r.run(w)
			}
			cfg.RetentionBytes = -1
			r.l.SetConfig(cfg)
		case k < 85:
			to := r.l.Start() + model.Offset(g.random.Int64N(int64(r.l.End()-r.l.Start())+1))
			if g.random.IntN(2) == 0 {
				to = max(to, r.l.CutLimit()) // else most are refused
			}
			if to == r.l.Start() && to > 0 {
				continue // empties the log
			}
			end()
			before, refused := r.l.End(), to < r.l.CutLimit()
			err := r.try(r.l.Truncate(to))
			if errors.Is(err, ErrCompacted) != refused || refused != (err != nil) || refused && r.l.End() != before {
				t.Fatalf("op %d: cut at %d, limit %d, end %d: %v", op, to, r.l.CutLimit(), before, err)
			}
			if !refused {
				g.cut(r.l.End())
			}
		case k < 87:
			if at := r.l.Start() + model.Offset(g.random.Int64N(int64(r.l.End()-r.l.Start())+1)); cfg.Delete {
				if w := r.l.StoreStart(at); w != nil {
					r.run(w)
				}
			}
		case k < 89:
			r.now.Wall += 1000
		case k < 92:
			// Death: the files as they are, mid-pass or not.
			recovery, old := r.l.RecoveryPoint(), r
			r = old.crash(OpenFrom{RecoveryPoint: recovery})
			r.now, pass = old.now, nil
		case k < 94:
			end()
			r.close()
			recovery := r.l.RecoveryPoint()
			r.open(OpenFrom{RecoveryPoint: recovery})
		default:
			r.checkLedger(g, false)
		}
	}
	end()
	r.checkLedger(g, false)
	cfg.MinCompactionLagMs = 0
	r.l.SetConfig(cfg)
	for {
		if _, ok := r.compact(r.compactFrom(g)); !ok {
			break
		}
		r.now.Wall += 4000 // all tombstones are due
	}
	r.checkLedger(g, false)
	checkGapReads(t, r)
	r.close()
	r.verify()
	in, err := Inspect(r.dir, "orders-0", r.cfg.Compact, OpenFrom{RecoveryPoint: r.l.RecoveryPoint()}, nil)
	if err != nil || len(in.Findings) > 0 || in.End != r.l.End() || in.Bytes != r.l.Size() {
		t.Fatalf("inspection: %v, %+v", err, in)
	}
}
