package workload

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// upstreamFile is 1-topic-16-partitions-1kb.yaml of OpenMessaging Benchmark, word for word but for its licence.
const upstreamFile = `
name: 1 topic / 16 partitions / 1Kb

topics: 1
partitionsPerTopic: 16
messageSize: 1024
payloadFile: "payload/payload-1Kb.data"
subscriptionsPerTopic: 1
consumerPerSubscription: 1
producersPerTopic: 1
producerRate: 50000
consumerBacklogSizeGB: 0
testDurationMinutes: 15
`

func TestUpstreamFilesAreRead(t *testing.T) {
	w, err := Parse([]byte(upstreamFile), nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.PartitionsPerTopic != 16 || w.ProducerRate != 50_000 || w.WarmupDurationMinutes != 1 || w.PayloadFile == "" || w.KeyDistributor != "NO_KEY" {
		t.Fatalf("%+v", w)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"empty":            {"", "empty"},
		"not yaml":         {"{", "yaml"},
		"unknown key":      {upstreamFile + "partitionPerTopic: 3\n", "line 14: unknown key \"partitionPerTopic\"\n  did you mean: partitionsPerTopic"},
		"no topics":        {strings.Replace(upstreamFile, "topics: 1", "topics: 0", 1), "topics is 0"},
		"no number":        {strings.Replace(upstreamFile, "50000", "fast", 1), "fast"},
		"not a number":     {strings.Replace(upstreamFile, "50000", ".nan", 1), "producerRate is NaN"},
		"nothing like it":  {upstreamFile + "colour: red\n", "unknown key \"colour\""},
		"no duration":      {strings.Replace(upstreamFile, "testDurationMinutes: 15", "", 1), "testDurationMinutes is missing"},
		"unknown keys":     {upstreamFile + "keyDistributor: BY_HAND\n", "KEY_ROUND_ROBIN"},
		"backlog searches": {strings.Replace(strings.Replace(upstreamFile, "50000", "0", 1), "SizeGB: 0", "SizeGB: 1", 1), "producerRate"},
		"too many clients": {strings.Replace(upstreamFile, "producersPerTopic: 1", "producersPerTopic: 100000", 1), "100000"},
	} {
		if _, err := Parse([]byte(c.text), nil); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v; want %q in it", name, err, c.says)
		}
	}
	lasts := func(w *Workload) { w.TestDurationMinutes = 1 }
	if _, err := Parse([]byte(strings.Replace(upstreamFile, "testDurationMinutes: 15", "", 1)), lasts); err != nil {
		t.Errorf("a duration from elsewhere: %v", err)
	}
	if _, err := Load("testdata/no-such.yaml", nil); err == nil {
		t.Error("a file that does not exist is a workload")
	}
}

func TestSettingsAreWhatRuns(t *testing.T) {
	w, err := Parse([]byte(upstreamFile), func(w *Workload) { w.ProducerRate = 20_000 })
	if err != nil {
		t.Fatal(err)
	}
	settings, err := w.Settings()
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"producerRate": "20000", "testDurationMinutes": "15", "keyDistributor": "NO_KEY",
		"payloadFile": "payload/payload-1Kb.data", "useRandomizedPayloads": "false", "messageSize": ""} {
		if settings[key] != want {
			t.Errorf("%s is %q, want %q", key, settings[key], want)
		}
	}
}

func TestRampFindsWhatABrokerKeepsUpWith(t *testing.T) {
	const capacity = 123_000.0
	r := newRamp()
	rate := float64(rampStart)
	var published, arrived int64
	best := 0.0
	for range 200 {
		done := min(rate, capacity) * rampEvery.Seconds()
		published += int64(done)
		arrived = published
		rate = r.next(rate, rampEvery, published, arrived)
		best = max(best, min(rate, capacity))
	}
	if best < capacity*0.98 || rate < capacity*0.5 || rate > capacity*2.1 {
		t.Fatalf("ends at %.0f with a best of %.0f for a broker that does %.0f", rate, best, capacity)
	}
}

func TestStampsComeBack(t *testing.T) {
	w := &Workload{MessageSize: 16, UseRandomizedPayloads: true, RandomBytesRatio: 1, RandomizedPayloadPoolSize: 3}
	p, err := w.payloads()
	if err != nil {
		t.Fatal(err)
	}
	first, second := p.take(5), p.take(int64(time.Hour))
	if at, ok := stampOf(first); !ok || at != 5 {
		t.Fatalf("%d %v", at, ok)
	}
	if at, ok := stampOf(second); !ok || at != int64(time.Hour) {
		t.Fatalf("%d %v", at, ok)
	}
	if _, ok := stampOf([]byte("short")); ok {
		t.Fatal("a stamp in five bytes")
	}
}

func TestThroughputIsWhatWasAnsweredInTheTime(t *testing.T) {
	var w window
	w.set(100, 200)
	var tally tally
	tally.acknowledged(&w, 50, 150, 10, nil)
	tally.acknowledged(&w, 150, 250, 10, nil)
	got := tally.take()
	if got.Sent.Records != 1 || got.Latency.TotalCount() != 1 || got.Latency.Max() != 100 {
		t.Errorf("%d records, %d latencies up to %d; want one answered in time and one meant for it", got.Sent.Records, got.Latency.TotalCount(), got.Latency.Max())
	}
}

func TestDropKeepsWhatBelongsToTheMeasuredTime(t *testing.T) {
	s := &sender{}
	r := &run{senders: []*sender{s}}
	r.window.set(100, 200)
	s.tally.failed(errors.New("while it warmed up"))
	s.tally.acknowledged(&r.window, 100, 101, 10, nil)
	r.drop()
	if got := s.tally.take(); got.Sent.Records != 1 || got.Errors != 0 {
		t.Errorf("%d records of one, %d errors of none", got.Sent.Records, got.Errors)
	}
}

func TestABrokerThatOwesNothingHasNotStalled(t *testing.T) {
	s := &sender{}
	r := &run{Workload: &Workload{}, senders: []*sender{s}, out: &Outcome{}}
	r.Stall = time.Second
	for flying, stalled := range []bool{false, true} {
		s.flying.Store(int64(flying))
		r.lastMove = time.Now().Add(-time.Hour)
		if err := r.stalled(); (err != nil) != stalled {
			t.Errorf("%d records are not answered: %v", flying, err)
		}
	}
}
