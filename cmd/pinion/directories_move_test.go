package main_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// moveTo asks for a partition to lie in another directory, and gives what it was answered with.
func moveTo(t *testing.T, b *harness.Broker, dir, topic string, p int32) error {
	t.Helper()
	var req kadm.AlterReplicaLogDirsReq
	set := kadm.TopicsSet{}
	set.Add(topic, p)
	req.Add(dir, set)
	cl := newClient(t, b)
	defer cl.Close()
	all, err := kadm.NewClient(cl).AlterBrokerReplicaLogDirs(testContext(t), 1, req)
	if err != nil || len(all[topic]) != 1 {
		t.Fatalf("%+v %v", all, err)
	}
	return all[topic][p].Err
}

// replicaIn is what a directory says of a partition, and whether it says anything.
func replicaIn(t *testing.T, b *harness.Broker, dir, topic string, p int32) (kadm.DescribedLogDirPartition, bool) {
	t.Helper()
	replica, there := logDirs(t, b)[dir].Topics[topic][p]
	return replica, there
}

// awaitHome waits until a partition lies in a directory and nowhere else.
func awaitHome(t *testing.T, b *harness.Broker, dir, topic string, p int32) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // the broker tells nobody when a move is over
		here, elsewhere := false, false
		for path, d := range logDirs(t, b) {
			replica, there := d.Topics[topic][p]
			here = here || there && path == dir && !replica.IsFuture
			elsewhere = elsewhere || there && path != dir
		}
		if here && !elsewhere {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s-%d is not in %s:\n%s", topic, p, dir, b.Log())
		}
	}
}

// numbered produces records with ascending numbers to one partition until the context ends, and gives how many were acknowledged.
func numbered(ctx context.Context, cl *kgo.Client, topic string, from int) (int, error) {
	for n := from; ; n++ {
		err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", n)}).FirstErr()
		if err != nil {
			return n, err
		}
		if ctx.Err() != nil {
			return n + 1, nil
		}
	}
}

// checkNumbers reads a partition and demands every number below n once, in order.
func checkNumbers(t *testing.T, b *harness.Broker, topic string, n int) {
	t.Helper()
	cl := newClient(t, b, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	for next := 0; next < n; {
		fetches := cl.PollFetches(testContext(t))
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if string(r.Value) != fmt.Sprint(next) || r.Offset != int64(next) {
				t.Fatalf("offset %d holds %q, want number %d", r.Offset, r.Value, next)
			}
			next++
		}
	}
}

// marked are the folders of a directory that lie there only for a move.
func marked(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		for _, mark := range []string{"-future", "-arrived", "-leaving", "-delete", "-stray"} {
			if strings.HasSuffix(e.Name(), mark) {
				names = append(names, e.Name())
			}
		}
	}
	return names
}

// A partition goes from one directory to another and back while it is written: nobody is turned away, nothing is lost or doubled, and the folder lies where it
// should, after a kill as well.
func TestDirectoriesMoveWhileWritten(t *testing.T) {
	for _, durability := range []string{"fsync", "memory"} {
		t.Run(durability, func(t *testing.T) {
			dirs := dirsOf(t, 2)
			b := runDirs(t, dirs, "pinion.durability="+durability, "log.segment.bytes=1048576")
			createTopic(t, b, "moved", 1, nil)
			at := homeOf(t, b, "moved")[0]
			other := map[string]string{dirs[0]: dirs[1], dirs[1]: dirs[0]}
			cl := newClient(t, b)
			ctx, cancel := context.WithCancel(testContext(t))
			total := make(chan int, 1)
			go func() {
				n, err := numbered(ctx, cl, "moved", 0)
				if err != nil {
					t.Error(err)
				}
				total <- n
			}()
			for range 6 {
				at = other[at]
				if err := moveTo(t, b, at, "moved", 0); err != nil {
					t.Fatal(err)
				}
				awaitHome(t, b, at, "moved", 0)
			}
			cancel()
			n := <-total
			cl.Close()
			checkNumbers(t, b, "moved", n)
			t.Logf("%d records over six moves", n)
			if err := b.Kill(); err != nil {
				t.Fatal(err)
			}
			b = runDirs(t, dirs)
			awaitHome(t, b, at, "moved", 0)
			checkNumbers(t, b, "moved", n)
			for _, dir := range dirs {
				if left := marked(t, dir); len(left) > 0 {
					t.Errorf("%s holds %v", dir, left)
				}
				_, err := os.Stat(filepath.Join(dir, "moved-0"))
				if there := err == nil; there != (dir == at) {
					t.Errorf("%s has the partition's folder: %t", dir, there)
				}
			}
		})
	}
}

// A move that takes its time is shown, goes on after a kill, and can be taken back; what cannot be is refused.
func TestDirectoriesMoveIsShownAndTakenBack(t *testing.T) {
	const slow = "replica.alter.log.dirs.io.max.bytes.per.second=1"
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs, slow)
	createTopic(t, b, "moved", 1, nil)
	cl := newClient(t, b, kgo.ProducerBatchCompression(kgo.NoCompression()))
	for i := range 12 { // more than is copied at once
		if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "moved", Value: []byte(strings.Repeat(string(rune('a'+i)), 900<<10))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cl.Close()
	at := homeOf(t, b, "moved")[0]
	to := dirs[0]
	if at == to {
		to = dirs[1]
	}
	if err := moveTo(t, b, at+"-absent", "moved", 0); !errors.Is(err, kerr.LogDirNotFound) {
		t.Errorf("to a directory there is not: %v", err)
	}
	if err := moveTo(t, b, to, "absent", 0); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a topic there is not: %v", err)
	}
	if err := moveTo(t, b, to, "moved", 0); err != nil {
		t.Fatal(err)
	}
	shown := func() {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // until the first piece is there
			future, there := replicaIn(t, b, to, "moved", 0)
			now, stays := replicaIn(t, b, at, "moved", 0)
			if !stays || now.IsFuture || now.OffsetLag != 0 {
				t.Fatalf("where it is: %+v\n%s", now, b.Log())
			}
			if there && future.IsFuture && future.Size > 0 && future.Size < now.Size && future.OffsetLag > 0 && future.OffsetLag < 12 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("where it goes to: %+v, there: %t\n%s", future, there, b.Log())
			}
		}
	}
	shown()
	if code, out, complaints := pinion(t, "cluster", "logdirs", "--brokers", b.Addr); code != 0 || strings.Count(out, "1, lag ") != 1 {
		t.Errorf("cluster logdirs gives %d\n%s%s", code, out, complaints)
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b = runDirs(t, dirs, slow)
	shown()
	if err := moveTo(t, b, at, "moved", 0); err != nil {
		t.Fatal(err)
	}
	awaitHome(t, b, at, "moved", 0)
	if left := marked(t, to); len(left) > 0 {
		t.Errorf("%s holds %v", to, left)
	}
}

// The command sends partitions to another directory, says which are there already or are not to be had, and can be asked first.
func TestPartitionsMoveToLogDir(t *testing.T) {
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs)
	createTopic(t, b, "sent", 2, nil)
	produceTo(t, b, "sent", 2, 10)
	move := func(want int, says string, args ...string) {
		t.Helper()
		code, out, complaints := pinion(t, append([]string{"cluster", "partitions", "move", "--brokers", b.Addr}, args...)...)
		if code != want || !strings.Contains(out+complaints, says) {
			t.Errorf("%v gives %d, want %d and %q:\n%s%s", args, code, want, says, out, complaints)
		}
	}
	at := homeOf(t, b, "sent")
	move(0, "would be moved", "sent/0", "--to-log-dir", dirs[1], "--dry-run")
	if now := homeOf(t, b, "sent"); now[0] != at[0] {
		t.Errorf("a dry run has moved it to %s", now[0])
	}
	for _, dir := range dirs {
		move(0, dir, "sent/0", "sent/1", "--to-log-dir", dir)
		awaitHome(t, b, dir, "sent", 0)
		awaitHome(t, b, dir, "sent", 1)
	}
	move(0, "stays there", "sent/0", "--to-log-dir", dirs[1])
	move(1, "LOG_DIR_NOT_FOUND", "sent/0", "--to-log-dir", dirs[1]+"-absent")
	move(1, "no log directory shows it", "sent/7", "--to-log-dir", dirs[1])
	move(2, "to-log-dir", "sent/0", "--to-log-dir", dirs[1], "--to-shard", "0")
}

// A node that ended between the last two steps of a move has its partition under a name that says so: the check knows it, and a start gives it its name back
// and removes what does not count.
func TestDirectoriesMoveThatWasCutShort(t *testing.T) {
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs)
	createTopic(t, b, "moved", 1, nil)
	const n = 20
	cl := newClient(t, b)
	for i := range n {
		if err := cl.ProduceSync(testContext(t), &kgo.Record{Topic: "moved", Value: fmt.Appendf(nil, "%d", i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	list, err := kadm.NewClient(cl).ListTopics(testContext(t), "moved")
	if err != nil {
		t.Fatal(err)
	}
	at := homeOf(t, b, "moved")[0]
	cl.Close()
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	id := list["moved"].ID
	marked := func(mark string) string { return fmt.Sprintf("moved-0.%x-%s", id[:], mark) }
	other := dirs[0]
	if at == other {
		other = dirs[1]
	}
	if err := os.Rename(filepath.Join(at, "moved-0"), filepath.Join(at, marked("leaving"))); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(other, marked("arrived")), os.DirFS(filepath.Join(at, marked("leaving")))); err != nil {
		t.Fatal(err)
	}
	code, out, complaints := pinion(t, append([]string{"check"}, dirs...)...)
	if code != 0 || !strings.Contains(out+complaints, "gives it its name back") || !strings.Contains(out+complaints, "removes it here") {
		t.Errorf("check gives %d\n%s%s", code, out, complaints)
	}
	b = runDirs(t, dirs)
	checkNumbers(t, b, "moved", n)
	if home := homeOf(t, b, "moved")[0]; home != at {
		t.Errorf("it lies in %s", home)
	}
	if entries, err := os.ReadDir(other); err != nil || strings.Contains(fmt.Sprint(entries), "arrived") {
		t.Errorf("%s holds %v %v", other, entries, err)
	}
}
