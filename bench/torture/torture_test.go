package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// short runs a campaign of a few rounds.
func short(t *testing.T, c campaign) *campaign {
	t.Helper()
	brief(t, trial{"", &c, c.run, nil})
	return &c
}

// brief runs a trial of a few rounds, in which nothing may go wrong that is wrong in fsync.
func brief(t *testing.T, tr trial) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out bytes.Buffer
	tr.seed, tr.dir, tr.out = uint64(time.Now().UnixNano()), t.TempDir(), &out
	err := tr.run(ctx)
	var noImage *errNoImage
	var noStrace *errNoStrace
	if errors.As(err, &noImage) || errors.As(err, &noStrace) {
		t.Skip(errors.Join(err, tr.end()))
	}
	if err != nil {
		t.Fatal(errors.Join(err, tr.end()), out.String())
	}
	if tr.durability == "fsync" && (tr.sum.bad() || tr.sum.read == 0) {
		t.Fatal(&tr.sum)
	}
	if tr.tell != nil {
		tr.tell()
		t.Log(out.String(), &tr.sum)
	}
}

// TestKills: what was acknowledged is there after kill -9.
func TestKills(t *testing.T) {
	short(t, campaign{rounds: 3, durability: "fsync"})
}

// TestKillsWithMoves: what was acknowledged is there after kill -9 with partitions on their way between log directories.
func TestKillsWithMoves(t *testing.T) {
	w := newWandering(&campaign{rounds: 3, durability: "fsync"})
	brief(t, trial{"", w.campaign, w.run, w.tell})
}

// TestPowerCuts: what was acknowledged by an fsync topic is there after power cuts.
func TestPowerCuts(t *testing.T) {
	short(t, campaign{rounds: 4, durability: "fsync", cuts: true})
}

// TestPowerCutsCut: the same cuts take acknowledged records of a memory topic, or they prove nothing.
func TestPowerCutsCut(t *testing.T) {
	c := short(t, campaign{rounds: 2, durability: "memory", cuts: true})
	if c.sum.lost == 0 {
		t.Fatalf("nothing was lost: %+v", c.sum)
	}
}

// TestKillsAtCalls: what was acknowledged is there after kills at system calls, in every part of a broker's life.
func TestKillsAtCalls(t *testing.T) {
	k := newSiteKills(&campaign{rounds: 5, durability: "fsync"})
	brief(t, trial{"", k.campaign, k.run, k.tell})
}

// TestFailedCallsAreFinal: after a failed write or sync nothing is acknowledged any more, what is durable is still read, and nothing is lost.
func TestFailedCallsAreFinal(t *testing.T) {
	k := newBreaks(&campaign{rounds: 2, durability: "fsync"})
	brief(t, trial{"", k.campaign, k.run, k.tell})
}

// TestFailedReads: what cannot be read is an error that names it, never a wrong byte.
func TestFailedReads(t *testing.T) {
	k := newMisreads(&campaign{rounds: len(blinds), durability: "fsync"})
	brief(t, trial{"", k.campaign, k.run, k.tell})
}

// TestFullDisk: a full disk refuses produce before it is at its end, with one error, and clients that are left running go on when there is
// room again: franz-go, and the others where they are installed.
func TestFullDisk(t *testing.T) {
	k := &fills{stream: stream{campaign: &campaign{rounds: 2, durability: "fsync"}}, others: true}
	brief(t, trial{"", k.campaign, k.run, k.tell})
}

// TestStartOnAFullDisk: a disk on which somebody else has taken the last byte is no reason not to start after a kill. What was acknowledged is read, records
// are refused, and taken once there is room.
func TestStartOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	m, err := newImage(dir, fullBytes)
	var noImage *errNoImage
	if errors.As(err, &noImage) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // behind the broker's end
		if err := m.close(); err != nil {
			t.Error(err)
		}
	})
	config := harness.Config{Dir: filepath.Join(m.at, "data"), Shards: 2}
	b := harness.Run(t, config)
	write := func(value string, patience time.Duration) error {
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.DefaultProduceTopic("orders"), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(patience))
		if err != nil {
			return err
		}
		defer cl.Close()
		return cl.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr()
	}
	if err := write("before", fullPatience); err != nil {
		t.Fatal(err)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(m.at, "filler")
	if err := exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=4096").Run(); err == nil {
		t.Fatal("the disk is not full")
	}

	b = harness.Run(t, config)
	if err := write("refused", 3*time.Second); err == nil {
		t.Error("a record was taken by a full disk")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := write("after", fullPatience); err != nil {
		t.Fatal(err, b.Log())
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), fullPatience)
	defer cancel()
	var values []string
	for len(values) < 2 && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	if !slices.Equal(values, []string{"before", "after"}) {
		t.Errorf("read %q", values)
	}
	b.MustStop(t)
	if err := checkDirectory(config.Dir); err != nil {
		t.Error(err)
	}
}

// TestSoak: half a minute of the soak; what it uses is judged with more slack than in a long one.
func TestSoak(t *testing.T) {
	var out bytes.Buffer
	k := newSoak(30*time.Second, &out, t.TempDir(), uint64(time.Now().UnixNano()))
	if err := k.run(t.Context()); err != nil {
		t.Fatal(errors.Join(err, k.end()), out.String())
	}
	if k.sum.bad() || k.sum.read == 0 || k.visits == 0 {
		t.Fatalf("%s, %d visits", &k.sum, k.visits)
	}
	t.Log(out.String())
}

// TestSoakSeesGrowth: a leak of each kind is found by the rule that the soak relies on.
func TestSoakSeesGrowth(t *testing.T) {
	for i, u := range used {
		k := newSoak(time.Hour, io.Discard, t.TempDir(), 1)
		for n := range int64(200) {
			s := sample{8 << 20, 100, 200, 50}
			grown := n * u.slack / 40 // within an hour five times the slack
			switch i {
			case 0:
				s.anonymous += grown
			case 1:
				s.descriptors += grown
			case 2:
				s.mappings += grown
			default:
				s.goroutines += grown
			}
			k.samples = append(k.samples, s)
		}
		if err := k.judge(); err == nil || !strings.Contains(err.Error(), u.name+" grows") {
			t.Errorf("%s: %v", u.name, err)
		}
		for n := range k.samples {
			k.samples[n] = sample{8<<20 + int64(n%3)<<20, 100, 200 + int64(n%7), 50}
		}
		if err := k.judge(); err != nil {
			t.Errorf("flat: %v", err)
		}
	}
}

// TestLedgerSeesWhatIsWrong: each kind of wrong is found by the comparison that the campaigns rely on.
func TestLedgerSeesWhatIsWrong(t *testing.T) {
	here, there := place{idempotentTopic, 0, 5}, place{idempotentTopic, 0, 6}
	plain, again := place{plainTopic, 0, 5}, place{plainTopic, 0, 6}
	for _, c := range []struct {
		name          string
		acked         map[uint64]place
		seen          map[uint64][]place
		lost, changed int
	}{
		{"right", map[uint64]place{1: here}, map[uint64][]place{1: {here}, 2: {there}}, 0, 0},
		{"lost", map[uint64]place{1: here, 2: there}, map[uint64][]place{1: {here}}, 1, 0},
		{"moved", map[uint64]place{1: here}, map[uint64][]place{1: {there}}, 0, 1},
		{"sent again by a plain producer", map[uint64]place{1: plain}, map[uint64][]place{1: {plain, again}}, 0, 0},
		{"what is left of a plain producer's is another attempt", map[uint64]place{1: plain}, map[uint64][]place{1: {again}}, 0, 1},
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
