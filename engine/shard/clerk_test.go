package shard

import (
	"testing"
	"time"

	"pinion/engine/model"
)

// form is a paper of these tests.
type form struct {
	Letter
	home model.ShardID
	back chan *form
}

func (f *form) Home() model.ShardID { return f.home }
func (f *form) Deliver(t *Turn) {
	if t.Shard() != f.home {
		panic("a paper came home to another shard")
	}
	f.back <- f
}

// tireless is the rest of a clerk that takes none.
func tireless(time.Duration) time.Duration { return 0 }

// TestClerkRests: what arrives while the clerk rests comes together, and it is told how long it worked.
func TestClerkRests(t *testing.T) {
	r := startSet(t, 1)
	const work, rest = 20 * time.Millisecond, 200 * time.Millisecond
	batches := make(chan int, 3)
	clerk := r.NewClerk(func(batch []Paper) []Paper {
		time.Sleep(work) // the time that rest is told of
		batches <- len(batch)
		return batch
	}, func(took time.Duration) time.Duration {
		if took < work {
			t.Errorf("told of %v, worked %v", took, work)
		}
		return rest
	})
	back := make(chan *form, 3)
	hand := func() {
		<-r.Shard(0).Visit(func(turn *Turn) { turn.Hand(clerk, &form{back: back}) })
	}
	hand()
	if n := <-batches; n != 1 {
		t.Fatalf("first batch of %d", n)
	}
	<-back // it does not wait for the rest
	hand()
	time.Sleep(2 * work) // a clerk that did not rest would have taken the first alone by now
	hand()
	if n := <-batches; n != 2 {
		t.Fatalf("after the rest a batch of %d, want both", n)
	}
	clerk.Stop()
}

// TestClerkGathers: what arrives while the clerk is at work is its next batch, in order, and everything comes home to its shard.
func TestClerkGathers(t *testing.T) {
	r := startSet(t, 2)
	const papers = 40
	entered, leave := make(chan int, papers), make(chan struct{})
	var order []*form
	clerk := r.NewClerk(func(batch []Paper) []Paper {
		entered <- len(batch)
		<-leave
		for _, p := range batch {
			order = append(order, p.(*form))
		}
		return batch
	}, tireless)
	back := make(chan *form, papers)
	first := &form{home: 0, back: back}
	<-r.Shard(0).Visit(func(turn *Turn) { turn.Hand(clerk, first) })
	if n := <-entered; n != 1 {
		t.Fatalf("first batch of %d", n)
	}
	var sent []*form
	for i := range papers - 1 {
		f := &form{home: model.ShardID(i % 2), back: back}
		sent = append(sent, f)
		<-r.Shard(f.home).Visit(func(turn *Turn) { turn.Hand(clerk, f) })
	}
	close(leave)
	for range papers {
		<-back
	}
	clerk.Stop()
	if len(order) != papers || order[0] != first {
		t.Fatalf("%d papers", len(order))
	}
	for i, f := range sent {
		if order[i+1] != f {
			t.Fatalf("paper %d out of order", i)
		}
	}
	if n := <-entered; n != papers-1 {
		t.Fatalf("second batch of %d, want %d", n, papers-1)
	}
}
