package slab

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"pinion/engine/shard"
)

// asker wants bytes and waits when it is refused, as a connection does.
type asker struct {
	id     int
	want   int64
	budget *Budget
	told   *[]int
	then   func(a *asker)
}

func (a *asker) Refill(*shard.Turn) {
	*a.told = append(*a.told, a.id)
	if a.then != nil {
		a.then(a)
	}
}

// The budget against its rules: never more than the limit, but for one reservation alone; whoever was refused is told in the order of
// waiting, once for each wait, also when being told makes it take, wait again, or take others off the list.
func TestBudgetAgainstItsRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b := &Budget{Limit: 100}
		var held []int64 // reservations outstanding
		var waiting []*asker
		var told []int
		var inRound map[int]bool
		ids := 0
		forget := func(a *asker) {
			waiting = slices.DeleteFunc(waiting, func(x *asker) bool { return x == a })
			b.Forget(a)
		}
		reserve := func(n int64) bool {
			sum := int64(0)
			for _, h := range held {
				sum += h
			}
			ok := b.Reserve(n)
			if want := sum == 0 || sum+n <= b.Limit; ok != want {
				rt.Fatalf("reserve %d of %d with %d used: %v", n, b.Limit, sum, ok)
			}
			if ok {
				held = append(held, n)
			}
			return ok
		}
		wait := func(a *asker) {
			waiting = append(waiting, a)
			b.Wait(a)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"ask": func(rt *rapid.T) {
				n := int64(rapid.IntRange(1, 130).Draw(rt, "bytes"))
				if reserve(n) {
					return
				}
				ids++
				a := &asker{id: ids, want: n, budget: b, told: &told}
				a.then = func(a *asker) {
					if len(waiting) == 0 || waiting[0] != a {
						rt.Fatalf("%d told out of turn", a.id)
					}
					waiting = waiting[1:]
					if inRound[a.id] {
						rt.Fatalf("%d asked twice in one round", a.id)
					}
					inRound[a.id] = true
					switch rapid.IntRange(0, 4).Draw(rt, "then") {
					case 0: // gives up
					case 1: // takes the next in line with it, as closing a connection may
						if len(waiting) > 0 {
							forget(waiting[0])
						}
					default:
						if !reserve(a.want) {
							wait(a)
						}
					}
				}
				wait(a)
			},
			"return": func(rt *rapid.T) {
				if len(held) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
				n := held[i]
				held = slices.Delete(held, i, i+1)
				before := len(waiting)
				inRound = map[int]bool{}
				b.Return(nil, n)
				if before > 0 && len(inRound) == 0 {
					rt.Fatalf("%d waited and nobody was told", before)
				}
			},
			"forget": func(rt *rapid.T) {
				if len(waiting) > 0 {
					forget(waiting[rapid.IntRange(0, len(waiting)-1).Draw(rt, "who")])
				}
			},
			"": func(rt *rapid.T) {
				sum, largest := int64(0), int64(0)
				for _, h := range held {
					sum, largest = sum+h, max(largest, h)
				}
				if b.Used() != sum || b.Peak() < sum {
					rt.Fatalf("used %d, peak %d, reserved %d", b.Used(), b.Peak(), sum)
				}
				if sum > b.Limit && len(held) > 1 {
					rt.Fatalf("%d reserved of %d in %v", sum, b.Limit, held)
				}
			},
		})
	})
}

// nested gives bytes back while it is told that bytes came back.
type nested struct {
	budget *Budget
	held   int64
}

func (n *nested) Refill(t *shard.Turn) {
	if give := n.held; give > 0 {
		n.held = 0
		n.budget.Return(t, give)
	}
}

func TestWaiterMayGiveBackWhatItHolds(t *testing.T) {
	b := &Budget{Limit: 100}
	b.Reserve(60)
	b.Reserve(40)
	var told []int
	b.Wait(&nested{budget: b, held: 40})
	b.Wait(&asker{id: 1, told: &told})
	b.Wait(&asker{id: 2, told: &told})
	b.Return(nil, 60)
	if b.Used() != 0 || !slices.Equal(told, []int{1, 2}) {
		t.Errorf("used %d, told %v", b.Used(), told)
	}
}

func TestReturningTooMuchIsCaught(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("the budget took back what it never gave")
		}
	}()
	b := &Budget{Limit: 10}
	b.Reserve(1)
	b.Return(nil, 2)
}

// again is a waiter that is refused and waits again, as a connection does whose frame still finds no room.
type again struct{ budget *Budget }

func (a *again) Refill(*shard.Turn) { a.budget.Wait(a) }

// A return costs the same for each waiter, however many there are.
func BenchmarkReturn(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(map[bool]string{true: "few", false: "many"}[n == 100], func(b *testing.B) {
			budget := &Budget{Limit: 1 << 30}
			budget.Reserve(1 << 20)
			for range n {
				budget.Wait(&again{budget})
			}
			for b.Loop() {
				budget.Reserve(1)
				budget.Return(nil, 1)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/waiter")
		})
	}
}
