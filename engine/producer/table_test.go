package producer

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// add appends a batch of n records at the offset given and returns the next sequence and offset.
func add(t *Table, id int64, epoch int16, first, n int32, base model.Offset, now clock.Wall) (int32, model.Offset) {
	last := (first + n - 1) & 0x7fffffff
	t.Add(Batch{ProducerID: id, Epoch: epoch, First: first, Last: last, Base: base,
		LastOffset: base + model.Offset(n) - 1, Timestamp: int64(base) * 10}, now)
	return (last + 1) & 0x7fffffff, base + model.Offset(n)
}

func check(t *Table, id int64, epoch int16, first, n int32) Outcome {
	outcome, _ := t.Check(id, epoch, first, (first+n-1)&0x7fffffff, n)
	return outcome
}

// TestRules tells one producer's life; Kafka's ProducerAppendInfo and ProducerStateEntry decide what is right.
func TestRules(t *testing.T) {
	table := NewTable()
	want := func(what string, epoch int16, first, n int32, outcome Outcome) {
		t.Helper()
		if got := check(table, 7, epoch, first, n); got != outcome {
			t.Errorf("%s: %s, want %s", what, got, outcome)
		}
	}
	want("unknown producer, any sequence", 3, 41, 2, OK)
	add(table, 7, 3, 41, 2, 100, 0)
	want("next", 3, 43, 5, OK)
	want("same again", 3, 41, 2, Duplicate)
	want("same first, other last", 3, 41, 3, OutOfOrder)
	want("same last, other first", 3, 42, 1, OutOfOrder)
	want("gap", 3, 44, 1, OutOfOrder)
	want("older epoch", 2, 43, 1, StaleEpoch)
	want("older epoch, known sequences", 2, 41, 2, StaleEpoch)
	want("newer epoch from 0", 4, 0, 1, OK)
	want("newer epoch from elsewhere", 4, 43, 1, OutOfOrder)
	want("newer epoch, known sequences", 4, 41, 2, OutOfOrder)
	add(table, 7, 4, 0, 1, 102, 0)
	want("epoch left behind", 3, 43, 1, StaleEpoch)
	want("next in the new epoch", 4, 1, 1, OK)
	want("the old epoch's batch in the new one", 4, 41, 2, OutOfOrder)
}

// TestWindowOfFive: each of the last five is a duplicate with its own offset, the sixth is not known any more. A window of one, which is
// what Kafka's snapshot keeps, fails it: see TestMutantWindowOfOne.
func TestWindowOfFive(t *testing.T) {
	if what := fiveInFlight(func(*Table) {}); what != "" {
		t.Error(what)
	}
}

func TestMutantWindowOfOne(t *testing.T) {
	mutant := func(table *Table) {
		for i := range table.states {
			if s := &table.states[i]; s.count > 1 {
				s.batches[0] = s.batches[s.count-1]
				s.count = 1
			}
		}
	}
	if fiveInFlight(mutant) == "" {
		t.Error("a window of one batch goes unnoticed")
	}
}

// fiveInFlight retries all of eight batches after each append and says what was wrong.
func fiveInFlight(after func(*Table)) string {
	table := NewTable()
	sequence, offset := int32(math.MaxInt32-9), model.Offset(1000) // wraps on the way
	var sent []Batch
	for i := range int32(8) {
		n := i + 1
		batch := Batch{ProducerID: 1, Epoch: 0, First: sequence, Last: (sequence + n - 1) & 0x7fffffff, Base: offset,
			LastOffset: offset + model.Offset(n) - 1, Timestamp: int64(i)}
		if outcome, _ := table.Check(1, 0, batch.First, batch.Last, n); outcome != OK {
			return "fresh batch: " + outcome.String()
		}
		table.Add(batch, 0)
		after(table)
		sent = append(sent, batch)
		sequence, offset = (sequence+n)&0x7fffffff, offset+model.Offset(n)
		for j, old := range sent {
			outcome, dup := table.Check(1, 0, old.First, old.Last, int32(old.LastOffset-old.Base)+1)
			if len(sent)-j <= 5 && (outcome != Duplicate || dup != old) {
				return "retry within five: " + outcome.String()
			}
			if len(sent)-j > 5 && outcome != OutOfOrder {
				return "retry beyond five: " + outcome.String()
			}
		}
	}
	return ""
}

func TestWrap(t *testing.T) {
	table := NewTable()
	next, _ := add(table, 1, 0, math.MaxInt32, 1, 0, 0)
	if next != 0 || check(table, 1, 0, 0, 3) != OK || check(table, 1, 0, 1, 1) != OutOfOrder {
		t.Errorf("after 2^31-1 comes %d", next)
	}
	add(table, 1, 0, 0, 3, 1, 0)
	if check(table, 1, 0, math.MaxInt32, 1) != Duplicate || check(table, 1, 0, 3, 1) != OK {
		t.Error("wrong after the wrap")
	}
}

func TestReplayTwice(t *testing.T) {
	table := NewTable()
	for range 2 {
		sequence, offset := int32(0), model.Offset(0)
		for range 7 {
			sequence, offset = add(table, 1, 0, sequence, 2, offset, 5)
		}
	}
	if check(table, 1, 0, 14, 1) != OK || check(table, 1, 0, 4, 2) != Duplicate || check(table, 1, 0, 2, 2) != OutOfOrder {
		t.Error("reading the log again changed the window")
	}
}

func TestWithoutSequence(t *testing.T) {
	table := NewTable()
	table.Add(Batch{ProducerID: 4, Epoch: 1, First: -1, Last: -1}, 0)
	table.Add(Batch{ProducerID: -1, Epoch: -1, First: 0, Last: 0}, 0)
	if table.Len() != 0 {
		t.Errorf("%d producers", table.Len())
	}
}

func TestExpire(t *testing.T) {
	table := NewTable()
	for id := range int64(100) {
		add(table, id, 0, 0, 1, model.Offset(id), clock.Wall(id*1000))
	}
	add(table, 3, 0, 1, 1, 100, 99_000) // used again
	if got := table.Expire(110_000, time.Minute); got != 50 {
		t.Errorf("%d expired, want 50: those used up to 50 s, but for number 3", got)
	}
	for id := range int64(100) {
		if known := id == 3 || id > 50; (check(table, id, 0, 77, 1) == OutOfOrder) != known {
			t.Errorf("producer %d: known is not %v", id, known)
		}
	}
	valid(t, table)
	if got := table.Expire(math.MaxInt64/2, time.Minute); got != 50 || table.Len() != 0 || cap(table.states) > shrinkMin {
		t.Errorf("%d expired, %d left in room for %d", got, table.Len(), cap(table.states))
	}
}

// TestExpireBehindTheFuture: a time ahead of the clock delays expiry by one period, not for ever.
func TestExpireBehindTheFuture(t *testing.T) {
	table := NewTable()
	add(table, 1, 0, 0, 1, 0, 1<<50)
	add(table, 2, 0, 0, 1, 1, 1000)
	table.Expire(2000, time.Second)
	if got := table.Expire(3000, time.Second); got != 2 {
		t.Errorf("%d expired, want both", got)
	}
}

func TestFull(t *testing.T) {
	table := NewTableMax(3)
	for id := range int64(3) {
		add(table, id, 0, 0, 1, model.Offset(id), 0)
	}
	add(table, 0, 0, 1, 1, 3, 0)
	add(table, 9, 0, 0, 1, 4, 0)
	if table.Len() != 3 || check(table, 1, 0, 50, 1) != OK || check(table, 0, 0, 50, 1) != OutOfOrder || check(table, 2, 0, 50, 1) != OutOfOrder {
		t.Error("not the one idle for longest has left")
	}
	valid(t, table)
}

func TestTruncate(t *testing.T) {
	table := NewTable()
	add(table, 1, 0, 0, 10, 0, 0)
	add(table, 2, 0, 0, 10, 10, 0)
	add(table, 1, 0, 10, 10, 20, 0)
	if got := table.TruncateTo(25); got != 0 {
		t.Errorf("%d forgotten", got)
	}
	if check(table, 1, 0, 10, 10) != OK || check(table, 1, 0, 0, 10) != Duplicate || check(table, 2, 0, 0, 10) != Duplicate {
		t.Error("the batch across the cut, or one before it, is wrong")
	}
	if got := table.TruncateTo(10); got != 1 || table.Len() != 1 || check(table, 2, 0, 99, 1) != OK {
		t.Errorf("%d forgotten, %d left", got, table.Len())
	}
	valid(t, table)
}

// valid checks the list and the map against the states.
func valid(t interface{ Fatalf(string, ...any) }, table *Table) {
	seen, before := 0, nowhere
	for place := table.oldest; place != nowhere; place = table.states[place].newer {
		s := &table.states[place]
		if s.older != before || table.places[s.id] != place || seen > len(table.states) {
			t.Fatalf("list is broken at %d", place)
		}
		before = place
		seen++
	}
	if before != table.newest || seen != len(table.states) || seen != len(table.places) {
		t.Fatalf("%d in the list, %d in the map, %d states", seen, len(table.places), len(table.states))
	}
}

// naive is the rules as Kafka's classes spell them, with no care for cost.
type naive struct {
	epoch   int16
	batches []Batch
	used    clock.Wall
}

type naiveTable map[int64]*naive

func (n naiveTable) check(id int64, epoch int16, first, last int32) (Outcome, Batch) {
	p := n[id]
	if p == nil {
		return OK, Batch{}
	}
	if epoch == p.epoch {
		for _, b := range p.batches {
			if b.First == first && b.Last == last {
				return Duplicate, b
			}
		}
	}
	if epoch < p.epoch {
		return StaleEpoch, Batch{}
	}
	if epoch > p.epoch {
		if first != 0 {
			return OutOfOrder, Batch{}
		}
		return OK, Batch{}
	}
	latest := p.batches[len(p.batches)-1].Last
	if int64(first) == int64(latest)+1 || first == 0 && latest == math.MaxInt32 {
		return OK, Batch{}
	}
	return OutOfOrder, Batch{}
}

func (n naiveTable) add(b Batch, now clock.Wall) {
	p := n[b.ProducerID]
	if p == nil {
		p = &naive{epoch: b.Epoch}
		n[b.ProducerID] = p
	}
	if p.epoch != b.Epoch {
		p.epoch, p.batches = b.Epoch, nil
	}
	p.batches = append(p.batches, b)
	p.batches = p.batches[max(0, len(p.batches)-5):]
	p.used = max(p.used, now)
}

// TestModel drives a table and the naive one with the same random life: appends, retries, gaps, epochs, expiry, truncation, restarts.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, plain := NewTable(), naiveTable{}
		offset, now := model.Offset(0), clock.Wall(1000)
		steps := map[string]func(*rapid.T){
			"": func(t *rapid.T) { valid(t, table) },
			"produce": func(t *rapid.T) {
				id := rapid.Int64Range(0, 5).Draw(t, "id")
				epoch, first := int16(0), int32(0)
				if p := plain[id]; p != nil {
					last := p.batches[rapid.IntRange(0, len(p.batches)-1).Draw(t, "after")]
					epoch = p.epoch + rapid.SampledFrom([]int16{0, 0, 0, 0, 1, -1}).Draw(t, "epoch")
					first = rapid.SampledFrom([]int32{last.First, (last.Last + 1) & 0x7fffffff, 0, (last.Last + 3) & 0x7fffffff}).Draw(t, "first")
				} else {
					first = rapid.SampledFrom([]int32{0, 5, math.MaxInt32 - 3}).Draw(t, "first")
				}
				n := rapid.Int32Range(1, 4).Draw(t, "records")
				last := int32((int64(first) + int64(n) - 1) % (1 << 31))
				got, dup := table.Check(id, epoch, first, last, n)
				want, original := plain.check(id, epoch, first, last)
				if got != want || dup != original {
					t.Fatalf("producer %d epoch %d [%d, %d]: %s %+v, want %s %+v", id, epoch, first, last, got, dup, want, original)
				}
				if got == OK {
					b := Batch{ProducerID: id, Epoch: epoch, First: first, Last: last, Base: offset,
						LastOffset: offset + model.Offset(n) - 1, Timestamp: int64(now)}
					table.Add(b, now)
					plain.add(b, now)
					offset += model.Offset(n)
				}
			},
			"wait": func(t *rapid.T) {
				now += clock.Wall(rapid.IntRange(0, 500).Draw(t, "ms"))
			},
			"expire": func(t *rapid.T) {
				want := 0
				for id, p := range plain {
					if now-p.used >= 1000 {
						delete(plain, id)
						want++
					}
				}
				if got := table.Expire(now, time.Second); got != want {
					t.Fatalf("%d expired, want %d", got, want)
				}
			},
			"truncate": func(t *rapid.T) {
				offset = model.Offset(rapid.Int64Range(max(0, int64(offset)-20), int64(offset)).Draw(t, "to"))
				table.TruncateTo(offset)
				for id, p := range plain {
					for len(p.batches) > 0 && p.batches[len(p.batches)-1].LastOffset >= offset {
						p.batches = p.batches[:len(p.batches)-1]
					}
					if len(p.batches) == 0 {
						delete(plain, id)
					}
				}
			},
			"restart": func(t *rapid.T) {
				loaded, err := Load(table.AppendSnapshot(nil), table.AppendWindow(nil))
				if err != nil {
					t.Fatal(err)
				}
				table = loaded
			},
			"restart from Kafka": func(t *rapid.T) {
				loaded, err := Load(table.AppendSnapshot(nil), nil)
				if err != nil {
					t.Fatal(err)
				}
				table = loaded
				for _, p := range plain {
					p.batches = p.batches[len(p.batches)-1:]
					p.used = clock.Wall(p.batches[0].Timestamp)
				}
			},
		}
		t.Repeat(steps)
	})
}

func TestAllocs(t *testing.T) {
	table := NewTable()
	sequence, offset := add(table, 1, 0, 0, 3, 0, 0)
	add(table, 2, 0, 0, 3, 1, 0)
	if got := testing.AllocsPerRun(100, func() {
		if check(table, 1, 0, sequence, 3) != OK {
			t.Fatal("not in order")
		}
		sequence, offset = add(table, 1, 0, sequence, 3, offset, 0)
	}); got > 0 {
		t.Errorf("%.1f allocations per batch", got)
	}
}

func BenchmarkCheckAdd(b *testing.B) {
	for _, producers := range []int64{1, 1000} {
		b.Run(map[int64]string{1: "one", 1000: "thousand"}[producers], func(b *testing.B) {
			table := NewTable()
			sequences := make([]int32, producers)
			rng := rand.New(rand.NewPCG(1, 1))
			offset := model.Offset(0)
			for b.Loop() {
				id := rng.Int64N(producers)
				if check(table, id, 0, sequences[id], 10) != OK {
					b.Fatal("out of order")
				}
				sequences[id], offset = add(table, id, 0, sequences[id], 10, offset, 0)
			}
		})
	}
}

func TestActive(t *testing.T) {
	table := NewTable()
	table.Add(Batch{ProducerID: 9, Epoch: 1, First: 0, Last: 4, Base: 0, LastOffset: 4, Timestamp: 100}, 1)
	table.Add(Batch{ProducerID: 3, Epoch: 2, First: 0, Last: 0, Base: 5, LastOffset: 5, Timestamp: 200}, 2)
	table.Add(Batch{ProducerID: 9, Epoch: 1, First: 5, Last: 5, Base: 6, LastOffset: 6, Timestamp: 300}, 3)
	want := []Active{{3, 2, 0, 200, -1, -1}, {9, 1, 5, 300, -1, -1}}
	if got := table.Active(); !slices.Equal(got, want) {
		t.Fatalf("%+v", got)
	}
	table.TruncateTo(6)
	if got := table.Active(); len(got) != 2 || got[1].LastSequence != 4 {
		t.Fatalf("%+v", got)
	}
}
