package log

import (
	"fmt"
	"testing"

	"pinion/disk/batch"
	"pinion/engine/model"
)

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{100, 1000, 16000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			cfg := testConfig()
			cfg.SegmentBytes = 256 << 20
			cfg.RetentionBytes = 512 << 20
			r := newRig(b, cfg)
			raw := stamped(0, 0, 1, 1, size)
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				batch.Stamp(raw, r.l.End(), 0)
				h, _ := batch.ReadHeader(raw)
				for need := r.l.Need(len(raw), r.now, h.MaxTimestamp); need != NeedNone; need = r.l.Need(len(raw), r.now, h.MaxTimestamp) {
					r.run(r.l.Prepare(need))
					if w := r.l.Expire(r.now, r.l.End()); w != nil {
						r.run(w)
						r.sweep()
					}
				}
				r.l.Stage(raw, h, r.now)
				if err := r.l.Write(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	cfg := testConfig()
	cfg.SegmentBytes = 256 << 20
	r := newRig(b, cfg)
	for range 50_000 {
		r.append(1, 1000)
	}
	for name, back := range map[string]model.Offset{"tail": 10, "walk": 5_000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := model.Offset(0)
			for b.Loop() {
				n++
				s, state := r.l.Read(r.l.Written()-back-n%back, r.l.Written(), 64<<10, true)
				if state != ReadOK {
					b.Fatal(state)
				}
				r.l.Release(s)
			}
		})
	}
}
