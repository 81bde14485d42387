package shard

import (
	"testing"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
)

// patience bounds every wait of these tests; none comes near it unless something is broken.
const patience = 20 * time.Second

// startSet runs n shards until the test ends.
func startSet(t testing.TB, n int) *Set {
	t.Helper()
	set, err := NewSet(n, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := CPUs()
	if err != nil {
		t.Fatal(err)
	}
	set.Start(cpus)
	t.Cleanup(func() {
		set.Stop()
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	})
	return set
}

// on runs f on a shard and waits for it.
func on(t testing.TB, set *Set, id model.ShardID, f func(t *Turn)) {
	t.Helper()
	await(t, set.Shard(id).Visit(f))
}

func await(t testing.TB, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the shard did not get there in time")
	}
}

// parcel is mail that runs a function where it is delivered.
type parcel struct {
	Letter
	do func(t *Turn)
}

func (p *parcel) Deliver(t *Turn) { p.do(t) }
