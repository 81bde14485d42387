package hostile

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinion/bench/harness"
)

// What the environment may ask for; without it the attack is a short one.
const (
	framesEnv = "HOSTILE_FRAMES" // that many frames, however long it takes
	timeEnv   = "HOSTILE_TIME"   // as many frames as fit
	seedEnv   = "HOSTILE_SEED"
)

const (
	framesShort = 200_000
	timeShort   = 10 * time.Second
	framesAll   = 1 << 40 // more than time allows
)

func configured(t *testing.T) Config {
	t.Helper()
	c := Config{Seed: 20260501, Frames: framesShort, For: timeShort, Progress: os.Stderr}
	var err error
	if text := os.Getenv(timeEnv); text != "" {
		if c.For, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", timeEnv, err)
		}
		c.Frames = framesAll
	}
	if text := os.Getenv(framesEnv); text != "" {
		if c.Frames, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", framesEnv, err)
		}
		c.For = 0
	}
	if text := os.Getenv(seedEnv); text != "" {
		if c.Seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	return c
}

func startBroker(t *testing.T) *harness.Broker {
	return harness.Run(t, harness.Config{Shards: 2, Set: []string{
		"auto.create.topics.enable=false", "log.retention.check.interval.ms=1000",
	}})
}

const (
	// anonMax is how much memory an attack may make a broker hold: the budgets of two shards, and a heap that grew with them.
	anonMax = 192 << 20
	// requestMax is the block each shard receives into.
	requestMax = 2 << 20
	// filesMax is for segments that were rolled.
	filesMax = 40
	// goroutinesMax is for helpers, which stay for a while.
	goroutinesMax = 40
	// settleMax is how long it may take until all is as before.
	settleMax = 60 * time.Second
)

// TestCampaign attacks a real broker.
func TestCampaign(t *testing.T) {
	b := startBroker(t)
	report, err := Run(b, configured(t))
	var text strings.Builder
	report.Write(&text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text.String())
	}
	settle(t, b, report)
	text.Reset()
	report.Write(&text)
	t.Logf("\n%s", text.String())
	if report.Honest == 0 {
		t.Error("the honest clients did nothing")
	}
	for i := range report.tally.keys[:len(report.tally.keys)-1] {
		if o := &report.tally.keys[i]; o.answered == 0 || o.closed == 0 {
			t.Errorf("key %d in order: %+v: the mutants are all alike", i, *o)
		}
	}
	b.MustStop(t)
}

// settle waits until the attack is over for the broker too, and holds what is left to what there was.
func settle(t *testing.T, b *harness.Broker, report *Report) {
	t.Helper()
	slow := int64(1)
	if harness.Raced {
		slow = 6 // of memory, with the race detector
	}
	for deadline := time.Now().Add(settleMax); ; time.Sleep(20 * time.Millisecond) { // as often as a scrape sees something new
		now, err := use(b)
		if err != nil {
			t.Fatal(err)
		}
		report.After = now
		before := &report.Before
		if now.Connections == 0 && now.Request <= requestMax && now.Parked == 0 && now.Response == 0 && now.Anon-before.Anon <= anonMax*slow &&
			now.Files <= before.Files+filesMax && now.Goroutines <= before.Goroutines+goroutinesMax {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%s after the attack there is more than before:\nbefore: %s\nnow:    %s", settleMax, before, &now)
			return
		}
	}
}
