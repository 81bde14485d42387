package sim

import (
	"flag"
	"os"
	"testing"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this seed alone, with the node's log on standard error")
	fromFlag  = flag.Uint64("from", 1, "the first seed")
	seedsFlag = flag.Int("seeds", 25, "how many seeds to run")
	stepsFlag = flag.Int("steps", 6000, "steps of a run")
	everyFlag = flag.Bool("every", false, "end the script at every change of the disk, not at some")
)

// failuresMax is how many seeds that fail are told of: one run finds what several have in common.
const failuresMax = 5

// TestSeeds runs the node under every kind of harm.
func TestSeeds(t *testing.T) {
	first, count, failures := *fromFlag, *seedsFlag, 0
	options := Options{Steps: *stepsFlag}
	if *seedFlag != 0 {
		first, count, options.Console = *seedFlag, 1, os.Stderr
	}
	total, sum := Marks{}, Result{}
	for seed := first; seed < first+uint64(count); seed++ {
		r, err := Run(seed, options)
		if err != nil {
			t.Errorf("%v\nreplay: go test ./engine/sim -run TestSeeds -seed %d -steps %d", err, seed, *stepsFlag)
			if failures++; failures == failuresMax {
				return
			}
			continue
		}
		total.Add(r.Marks)
		sum.Steps, sum.Lives, sum.Acknowledged = sum.Steps+r.Steps, sum.Lives+r.Lives, sum.Acknowledged+r.Acknowledged
		sum.Polled, sum.Lost = sum.Polled+r.Polled, sum.Lost+r.Lost
	}
	t.Logf("%d seeds, %d steps, %d lives, %d batches acknowledged, %d records read, %d lost as memory topics may\n%v",
		count, sum.Steps, sum.Lives, sum.Acknowledged, sum.Polled, sum.Lost, total)
	if *seedFlag == 0 {
		for _, mark := range total.Missing(count) {
			t.Errorf("never hit: %s", mark)
		}
	}
}

// TestSameSeedSameTrace: nothing but the seed decides what a run does.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1000); seed < 1020; seed++ {
		a, errA := Run(seed, Options{Steps: 2500})
		b, errB := Run(seed, Options{Steps: 2500})
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.Trace != b.Trace || a.Steps != b.Steps {
			t.Errorf("seed %d: trace %x of %d steps, then %x of %d", seed, a.Trace, a.Steps, b.Trace, b.Steps)
		}
	}
}

// TestEndAtEveryChange ends a node at every change of its disk, in every way, and starts it again, twice.
func TestEndAtEveryChange(t *testing.T) {
	endAtEveryChange(t, (*World).script, 5400,
		"compaction.passed", "retention.size", "retention.trimmed", "segment.rolled.bytes", "topic.deleted", "trim.ok")
}

// TestEndOnTheWay does the same to a node whose partitions go from one log directory to another.
func TestEndOnTheWay(t *testing.T) {
	endAtEveryChange(t, (*World).scriptOfWays, 9000, "relocate.ok", "relocate.done", "topic.deleted", "trim.ok", "segment.rolled.bytes")
}

func endAtEveryChange(t *testing.T, script func(*World), least int, marks ...string) {
	t.Helper()
	i := &witness{every: 19, torn: 2}
	if *everyFlag {
		i.every, i.torn = 1, 8
	}
	w := newWorld(1, Options{Calm: true})
	w.witness = i
	script(w)
	if w.err == nil {
		w.witness = nil
		w.settleClients()
	}
	if w.err != nil {
		t.Fatalf("the script itself: %v%s", w.err, w.trace.tail())
	}
	w.noteCompaction()
	w.discard()
	if i.err != nil {
		t.Fatal(i.err)
	}
	t.Logf("%d changes of the disk, %d recoveries\n%v", i.changes, i.recoveries, w.marks)
	if *everyFlag && i.recoveries < least || i.recoveries < 100 {
		t.Error("too few")
	}
	for _, mark := range marks {
		if w.marks[mark] == 0 {
			t.Errorf("the script never hit %s", mark)
		}
	}
}
