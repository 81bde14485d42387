package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pinion/bench/harness"
)

// clusterRun is one command line that knows the node by its admin address alone.
func clusterRun(t *testing.T, b *harness.Broker, args ...string) result {
	t.Helper()
	var out, problems bytes.Buffer
	con := &console{in: strings.NewReader(""), out: &out, err: &problems, env: []string{"PINION_ADMIN=" + b.Admin}}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	code := run(ctx, con, append([]string{"cluster", "partitions"}, args...))
	return result{code, out.String(), problems.String()}
}

// A partition moves by one command, whatever clients see as brokers; mistakes are said with the way out and have their exit codes.
func TestClusterPartitions(t *testing.T) {
	for _, cores := range []bool{false, true} {
		t.Run(fmt.Sprint("cores ", cores), func(t *testing.T) {
			b := harness.Run(t, harness.Config{Shards: 3, Cores: cores})
			leader := func(shard int) int {
				if cores {
					return 1000 + shard
				}
				return 1
			}
			epoch := 0
			if cores {
				epoch = 1
			}
			pinionAt(t, b, "one\ntwo\n", "topic", "create", "orders", "-p", "3").want(t, 0, "*")
			pinionAt(t, b, "one\ntwo\n", "topic", "produce", "orders", "-p", "1").want(t, 0, "*")
			want := func(code int, table string, args ...string) {
				t.Helper()
				if r := clusterRun(t, b, args...); r.code != code || r.table() != table || r.err != "" {
					t.Fatalf("%q: code %d, want %d\nout:\n%s\nwant:\n%s\nerr: %s", args, r.code, code, r.table(), table, r.err)
				}
			}
			header := "TOPIC PARTITION LEADER EPOCH NODE SHARD LOG-START-OFFSET HIGH-WATERMARK\n"
			want(0, header+fmt.Sprintf("orders 0 %d 0 1 0 0 0\norders 1 %d 0 1 1 0 2\norders 2 %d 0 1 2 0 0", leader(0), leader(1), leader(2)), "list", "orders")
			moved := "TOPIC PARTITION FROM-SHARD TO-SHARD STATUS\n"
			want(0, moved+"orders 1 1 2 would be moved\norders 2 2 2 is there already", "move", "orders/1", "orders/2", "--to-shard", "2", "--dry-run")
			want(0, moved+"orders 1 1 2 moved\norders 2 2 2 is there already", "move", "orders/1", "orders/2", "--to-shard", "2")
			want(0, header+fmt.Sprintf("orders 0 %d 0 1 0 0 0\norders 1 %d %d 1 2 0 2\norders 2 %d 0 1 2 0 0", leader(0), leader(2), epoch, leader(2)), "list", "-r", "ord.*")
			want(3, moved+"orders 0 0 1 moved\norders 7 - 1 there are partitions 0 to 2", "move", "orders/0", "orders/7", "--to-shard", "1")
			want(1, moved+"orders 7 - 1 there are partitions 0 to 2", "move", "orders/7", "--to-shard", "1")
			var list []listedPartition
			if r := clusterRun(t, b, "list", "-o", "json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) != 3 || list[1].End != 2 || list[1].Shard != 2 {
				t.Errorf("got %s", r.out)
			}
			if r := clusterRun(t, b, "move", "orders/0", "--to-shard", "1", "-o", "json"); !json.Valid([]byte(r.out)) {
				t.Errorf("move as JSON: %s", r.out)
			}
			if r := pinionAt(t, b, "", "topic", "consume", "orders", "-e", "-f", "%p %o %v\n"); r.out != "1 0 one\n1 1 two\n" {
				t.Errorf("got %q %s", r.out, r.err)
			}
			for _, c := range []struct {
				args string
				code int
				err  string
			}{
				{"move orders/0", 2, "error: --to-shard or --to-log-dir is missing: the shard to move to, counted from 0, or the log directory\n"},
				{"move orders --to-shard 1", 2, "error: \"orders\": want TOPIC/PARTITION, as in orders/0\n"},
				{"move --to-shard 1", 2, "error: pinion cluster partitions move: TOPIC/PARTITION is missing (see pinion cluster partitions move --help)\n"},
				{"move orders/0 --to-shard 3", 2, "error: --to-shard 3: node 1 has 3 shards, counted from 0\n"},
				{"move ordrs/0 --to-shard 1", 1, "error: topic \"ordrs\" does not exist\n  did you mean: orders\n"},
				{"list ordrs", 1, "error: topic \"ordrs\" does not exist\n  did you mean: orders\n"},
				{"list --admin http://h:1/x", 2, "error: --admin \"h:1/x\": want host:port, as in 127.0.0.1:9644\n"},
				{"list -o yaml", 2, "error: --output yaml: want text, json or jsonl\n"},
			} {
				if r := clusterRun(t, b, strings.Fields(c.args)...); r.code != c.code || r.err != c.err || r.out != "" {
					t.Errorf("%s: code %d, want %d\nout %q\nerr %q\nwant %q", c.args, r.code, c.code, r.out, r.err, c.err)
				}
			}
			if r := clusterRun(t, b, "list", "--admin", b.Addr); r.code != 1 || !strings.HasPrefix(r.err, "error: ") {
				t.Errorf("a Kafka port as the admin address: code %d, %q", r.code, r.err)
			}
		})
	}
}

// pinionAt runs one command line against the broker's Kafka port.
func pinionAt(t *testing.T, b *harness.Broker, stdin string, args ...string) result {
	t.Helper()
	var out, problems bytes.Buffer
	con := &console{in: strings.NewReader(stdin), out: &out, err: &problems, env: []string{"PINION_BROKERS=" + b.Addr}}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	return result{run(ctx, con, args), out.String(), problems.String()}
}

// The offsets shown are those of the node's cluster or none at all.
func TestClusterPartitionsOfAnotherCluster(t *testing.T) {
	a, b := harness.Run(t, harness.Config{}), harness.Run(t, harness.Config{})
	pinionAt(t, a, "", "topic", "create", "orders").want(t, 0, "*")
	if r := clusterRun(t, a, "list", "--brokers", b.Addr); r.code != exitUsage || !strings.Contains(r.err, "name the same cluster with both") {
		t.Errorf("code %d: %s", r.code, r.err)
	}
	b.MustStop(t)
	r := clusterRun(t, a, "list", "--brokers", b.Addr)
	if r.code != 0 || !strings.Contains(r.table(), "\norders 0 1 0 1 0 - -") || !strings.HasPrefix(r.err, "offsets: no broker answers at ") {
		t.Errorf("code %d\n%s\n%s", r.code, r.out, r.err)
	}
}
