package main_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

const (
	killsTopic, killsGroup = "numbers", "killed"
	killsPartitions        = 8
	killsMembers           = 3
	// killsOwned is how long it may take after a start until somebody commits to every partition again; a session is six seconds.
	killsOwned = 10 * time.Second
	// killsPatience is what a busy machine gets where the time is not what is tested.
	killsPatience = time.Minute
)

// A broker is killed in the middle of rebalances with commits running: no commit that was acknowledged is lost or moved back, and every
// partition has an owner who commits again. GROUP_KILLS is how often; with the long form it has to be in ten seconds.
func TestClientsGroupsSurviveKills(t *testing.T) {
	rounds, long := 2, false
	if text := os.Getenv("GROUP_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		rounds, long = n, true
	}
	port, err := harness.ReserveRun(1)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Release()
	seed := uint64(time.Now().UnixNano())
	k := &killing{t: t, random: rand.New(rand.NewPCG(seed, 1)), acked: map[int32]int64{}, fresh: map[int32]bool{}, config: harness.Config{Dir: t.TempDir(), Port: port.Number, Shards: 2, Set: []string{soon}}}
	k.b = harness.Run(t, k.config)
	createTopic(t, k.b, killsTopic, killsPartitions, nil)
	for range killsMembers {
		k.join()
	}
	defer k.dismiss()
	k.owned("before the first kill")
	var longest time.Duration
	for round := range rounds {
		// A rebalance begins, and somewhere in it the broker ends.
		if round%2 == 0 {
			k.join()
		} else {
			k.leave()
		}
		time.Sleep(time.Duration(k.random.IntN(400)) * time.Millisecond) // the moment of the kill is what is drawn
		if err := k.b.Kill(); err != nil {
			t.Fatal(err)
		}
		promised := k.acknowledged()
		k.b = harness.Run(t, k.config)
		k.kept(round, promised)
		took := k.owned(fmt.Sprintf("after kill %d", round))
		longest = max(longest, took)
		if long && took > killsOwned {
			t.Errorf("after kill %d (seed %d) every partition is owned after %v", round, seed, took)
		}
		k.kept(round, promised)
	}
	total := int64(0)
	for _, n := range k.acknowledged() {
		total += n
	}
	t.Logf("group kills: %d kills in rebalances, %d commits acknowledged, none lost or moved back; every partition owned again after %v at most", rounds, total, longest.Round(time.Millisecond))
}

// killing is the test: members who commit ever larger numbers to the partitions they own.
type killing struct {
	t       *testing.T
	random  *rand.Rand
	config  harness.Config
	b       *harness.Broker
	members []*committer

	mu    sync.Mutex // guards what follows
	drawn [killsPartitions]int64
	acked map[int32]int64
	fresh map[int32]bool // partitions with a commit since owned began to wait
}

// committer is a member of the group.
type committer struct {
	k    *killing
	cl   *kgo.Client
	stop context.CancelFunc
	over chan struct{}

	mu    sync.Mutex // held during a commit, so that nothing is committed to a partition that is given up; guards owned
	owned map[int32]bool
}

func (k *killing) join() {
	k.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m := &committer{k: k, stop: cancel, over: make(chan struct{}), owned: map[int32]bool{}}
	set := func(to bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, p := range parts[killsTopic] {
				if m.owned[p] = to; !to {
					delete(m.owned, p)
				}
			}
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr), kgo.ConsumerGroup(killsGroup), kgo.ConsumeTopics(killsTopic), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()), kgo.HeartbeatInterval(200*time.Millisecond), kgo.SessionTimeout(6*time.Second), kgo.RebalanceTimeout(6*time.Second),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.OnPartitionsAssigned(set(true)), kgo.OnPartitionsRevoked(set(false)), kgo.OnPartitionsLost(set(false)))
	if err != nil {
		k.t.Fatal(err)
	}
	m.cl = cl
	k.members = append(k.members, m)
	go m.run(ctx)
}

// leave has the oldest member leave; nobody may be there to hear it.
func (k *killing) leave() {
	m := k.members[0]
	k.members = k.members[1:]
	go m.end()
}

func (k *killing) dismiss() {
	for _, m := range k.members {
		m.end()
	}
}

// end lets the member finish its commit, and go.
func (m *committer) end() {
	m.stop()
	<-m.over
	m.cl.Close()
}

// commitPace is between two commits of a member.
const commitPace = 10 * time.Millisecond

func (m *committer) run(ctx context.Context) {
	defer close(m.over)
	for ctx.Err() == nil {
		m.commit(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(commitPace):
		}
	}
}

// commit commits the next number to every partition the member owns.
func (m *committer) commit(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.owned) == 0 {
		return
	}
	k := m.k
	offsets := map[int32]kgo.EpochOffset{}
	k.mu.Lock()
	for p := range m.owned {
		k.drawn[p]++
		offsets[p] = kgo.EpochOffset{Epoch: -1, Offset: k.drawn[p]}
	}
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // the broker may be away
	defer cancel()
	m.cl.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{killsTopic: offsets}, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if err != nil {
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode == 0 {
					k.acked[p.Partition] = max(k.acked[p.Partition], offsets[p.Partition].Offset)
					k.fresh[p.Partition] = true
				}
			}
		}
	})
}

// acknowledged is what has been committed for certain.
func (k *killing) acknowledged() map[int32]int64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.acked)
}

// owned waits until somebody has committed to every partition, from now on.
func (k *killing) owned(when string) time.Duration {
	k.t.Helper()
	begun := time.Now()
	k.mu.Lock()
	k.fresh = map[int32]bool{}
	k.mu.Unlock()
	for {
		k.mu.Lock()
		n := len(k.fresh)
		k.mu.Unlock()
		if n == killsPartitions {
			return time.Since(begun)
		}
		if time.Since(begun) > killsPatience {
			k.t.Fatalf("%s: nobody commits to %d of %d partitions", when, killsPartitions-n, killsPartitions)
		}
		time.Sleep(time.Millisecond) // commits are counted by other goroutines
	}
}

// kept wants the broker to have what was promised, or more.
func (k *killing) kept(round int, promised map[int32]int64) {
	k.t.Helper()
	offsets, err := kadm.NewClient(newClient(k.t, k.b)).FetchOffsets(testContext(k.t), killsGroup)
	if err != nil {
		k.t.Fatal(err)
	}
	for p, at := range promised {
		if got := offsets[killsTopic][p]; got.At < at {
			k.t.Errorf("after kill %d partition %d is at %d; %d was acknowledged", round, p, got.At, at)
		}
	}
}
