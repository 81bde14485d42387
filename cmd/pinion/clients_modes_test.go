package main_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"pinion/bench/harness"
)

// move asks the admin server for a move, as `pinion cluster partitions move` does.
func move(t *testing.T, b *harness.Broker, topic string, partition, shard int) {
	t.Helper()
	url := fmt.Sprintf("%s/v1/partitions/%s/%d", b.Admin, topic, partition)
	req, err := http.NewRequestWithContext(testContext(t), http.MethodPut, url, strings.NewReader(fmt.Sprintf(`{"shard": %d}`, shard)))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("move %s/%d to shard %d: %s %s %v", topic, partition, shard, resp.Status, text, err)
	}
}

// A node goes from being one broker to being a broker for each core and back, with other numbers of shards, politely and with kill -9, under a
// running idempotent producer and while partitions move. Every record is acknowledged in the end and stands once, in order, where it was acknowledged.
func TestClientsFollowANodeThatChangesWhatItAdvertises(t *testing.T) {
	const shardsMax, between, movesPerRound = 3, 6_000, 8
	port, err := harness.ReserveRun(1 + shardsMax)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	config := harness.Config{Dir: t.TempDir(), Port: port.Number, Shards: 2, Set: []string{"log.segment.bytes=4194304"}}
	b := harness.Run(t, config)
	createTopic(t, b, restartTopic, restartPartitions, nil)
	l := startLoad(t, b)
	moves := 0
	for round, next := range []harness.Config{{Cores: true, Shards: 2}, {Cores: true, Shards: 3}, {Shards: 3}, {Cores: true, Shards: 1}, {Cores: true, Shards: 3}, {Shards: 1}} {
		for i := range movesPerRound {
			l.await(t, between/movesPerRound)
			if config.Shards > 1 {
				move(t, b, restartTopic, i%restartPartitions, (i+i/restartPartitions+round)%config.Shards)
				moves++
			}
		}
		if round%2 == 0 {
			b.MustStop(t)
		} else if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		config.Cores, config.Shards = next.Cores, next.Shards
		b = harness.Run(t, config)
	}
	l.await(t, between)
	l.finish(t)
	checkLoad(t, b, l)
	t.Logf("%d moves asked for", moves)
}
