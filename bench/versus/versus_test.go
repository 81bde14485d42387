package versus_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinion/bench/compat"
	"pinion/bench/harness"
	"pinion/bench/peer"
	"pinion/bench/versus"
)

// wholeEnv set to 1 lets the comparison run: it takes one minute alone on two cores, and several where others work as well.
const wholeEnv = "VERSUS_KAFKA"

// keysEnv lists keys, as in 32,44: only those are compared then.
const keysEnv = "VERSUS_KEYS"

// kafkaReadyMax bounds a start of Kafka, which takes about three seconds alone on two cores.
const kafkaReadyMax = 2 * time.Minute

// Apache Kafka and Pinion answer every advertised version of every advertised key alike, but for what Intended names.
func TestAnswersAreKafkas(t *testing.T) {
	if os.Getenv(wholeEnv) != "1" {
		t.Skip("it takes minutes; `make versus-kafka` runs it")
	}
	var only []int16
	for key := range strings.SplitSeq(os.Getenv(keysEnv), ",") {
		if n, err := strconv.ParseInt(key, 10, 16); err == nil {
			only = append(only, int16(n))
		} else if key != "" {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	kafka, err := peer.Start(t.Context(), peer.Config{Dir: t.TempDir(), JVM: peer.Small, Set: versus.Settings})
	if errors.Is(err, peer.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kafka.Kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("Kafka said last:\n%s", kafka.Log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), kafkaReadyMax)
	defer cancel()
	if err := kafka.Listening(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	pinion := harness.Run(t, harness.Config{Dir: dir, Shards: 2, Set: versus.Settings})
	ready := time.Since(begun)
	report, err := versus.Compare(kafka.Address(), kafka.LogDir(), pinion.Addr, dir, only...)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range report.Faults {
		t.Error(fault)
	}
	for _, wrong := range compat.Check(compat.Kafka, report.Asked) {
		if len(only) == 0 {
			t.Error(wrong)
		}
	}
	keys, intended := map[int16]bool{}, 0
	for kv := range report.Asked {
		keys[kv.Key] = true
	}
	for i, n := range report.Intended {
		t.Logf("intended, %d times: %s", n, versus.Intended[i].What)
		intended += n
	}
	t.Logf("versus Apache Kafka: %d keys, %d versions, %d requests to each, %d differences intended for %d reasons, %d others; Kafka asked again at %d, Pinion %d times; both up in %v, compared in %v",
		len(keys), len(report.Asked), report.Requests, intended, len(versus.Intended), len(report.Faults), report.Settled, report.Hurried, ready.Round(time.Millisecond),
		time.Since(begun.Add(ready)).Round(time.Millisecond))
}
