package many

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"

	"pinion/bench/harness"
	"pinion/bench/machine"
)

// raiseFiles lets this process have so many sockets open, and returns how many it may if that is fewer.
func raiseFiles(t *testing.T, count int) int {
	t.Helper()
	const aside = 200 // what this process has open besides
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur >= uint64(count+aside) {
		return count
	}
	raised := syscall.Rlimit{Cur: uint64(count + aside), Max: max(limit.Max, uint64(count+aside))}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		t.Logf("only %d descriptors to be had: %v", limit.Cur, err)
		return int(limit.Cur) - aside
	}
	t.Cleanup(func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) })
	return count
}

// crowd is many members.
type crowd []*member

// enlistAll connects so many members to each group.
func enlistAll(t *testing.T, addr string, groups, each int) crowd {
	t.Helper()
	var all crowd
	for i := range groups {
		for range each {
			m := enlist(t, addr, fmt.Sprintf("group-%d", i))
			_ = m.Conn.(*net.TCPConn).SetLinger(0) // no ten thousand ports in TIME_WAIT
			all = append(all, m)
		}
	}
	return all
}

// each runs f for all members at once and wants no error.
func (all crowd) each(t *testing.T, f func(i int, m *member) error) {
	t.Helper()
	failures := make([]error, len(all))
	var wait sync.WaitGroup
	for i, m := range all {
		wait.Go(func() { failures[i] = f(i, m) })
	}
	wait.Wait()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
}

// states counts the groups by state.
func states(t *testing.T, c *client) map[string]int {
	t.Helper()
	resp := c.must(t, kmsg.NewPtrListGroupsRequest(), 5).(*kmsg.ListGroupsResponse)
	if resp.ErrorCode != 0 {
		t.Fatalf("list groups: error %d", resp.ErrorCode)
	}
	count := map[string]int{}
	for i := range resp.Groups {
		count[resp.Groups[i].GroupState]++
	}
	return count
}

// readyGroups waits until __consumer_offsets is there and all of it is served.
func readyGroups(t *testing.T, c *client) {
	t.Helper()
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.CoordinatorKeys = []string{"group-0"}
	for deadline := time.Now().Add(answerMax); ; time.Sleep(10 * time.Millisecond) { // until a topic is there
		found := c.must(t, req, 4).(*kmsg.FindCoordinatorResponse)
		listed := c.must(t, kmsg.NewPtrListGroupsRequest(), 5).(*kmsg.ListGroupsResponse)
		if found.Coordinators[0].ErrorCode == 0 && listed.ErrorCode == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no coordinator: error %d, %d", found.Coordinators[0].ErrorCode, listed.ErrorCode)
		}
	}
}

// What idle members may cost, as the sheet has it: a twentieth of a core for ten thousand of them, and the memory of one.
const (
	idleCoresMax   = 0.05
	memberBytesMax = 8 << 10
)

// TestGroupsIdle holds 2,000 groups of five members that only say that they are alive, each on a connection of its own and at its own times, and
// measures what that takes of the broker. Nobody may fall out of its group meanwhile.
func TestGroupsIdle(t *testing.T) {
	const each = 5
	groups := raiseFiles(t, sized(2000, 40)*each) / each
	idle, calm := time.Duration(sized(30, 4))*time.Second, beatEvery*time.Duration(sized(6, 1))
	var set []string
	if !long() {
		set = append(set, "group.initial.rebalance.delay.ms=200")
	}
	b := harness.Run(t, harness.Config{Shards: 2, Set: set})
	p := process(b.Pid)
	c := dial(t, b.Addr)
	readyGroups(t, c)
	before := p.settled(time.Second)
	began := time.Now()
	all := enlistAll(t, b.Addr, groups, each)
	subscription, assignment := subscriptionTo("topic"), assignmentOf("topic", 0)
	all.each(t, func(_ int, m *member) error { return m.join(subscription, assignment) })
	t.Logf("%d groups of %d members stable after %v", groups, each, time.Since(began).Round(time.Millisecond))

	here := all.pulses(t)
	cores, rate := idleOf(t, p, here, calm, idle)
	if got := states(t, c); got["Stable"] != groups {
		t.Fatalf("groups by state: %v, want %d stable", got, groups)
	}
	t.Logf("%d members idle, %.0f heartbeats a second: %.2f %% of a core, %.1f us a heartbeat", len(all), rate, 100*cores, 1e6*cores/rate)
	if long() && cores > idleCoresMax {
		t.Errorf("%.2f %% of a core, at most %.0f %%", 100*cores, 100*idleCoresMax)
	}
	after := p.settled(time.Duration(sized(5, 1)) * time.Second) // well within a session: nobody is lost
	per := float64(after-before) / float64(len(all))
	t.Logf("%.0f bytes of memory a member, connection included; %d kB before", per, before>>10)
	if long() && per > memberBytesMax {
		t.Errorf("%.0f bytes a member, at most %d", per, memberBytesMax)
	}
	closeAll(here)
	addr, e := startEcho(t)
	for _, m := range all {
		m.client = dial(t, addr)
	}
	there := all.pulses(t)
	defer closeAll(there)
	least, rate := idleOf(t, e, there, calm, idle)
	t.Logf("a loop that only echoes: %.2f %% of a core, %.1f us a heartbeat; the broker %.2f times that", 100*least, 1e6*least/rate, cores/least)
}

// pulses leaves all members nothing to do but to say that they are alive.
func (all crowd) pulses(t *testing.T) []pulse {
	t.Helper()
	pulses := make([]pulse, len(all))
	for i, m := range all {
		var err error
		if pulses[i], err = m.pulse(); err != nil {
			t.Fatal(err)
		}
	}
	return pulses
}

func closeAll(pulses []pulse) {
	for _, p := range pulses {
		_ = unix.Close(p.fd) // nothing is on its way that matters
	}
}

// idleOf has everybody say that they are alive, each at its own times, and measures what that takes of the process they say it to: the share of a core, at
// how many heartbeats a second.
func idleOf(t *testing.T, p process, all []pulse, calm, idle time.Duration) (cores, rate float64) {
	t.Helper()
	began := time.Now()
	var first machine.Usage
	usage := func() machine.Usage {
		u, err := machine.Of(int(p))
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	measured := 0
	for turn := 0; ; turn++ {
		now := time.Since(began)
		// Some rounds pass before anything is measured: idle is who has been idle for a while.
		if now >= calm && measured == 0 {
			first, measured = usage(), turn
		}
		if now >= calm+idle {
			if turn < len(all) {
				t.Fatalf("%d of %d members sent a heartbeat", turn, len(all))
			}
			return (usage().CPU() - first.CPU()).Seconds() / (now - calm).Seconds(), float64(turn-measured) / (now - calm).Seconds()
		}
		time.Sleep(beatEvery*time.Duration(turn)/time.Duration(len(all)) - now)
		if err := all[turn%len(all)].say(); err != nil {
			t.Fatal(err)
		}
	}
}

// joinedMax is how long a group of a thousand may take until everybody has its part, the first delay of three seconds, which lasts twice
// that while members come, included.
const joinedMax = 10 * time.Second

// TestGroupsLarge has 1,000 members join one group at once, with the broker's default delay: one generation, in which everybody gets the part
// the leader made for it.
func TestGroupsLarge(t *testing.T) {
	count := sized(1000, 100)
	var set []string
	if !long() {
		set = append(set, "group.initial.rebalance.delay.ms=500")
	}
	b := harness.Run(t, harness.Config{Shards: 2, Set: set})
	c := dial(t, b.Addr)
	readyGroups(t, c)
	all := enlistAll(t, b.Addr, 1, count)
	subscription, assignment := subscriptionTo("topic"), assignmentOf("topic", 0)
	usage, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	all.each(t, func(_ int, m *member) error { return m.join(subscription, assignment) })
	took := time.Since(began)
	later, err := b.Usage()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a group of %d members stable after %v, generation %d; %v of broker processor time", count, took.Round(time.Millisecond), all[0].generation, later.CPU()-usage.CPU())
	leaders := 0
	for _, m := range all {
		if m.leads {
			leaders++
			if m.of != count {
				t.Errorf("the leader was told of %d members", m.of)
			}
		}
		if m.generation != all[0].generation || string(m.part) != string(assignment) {
			t.Fatalf("%s is in generation %d with %d bytes assigned, another in %d", m.id, m.generation, len(m.part), all[0].generation)
		}
	}
	if leaders != 1 {
		t.Errorf("%d leaders", leaders)
	}
	if got := states(t, c); got["Stable"] != 1 {
		t.Errorf("groups by state: %v", got)
	}
	all.each(t, func(_ int, m *member) error { return m.heartbeat() })
	if long() && took > joinedMax {
		t.Errorf("stable after %v, at most %v", took, joinedMax)
	}
}

// Of commits and produces that are compared: connections as a few dozen consumers have them, one request at a time on each.
const (
	commitConnections = 64
	commitRounds      = 9
	commitPace        = 6400 * time.Microsecond // of each: 10,000 a second
	commitVersion     = 8
	produceVersion    = 7
)

// TestGroupsCommit compares what an OffsetCommit costs with what a Produce of one record of its size costs that promises the same: acks=all, and
// durable when it is answered. Both go to as many partitions, in turns.
func TestGroupsCommit(t *testing.T) {
	warm, measured := time.Duration(sized(500, 100))*time.Millisecond, time.Duration(sized(3000, 300))*time.Millisecond
	b := harness.Run(t, harness.Config{Shards: 2})
	c := dial(t, b.Addr)
	readyGroups(t, c)
	const width = 50 // offsets.topic.num.partitions
	f := field{stem: "small", topics: 1, width: width}
	f.create(t, c)
	f.produce(t, c, 0)
	commits, produces := make([]flood, commitConnections), make([]flood, commitConnections)
	for i := range commitConnections {
		group := fmt.Sprintf("group-%d", i)
		commits[i] = commitFlood(group, f.name(0), int32(i%width))
		produces[i] = produceFlood(f.name(0), int32(i%width), storedBytes(group, f.name(0)))
	}
	var ratios []float64
	for range sized(commitRounds, 1) {
		commit, err := pour(b, commits, commitPace, warm, measured)
		if err != nil {
			t.Fatal(err)
		}
		produce, err := pour(b, produces, commitPace, warm, measured)
		if err != nil {
			t.Fatal(err)
		}
		if commit.requests == 0 || produce.requests == 0 {
			t.Fatalf("%d commits, %d produces", commit.requests, produce.requests)
		}
		ratios = append(ratios, commit.perCPU()/produce.perCPU())
		t.Logf("commits: %v; produces: %v; ratio %.2f", commit, produce, ratios[len(ratios)-1])
	}
	slices.Sort(ratios)
	if middle := ratios[len(ratios)/2]; long() && middle < 1 {
		t.Errorf("in the middle a second of processor time does %.2f as many commits as produces", middle)
	}
}

func commitFlood(group, topic string, index int32) flood {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewOffsetCommitRequestTopicPartition()
	rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata = index, 1, -1, kmsg.StringPtr("")
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return floodOf(req, commitVersion, func(answer []byte) int16 {
		resp := kmsg.NewPtrOffsetCommitResponse()
		resp.SetVersion(commitVersion)
		if err := resp.ReadFrom(answer[5:]); err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return -1
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

func produceFlood(topic string, index int32, value int) flood {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, int32(answerMax.Milliseconds())
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = index, aBatch(make([]byte, value))
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return floodOf(req, produceVersion, func(answer []byte) int16 {
		resp := kmsg.NewPtrProduceResponse()
		resp.SetVersion(produceVersion)
		if err := resp.ReadFrom(answer[4:]); err != nil || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return -1
		}
		return resp.Topics[0].Partitions[0].ErrorCode
	})
}

// storedBytes is how many bytes the record of such a commit has, key and value: what a producer of the same size sends.
func storedBytes(group, topic string) int {
	key := 2 + 2 + len(group) + 2 + len(topic) + 4
	const value = 2 + 8 + 4 + 1 + 8 + 19 // version, offset, epoch, no metadata, time, the topic's id as a tag
	return key + value
}
