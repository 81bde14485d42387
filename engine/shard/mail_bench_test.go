package shard

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What the intrusive stack is held against: one bounded single-producer ring for each pair of shards, as small and quick as one can be
// made. The receiver looks at every ring; a sender that finds its ring full has to wait, which a shard may not.

type ring1 struct {
	head atomic.Uint64 // next to take
	_    [56]byte
	tail atomic.Uint64 // next to fill
	_    [56]byte
	seen uint64 // the sender's idea of head
	_    [56]byte
	mail [256]Mail
}

func (r *ring1) push(m Mail) bool {
	tail := r.tail.Load()
	if tail-r.seen == uint64(len(r.mail)) {
		if r.seen = r.head.Load(); tail-r.seen == uint64(len(r.mail)) {
			return false
		}
	}
	r.mail[tail%uint64(len(r.mail))] = m
	r.tail.Store(tail + 1) // publishes the entry
	return true
}

func (r *ring1) drain(f func(Mail)) {
	head, tail := r.head.Load(), r.tail.Load()
	for ; head != tail; head++ {
		f(r.mail[head%uint64(len(r.mail))])
	}
	r.head.Store(head)
}

// A turn's worth of mail from each sender, one receiver. The senders go round a fixed lot of letters, so each may post again only what the
// receiver is done with; both designs pay for that alike.
func benchSenders(b *testing.B, senders int, push func(sender int, m Mail) bool, drain func(f func(Mail))) {
	const lot = 512
	type letters struct {
		mail  [lot]parcel
		taken atomic.Uint64
		_     [56]byte
	}
	all := make([]letters, senders)
	for s := range all {
		for i := range all[s].mail {
			all[s].mail[i].do = func(*Turn) { all[s].taken.Add(1) }
		}
	}
	each := uint64(b.N/senders + 1)
	var waits atomic.Uint64
	var done sync.WaitGroup
	b.ResetTimer()
	for s := range all {
		done.Go(func() {
			for i := uint64(0); i < each; i++ {
				for i-all[s].taken.Load() >= lot {
					runtime.Gosched()
				}
				for !push(s, &all[s].mail[i%lot]) {
					waits.Add(1)
					runtime.Gosched()
				}
			}
		})
	}
	for left := each * uint64(senders); left > 0; {
		n := left
		drain(func(m Mail) {
			left--
			m.Deliver(nil)
		})
		if n == left {
			runtime.Gosched()
		}
	}
	done.Wait()
	b.ReportMetric(float64(waits.Load())/float64(b.N), "full/op")
}

func drainLane(q *lane, f func(Mail)) {
	for l := q.take(); l != nil; {
		next, body := l.next, l.body
		l.next, l.body = nil, nil
		f(body)
		l = next
	}
}

func BenchmarkMail(b *testing.B) {
	for _, senders := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("stack/senders=%d", senders), func(b *testing.B) {
			var q lane
			benchSenders(b, senders, func(_ int, m Mail) bool { q.push(m); return true }, func(f func(Mail)) { drainLane(&q, f) })
		})
		b.Run(fmt.Sprintf("rings/senders=%d", senders), func(b *testing.B) {
			rings := make([]ring1, senders)
			benchSenders(b, senders, func(s int, m Mail) bool { return rings[s].push(m) }, func(f func(Mail)) {
				for i := range rings {
					rings[i].drain(f)
				}
			})
		})
	}
}

// What looking costs when nothing came, with the peers of a large node: every turn pays it.
func BenchmarkMailNone(b *testing.B) {
	b.Run("stack", func(b *testing.B) {
		var q lane
		for b.Loop() {
			drainLane(&q, func(Mail) {})
		}
	})
	for _, peers := range []int{7, 31, 63} {
		b.Run(fmt.Sprintf("rings/peers=%d", peers), func(b *testing.B) {
			rings := make([]ring1, peers)
			for b.Loop() {
				for i := range rings {
					rings[i].drain(func(Mail) {})
				}
			}
		})
	}
}

// One thread, no contention: the instructions alone, in lots as a turn posts them.
func BenchmarkMailUncontended(b *testing.B) {
	const lot = 64
	mail := make([]parcel, lot)
	for i := range mail {
		mail[i].do = func(*Turn) {}
	}
	b.Run("stack", func(b *testing.B) {
		var q lane
		for i := 0; i < b.N; i += lot {
			for k := range mail {
				q.push(&mail[k])
			}
			drainLane(&q, func(m Mail) { m.Deliver(nil) })
		}
	})
	b.Run("ring", func(b *testing.B) {
		var r ring1
		for i := 0; i < b.N; i += lot {
			for k := range mail {
				r.push(&mail[k])
			}
			r.drain(func(m Mail) { m.Deliver(nil) })
		}
	})
}

// There and back between two shards: with the sleeping flag, the bell, and polling if it is paid for.
func BenchmarkExchange(b *testing.B) {
	for _, polls := range []bool{false, true} {
		b.Run(fmt.Sprintf("polls=%v", polls), func(b *testing.B) {
			set := startSet(b, 2)
			left := b.N
			finished := make(chan struct{})
			ball := &pingPong{polls: polls, finished: finished, end: time.Now().Add(24 * time.Hour)}
			ball.note = func(time.Duration) {
				if left--; left == 0 {
					ball.end = time.Now().Add(-time.Second)
				}
			}
			b.ResetTimer()
			set.Shard(0).Visit(func(t *Turn) { ball.serve(t) })
			<-finished
		})
	}
}

func BenchmarkTimers(b *testing.B) {
	for _, armed := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("armed=%d", armed), func(b *testing.B) {
			set := startSet(b, 1)
			timers := make([]Timer, armed)
			on(b, set, 0, func(t *Turn) {
				for i := range timers {
					t.Arm(&timers[i], time.Hour+time.Duration(i*7919%armed)*time.Second, nil)
				}
				b.ResetTimer()
				for i := 0; b.Loop(); i++ {
					t.Arm(&timers[i%armed], time.Hour+time.Duration(i*104729%armed)*time.Second, nil)
				}
			})
		})
	}
}
