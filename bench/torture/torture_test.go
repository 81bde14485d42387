package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"
)

// short runs a campaign of a few rounds.
func short(t *testing.T, c campaign) *campaign {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out bytes.Buffer
	c.seed, c.dir, c.out = uint64(time.Now().UnixNano()), t.TempDir(), &out
	err := c.run(ctx)
	var impossible *errNoImage
	if errors.As(err, &impossible) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(errors.Join(err, c.end()), out.String())
	}
	return &c
}

// TestKills: what was acknowledged is there after kill -9.
func TestKills(t *testing.T) {
	c := short(t, campaign{rounds: 3, durability: "fsync"})
	if c.sum.bad() || c.sum.read == 0 {
		t.Fatalf("%+v", c.sum)
	}
}

// TestPowerCuts: what was acknowledged by an fsync topic is there after power cuts.
func TestPowerCuts(t *testing.T) {
	c := short(t, campaign{rounds: 4, durability: "fsync", cuts: true})
	if c.sum.bad() || c.sum.read == 0 {
		t.Fatalf("%+v", c.sum)
	}
}

// TestPowerCutsCut: the same cuts take acknowledged records of a memory topic, or they prove nothing.
func TestPowerCutsCut(t *testing.T) {
	c := short(t, campaign{rounds: 2, durability: "memory", cuts: true})
	if c.sum.lost == 0 {
		t.Fatalf("nothing was lost: %+v", c.sum)
	}
}

// TestLedgerSeesWhatIsWrong: each kind of wrong is found by the comparison that the campaigns rely on.
func TestLedgerSeesWhatIsWrong(t *testing.T) {
	here, there := place{idempotentTopic, 0, 5}, place{idempotentTopic, 0, 6}
	for _, c := range []struct {
		name          string
		acked, seen   map[uint64]place
		lost, changed int
	}{
		{"right", map[uint64]place{1: here}, map[uint64]place{1: here, 2: there}, 0, 0},
		{"lost", map[uint64]place{1: here, 2: there}, map[uint64]place{1: here}, 1, 0},
		{"moved", map[uint64]place{1: here}, map[uint64]place{1: there}, 0, 1},
	} {
		l := newLedger()
		l.acked = c.acked
		var v verdict
		l.settle(&v, c.seen)
		if v.lost != c.lost || v.changed != c.changed {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	value := makeValue(7, 100)
	if id, err := checkValue(value); id != 7 || err != nil {
		t.Error(id, err)
	}
	for at := range value {
		bad := bytes.Clone(value)
		bad[at] ^= 4
		if id, err := checkValue(bad); err == nil && id == 7 {
			t.Errorf("byte %d may change unseen", at)
		}
	}
}
