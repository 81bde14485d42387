package front

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/net/kafka/wire"
)

const coreShards = 3

// startCores is a node whose cores are brokers.
func startCores(t *testing.T, sets ...string) *node {
	t.Helper()
	return startNode(t, coreShards, append([]string{"pinion.advertise=core"}, sets...)...)
}

func (n *node) coreID(shard int) int32 {
	return int32(placement.CoresAreBrokers.Broker(n.broker.Config.NodeID, model.ShardID(shard)))
}

func (n *node) coreAddr(shard int) string {
	return fmt.Sprintf("127.0.0.1:%d", n.front.Listeners[0].Port()+1+shard)
}

// dialCore connects to one core's port.
func (n *node) dialCore(shard int) *client {
	n.tb.Helper()
	c, err := net.Dial("tcp", n.coreAddr(shard))
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(func() { c.Close() })
	return &client{tb: n.tb, conn: c, form: kmsg.NewRequestFormatter(kmsg.FormatterClientID("promise"))}
}

// Every answer names the cores, at their ports, and nothing else, whatever the version and whichever the door.
func TestCoresAreTheOnlyBrokers(t *testing.T) {
	n := startCores(t, "broker.rack=r1")
	topic := n.create("orders", 6, nil)
	doors := []*client{n.dial()}
	cores := map[int32]string{}
	for shard := range coreShards {
		doors = append(doors, n.dialCore(shard))
		cores[n.coreID(shard)] = n.coreAddr(shard)
	}
	leads := func(what string, index, leader int32, replicas, isr []int32) {
		t.Helper()
		if want := n.coreID(n.owner(topic, index)); leader != want || !slices.Equal(replicas, []int32{want}) || !slices.Equal(isr, []int32{want}) {
			t.Errorf("%s: partition %d is led by %d, replicas %v, ISR %v, want %d", what, index, leader, replicas, isr, want)
		}
	}
	for door, c := range doors {
		for version := wire.Lookup(wire.KeyMetadata).Min; version <= wire.Lookup(wire.KeyMetadata).Max; version++ {
			req := kmsg.NewPtrMetadataRequest()
			got := c.call(req, version).(*kmsg.MetadataResponse)
			what := fmt.Sprintf("door %d, metadata %d", door, version)
			if len(got.Brokers) != coreShards || version > 0 && cores[got.ControllerID] == "" {
				t.Fatalf("%s: %+v", what, got)
			}
			for _, b := range got.Brokers {
				if cores[b.NodeID] != net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) || version > 0 && *b.Rack != "r1" {
					t.Errorf("%s: broker %+v", what, b)
				}
			}
			for _, p := range got.Topics[0].Partitions {
				leads(what, p.Partition, p.Leader, p.Replicas, p.ISR)
			}
		}
		for version := int16(0); version <= 2; version++ {
			got := c.call(kmsg.NewPtrDescribeClusterRequest(), version).(*kmsg.DescribeClusterResponse)
			if len(got.Brokers) != coreShards || cores[got.ControllerID] == "" {
				t.Fatalf("door %d, cluster %d: %+v", door, version, got)
			}
			for _, b := range got.Brokers {
				if cores[b.NodeID] != net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))) || b.IsFenced {
					t.Errorf("door %d, cluster %d: broker %+v", door, version, b)
				}
			}
		}
		for _, p := range c.pages(100, "orders")[0].Topics[0].Partitions {
			leads(fmt.Sprintf("door %d, topic partitions", door), p.Partition, p.LeaderID, p.Replicas, p.ISR)
		}
	}
}

// codeOf produces to and fetches from a partition, and asks about it, and wants one code of all; it returns the leaders hinted at.
func (c *client) codeOf(p at) (wire.ErrorCode, []string) {
	c.tb.Helper()
	var hints []string
	produced := c.call(produceRequest(-1, p), produceVersion).(*kmsg.ProduceResponse)
	code := produced.Topics[0].Partitions[0].ErrorCode
	if l := produced.Topics[0].Partitions[0].CurrentLeader; l.LeaderID >= 0 {
		for _, b := range produced.Brokers {
			hints = append(hints, fmt.Sprintf("%d@%d of %d: %s:%d", l.LeaderID, l.LeaderEpoch, b.NodeID, b.Host, b.Port))
		}
	}
	fetched := c.call(fetchRequest(0, 0, 1<<20, p), 17).(*kmsg.FetchResponse)
	if l := fetched.Topics[0].Partitions[0].CurrentLeader; l.LeaderID >= 0 {
		for _, b := range fetched.Brokers {
			hints = append(hints, fmt.Sprintf("%d@%d of %d: %s:%d", l.LeaderID, l.LeaderEpoch, b.NodeID, b.Host, b.Port))
		}
	}
	offsets := kmsg.NewPtrListOffsetsRequest()
	offsets.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: p.topic.Name, Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: p.index, CurrentLeaderEpoch: -1, Timestamp: -1}}}}
	epochs := kmsg.NewPtrOffsetForLeaderEpochRequest()
	epochs.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: p.topic.Name, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{{Partition: p.index, CurrentLeaderEpoch: -1}}}}
	trim := kmsg.NewPtrDeleteRecordsRequest()
	trim.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: p.topic.Name, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: p.index}}}}
	producers := kmsg.NewPtrDescribeProducersRequest()
	producers.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: p.topic.Name, Partitions: []int32{p.index}}}
	for what, got := range map[string]int16{
		"fetch":     fetched.Topics[0].Partitions[0].ErrorCode,
		"offsets":   c.call(offsets, 9).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].ErrorCode,
		"epochs":    c.call(epochs, 4).(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0].ErrorCode,
		"trim":      c.call(trim, 2).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0].ErrorCode,
		"producers": c.call(producers, 0).(*kmsg.DescribeProducersResponse).Topics[0].Partitions[0].ErrorCode,
	} {
		if got != code {
			c.tb.Errorf("partition %d: %s is answered with %d, produce with %d", p.index, what, got, code)
		}
	}
	return wire.ErrorCode(code), hints
}

// A core's port serves what the core leads, on its own shard, and names the leader of everything else; the listener's port serves all.
func TestACoreServesWhatItLeads(t *testing.T) {
	n := startCores(t)
	topic := n.create("orders", 6, nil)
	for shard := range coreShards {
		before := n.hub(shard).Accepted
		c := n.dialCore(shard)
		for index := range topic.Partitions() {
			owner := n.owner(topic, index)
			code, hints := c.codeOf(at{topic: topic, index: index, records: records(1, 1, 10), max: 1 << 20})
			if owner == shard {
				if code != wire.CodeNone || len(hints) != 0 {
					t.Errorf("core %d refuses its partition %d: %s %v", shard, index, code, hints)
				}
				continue
			}
			hint := fmt.Sprintf("%d@0 of %d: %s", n.coreID(owner), n.coreID(owner), n.coreAddr(owner))
			if code != wire.CodeNotLeaderOrFollower || !slices.Equal(hints, []string{hint, hint}) {
				t.Errorf("core %d and partition %d of core %d: %s, hints %q, want %q", shard, index, owner, code, hints, hint)
			}
		}
		if got := n.hub(shard).Accepted - before; got != 1 {
			t.Errorf("core %d accepted %d connections", shard, got)
		}
	}
	for range 2 * coreShards {
		c := n.dial()
		for index := range topic.Partitions() {
			if code, hints := c.codeOf(at{topic: topic, index: index, records: records(1, 1, 10), max: 1 << 20}); code != wire.CodeNone || len(hints) != 0 {
				t.Errorf("the bootstrap port refuses partition %d: %s %v", index, code, hints)
			}
		}
	}
}

// Sizes are told by each core of its own replicas, so that what tools add up is right.
func TestCoresTellTheirOwnSizes(t *testing.T) {
	n := startCores(t)
	topic := n.create("orders", 6, nil)
	boot := n.dial()
	for index := range topic.Partitions() {
		boot.produced(at{topic: topic, index: index, records: records(1, 1, 100*int(index+1))})
	}
	sizes := func(c *client) map[int32]int64 {
		found := map[int32]int64{}
		for _, dir := range c.call(kmsg.NewPtrDescribeLogDirsRequest(), 4).(*kmsg.DescribeLogDirsResponse).Dirs {
			for _, topic := range dir.Topics {
				for _, p := range topic.Partitions {
					found[p.Partition] += p.Size
				}
			}
		}
		return found
	}
	all := sizes(boot)
	if len(all) != 6 {
		t.Fatalf("the bootstrap port tells of %v", all)
	}
	seen := 0
	for shard := range coreShards {
		for index, size := range sizes(n.dialCore(shard)) {
			seen++
			if n.owner(topic, index) != shard || size != all[index] {
				t.Errorf("core %d says that partition %d has %d bytes, want %d", shard, index, size, all[index])
			}
		}
	}
	if seen != 6 {
		t.Errorf("the cores tell of %d partitions", seen)
	}
}

// Assignments are given in the ids of cores, and never put two replicas on one node.
func TestCoresInAssignments(t *testing.T) {
	n := startCores(t)
	c := n.dial()
	create := func(name string, assignment ...[]int32) (wire.ErrorCode, string) {
		req := kmsg.NewPtrCreateTopicsRequest()
		in := kmsg.CreateTopicsRequestTopic{Topic: name, NumPartitions: -1, ReplicationFactor: -1}
		for i, replicas := range assignment {
			in.ReplicaAssignment = append(in.ReplicaAssignment, kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: int32(i), Replicas: replicas})
		}
		req.Topics = []kmsg.CreateTopicsRequestTopic{in}
		got := c.call(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]
		message := ""
		if got.ErrorMessage != nil {
			message = *got.ErrorMessage
		}
		return wire.ErrorCode(got.ErrorCode), message
	}
	if code, message := create("placed", []int32{n.coreID(2)}, []int32{n.coreID(2)}, []int32{n.coreID(0)}); code != wire.CodeNone {
		t.Fatal(code, message)
	}
	grow := kmsg.CreatePartitionsRequestTopic{Topic: "placed", Count: 5,
		Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{n.coreID(1)}}, {Replicas: []int32{n.coreID(2)}}}}
	if code, message := c.grow(3, false, grow); code != wire.CodeNone {
		t.Fatal(code, message)
	}
	topic := n.broker.Control.Image().TopicCalled("placed")
	for index, want := range []int{2, 2, 0, 1, 2} {
		if got := n.owner(topic, int32(index)); got != want {
			t.Errorf("partition %d is on core %d, want %d", index, got, want)
		}
	}
	grow.Count = 6
	for _, row := range []struct {
		replicas []int32
		message  string
	}{
		{[]int32{n.coreID(0), n.coreID(1)}, "The manual partition assignment includes the brokers 1000 and 1001, which are cores of one node: replicas go to different nodes."},
		{[]int32{n.coreID(0), n.coreID(0)}, "The manual partition assignment includes the broker 1000 more than once."},
		{[]int32{n.coreID(coreShards)}, "The manual partition assignment includes broker 1003, but no such broker is registered."},
		{[]int32{1}, "The manual partition assignment includes broker 1, but no such broker is registered."},
		{[]int32{-1}, "The manual partition assignment includes broker -1, but no such broker is registered."},
		{[]int32{}, "The manual partition assignment includes an empty replica list."},
	} {
		if code, message := create("bad", row.replicas); code != wire.CodeInvalidReplicaAssignment || message != row.message {
			t.Errorf("create on %v: %s %q", row.replicas, code, message)
		}
		grow.Assignment = []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: row.replicas}}
		if code, message := c.grow(3, false, grow); code != wire.CodeInvalidReplicaAssignment || message != row.message {
			t.Errorf("grow on %v: %s %q", row.replicas, code, message)
		}
	}
}

// The cores of a node share its settings: each answers to its own id and to those of the others, and the node's is unknown.
func TestCoresShareSettings(t *testing.T) {
	n := startCores(t)
	c := n.dialCore(1)
	c.alter(brokerResource, strconv.Itoa(int(n.coreID(2))), "message.max.bytes=123456")
	for shard := range coreShards {
		name := strconv.Itoa(int(n.coreID(shard)))
		if got := c.described(4, brokerResource, name)["message.max.bytes"]; *got.Value != "123456" || got.Source != kmsg.ConfigSourceDynamicBrokerConfig {
			t.Errorf("core %s has %+v", name, got)
		}
	}
	for _, name := range []string{"1", "1003", "2000"} {
		if code, message := c.altered(1, true, brokerResource, name, "message.max.bytes=1000"); code != wire.CodeInvalidRequest ||
			message != "Unexpected broker id, expected 1001, but received "+name {
			t.Errorf("altered %s: %s %q", name, code, message)
		}
	}
}

// reassign sends one partition of AlterPartitionReassignments.
func (c *client) reassign(topic string, index int32, replicas ...int32) (wire.ErrorCode, string) {
	c.tb.Helper()
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.Topics = []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: topic,
		Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{Partition: index, Replicas: replicas}}}}
	got := c.call(req, 1).(*kmsg.AlterPartitionAssignmentsResponse).Topics[0].Partitions[0]
	if got.ErrorMessage == nil {
		return wire.ErrorCode(got.ErrorCode), ""
	}
	return wire.ErrorCode(got.ErrorCode), *got.ErrorMessage
}

// A reassignment moves a partition to another core with a new leader epoch; who still goes to the old one is told where to, and who knows
// the old epoch only is fenced.
func TestCoresReassign(t *testing.T) {
	n := startCores(t)
	topic := n.create("orders", 1, nil)
	from := n.owner(topic, 0)
	to := (from + 1) % coreShards
	old, boot := n.dialCore(from), n.dial()
	p := at{topic: topic, records: records(1, 3, 10), max: 1 << 20}
	old.produced(p)
	if code, message := boot.reassign("orders", 0, n.coreID(to)); code != wire.CodeNone {
		t.Fatal(code, message)
	}
	if got := n.owner(n.broker.Control.Image().TopicCalled("orders"), 0); got != to {
		t.Fatalf("the partition is on core %d, want %d", got, to)
	}
	code, hints := old.codeOf(p)
	hint := fmt.Sprintf("%d@1 of %d: %s", n.coreID(to), n.coreID(to), n.coreAddr(to))
	if code != wire.CodeNotLeaderOrFollower || !slices.Equal(hints, []string{hint, hint}) {
		t.Errorf("the old leader: %s, hints %q, want %q", code, hints, hint)
	}
	fresh := n.dialCore(to)
	stale := fetchRequest(0, 0, 1<<20, p)
	stale.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
	if got := fetched(fresh.call(stale, 17))[0]; wire.ErrorCode(got.ErrorCode) != wire.CodeFencedLeaderEpoch || got.CurrentLeader.LeaderEpoch != 1 {
		t.Errorf("the old epoch: %+v", got)
	}
	if base := fresh.produced(p); base != 3 {
		t.Errorf("the new leader goes on at %d, want 3", base)
	}
	for _, row := range []struct {
		replicas []int32
		code     wire.ErrorCode
	}{
		{[]int32{n.coreID(to)}, wire.CodeNone}, // there already
		{nil, wire.CodeNoReassignmentInProgress},
		{[]int32{n.coreID(0), n.coreID(1)}, wire.CodeInvalidReplicaAssignment},
		{[]int32{int32(n.broker.Config.NodeID)}, wire.CodeInvalidReplicaAssignment},
	} {
		if code, message := boot.reassign("orders", 0, row.replicas...); code != row.code {
			t.Errorf("reassign to %v: %s %q, want %s", row.replicas, code, message, row.code)
		}
	}
	if epoch := n.broker.Control.Image().TopicCalled("orders").Partition(0).LeaderEpoch; epoch != 1 {
		t.Errorf("leader epoch %d after one move", epoch)
	}
}

// A port of a core that is taken is said with the shard, the ports that are needed and the way out; nothing stays open.
func TestATakenPortOfACore(t *testing.T) {
	load := func(sets ...string) *config.Broker {
		cfg, _, err := config.Load(config.Input{Sets: append([]string{"pinion.advertise=core", "pinion.admin="}, sets...)})
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	// Others take ports of this machine as well: the one that is wanted taken is asked for until those before it are free.
	said := ""
	for range 100 {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		port := taken.Addr().(*net.TCPAddr).Port - 2
		f, err := Listen(load(fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:%d", port)), 2)
		if err == nil {
			f.Close()
			t.Fatalf("port %d is taken twice", port+2)
		}
		if said = err.Error(); !strings.Contains(said, "for shard 1 ") {
			continue
		}
		want := fmt.Sprintf("listen on port %d for shard 1 of PLAINTEXT://127.0.0.1:%d: another process has the port; cores as brokers (pinion.advertise=core) "+
			"need %d to %d beside %d: stop it, or choose others with --set listeners=PLAINTEXT://127.0.0.1:PORT", port+2, port, port+1, port+2, port)
		if said != want {
			t.Errorf("got  %s\nwant %s", said, want)
		}
		for _, free := range []int{port, port + 1} {
			again, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", free))
			if err != nil {
				t.Fatalf("port %d stays open: %v", free, err)
			}
			again.Close()
		}
		var problems config.Problems
		if _, err = Listen(load("listeners=PLAINTEXT://127.0.0.1:0"), 1001); !errors.As(err, &problems) {
			t.Errorf("too many shards: %v", err)
		}
		return
	}
	t.Fatalf("never: %s", said)
}
