package front

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/engine/partition"
	"pinion/engine/shard"
	"pinion/net/kafka/wire"
)

// grow sends one topic of CreatePartitions and returns its error.
func (c *client) grow(version int16, validate bool, topic kmsg.CreatePartitionsRequestTopic) (wire.ErrorCode, string) {
	c.tb.Helper()
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.ValidateOnly, req.Topics = validate, []kmsg.CreatePartitionsRequestTopic{topic}
	got := c.call(req, version).(*kmsg.CreatePartitionsResponse).Topics[0]
	if got.ErrorMessage == nil {
		return wire.ErrorCode(got.ErrorCode), ""
	}
	return wire.ErrorCode(got.ErrorCode), *got.ErrorMessage
}

func TestCreatePartitions(t *testing.T) {
	n := startNode(t, 2)
	n.create("orders", 1, nil)
	c := n.dial()
	id := int32(n.broker.Config.NodeID)
	for version := int16(0); version <= 3; version++ {
		had := n.broker.Control.Image().TopicCalled("orders").Partitions()
		want := kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: had + 2}
		if code, message := c.grow(version, true, want); code != 0 || n.broker.Control.Image().TopicCalled("orders").Partitions() != had {
			t.Fatalf("version %d validates only: %s %s", version, code, message)
		}
		if code, message := c.grow(version, false, want); code != 0 {
			t.Fatalf("version %d: %s %s", version, code, message)
		}
		// What is answered for can be written at once.
		topic := n.broker.Control.Image().TopicCalled("orders")
		c.produced(at{topic: topic, index: had + 1, records: records(1, 1, 10)})
		want.Count, want.Assignment = had+3, []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{id}}}
		if code, message := c.grow(version, false, want); code != 0 {
			t.Fatalf("version %d, placed: %s %s", version, code, message)
		}
	}
	had := n.broker.Control.Image().TopicCalled("orders").Partitions()
	for _, row := range []struct {
		topic   kmsg.CreatePartitionsRequestTopic
		want    wire.ErrorCode
		message string
	}{
		{kmsg.CreatePartitionsRequestTopic{Topic: "absent", Count: 9}, wire.CodeUnknownTopicOrPartition, "*"},
		{kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: had}, wire.CodeInvalidPartitions, fmt.Sprintf("Topic already has %d partition(s).", had)},
		{kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: 2}, wire.CodeInvalidPartitions,
			fmt.Sprintf("The topic orders currently has %d partition(s); 2 would not be an increase.", had)},
		{kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: -1}, wire.CodeInvalidPartitions, "*"},
		{kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: had + 1, Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{}}, wire.CodeInvalidReplicaAssignment, "*"},
		{kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: had + 2, Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{id}}}},
			wire.CodeInvalidReplicaAssignment, "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified."},
		{kmsg.CreatePartitionsRequestTopic{Topic: "orders", Count: had + 1, Assignment: []kmsg.CreatePartitionsRequestTopicAssignment{{Replicas: []int32{77}}}},
			wire.CodeInvalidReplicaAssignment, "*"},
	} {
		for _, validate := range []bool{true, false} {
			if code, message := c.grow(3, validate, row.topic); code != row.want || row.message != "*" && message != row.message {
				t.Errorf("%+v: %s %q", row.topic, code, message)
			}
		}
	}
	twice := kmsg.NewPtrCreatePartitionsRequest()
	twice.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "orders", Count: 50}, {Topic: "orders", Count: 60}}
	for _, got := range c.call(twice, 2).(*kmsg.CreatePartitionsResponse).Topics {
		if wire.ErrorCode(got.ErrorCode) != wire.CodeInvalidRequest || *got.ErrorMessage != "Duplicate topic name." {
			t.Errorf("%+v", got)
		}
	}
}

func TestDescribeCluster(t *testing.T) {
	n := startNode(t, 1, "broker.rack=r1")
	c := n.dial()
	for version := int16(0); version <= 2; version++ {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = version > 0
		got := c.call(req, version).(*kmsg.DescribeClusterResponse)
		id := int32(n.broker.Config.NodeID)
		if got.ErrorCode != 0 || got.ClusterID != n.broker.Cluster() || got.ControllerID != id || len(got.Brokers) != 1 {
			t.Fatalf("version %d: %+v", version, got)
		}
		b := got.Brokers[0]
		if b.NodeID != id || fmt.Sprintf("%s:%d", b.Host, b.Port) != n.addr || *b.Rack != "r1" || b.IsFenced {
			t.Errorf("version %d: %+v", version, b)
		}
		want := int32(-1 << 31)
		if version > 0 {
			want = 8096 // what Kafka without an authorizer answers
		}
		if got.ClusterAuthorizedOperations != want {
			t.Errorf("version %d: operations %d", version, got.ClusterAuthorizedOperations)
		}
	}
	for endpoint, want := range map[int8]wire.ErrorCode{2: wire.CodeMismatchedEndpointType, 7: wire.CodeUnsupportedEndpointType} {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.EndpointType = endpoint
		for version := int16(1); version <= 2; version++ {
			if got := c.call(req, version).(*kmsg.DescribeClusterResponse); wire.ErrorCode(got.ErrorCode) != want || len(got.Brokers) != 0 {
				t.Errorf("endpoint type %d: %+v", endpoint, got)
			}
		}
	}
}

// pages asks for topics until no cursor comes back.
func (c *client) pages(limit int32, names ...string) (pages []*kmsg.DescribeTopicPartitionsResponse) {
	c.tb.Helper()
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.ResponsePartitionLimit = limit
	for _, name := range names {
		req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
	}
	for {
		got := c.call(req, 0).(*kmsg.DescribeTopicPartitionsResponse)
		pages = append(pages, got)
		if got.NextCursor == nil {
			return pages
		}
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: got.NextCursor.Topic, Partition: got.NextCursor.Partition}
		if len(pages) > 100 {
			c.tb.Fatal("the pages do not end")
		}
	}
}

func TestDescribeTopicPartitions(t *testing.T) {
	n := startNode(t, 2, "max.request.partition.size.limit=7")
	sizes := map[string]int32{"a": 3, "b": 5, "c": 1, "d": 4}
	for name, count := range sizes {
		n.create(name, count, nil)
	}
	c := n.dial()
	for _, limit := range []int32{-1, 0, 1, 2, 3, 4, 7, 13, 1000} {
		for _, names := range [][]string{nil, {"d", "b", "a", "c", "b"}} {
			seen := map[string]int32{}
			order := []string{}
			for _, page := range c.pages(limit, names...) {
				inPage := int32(0)
				for _, topic := range page.Topics {
					if topic.ErrorCode != 0 || topic.TopicID != n.broker.Control.Image().TopicCalled(*topic.Topic).ID || topic.AuthorizedOperations != 3576 {
						t.Fatalf("%+v", topic)
					}
					order = append(order, *topic.Topic)
					for _, p := range topic.Partitions {
						if p.Partition != seen[*topic.Topic] || p.LeaderID != int32(n.broker.Config.NodeID) || len(p.Replicas) != 1 || len(p.ISR) != 1 ||
							p.EligibleLeaderReplicas == nil || len(p.OfflineReplicas) != 0 {
							t.Fatalf("limit %d: %+v", limit, p)
						}
						seen[*topic.Topic]++
						inPage++
					}
				}
				if inPage > max(1, min(limit, 7)) {
					t.Fatalf("limit %d: %d partitions in a page", limit, inPage)
				}
			}
			if len(seen) != 4 || seen["a"] != 3 || seen["b"] != 5 || seen["c"] != 1 || seen["d"] != 4 || !slices.IsSorted(order) {
				t.Fatalf("limit %d: %v in order %v", limit, seen, order)
			}
		}
	}
	page := c.pages(100, "a", "absent", "not/legal")[0]
	codes := map[string]wire.ErrorCode{}
	for _, topic := range page.Topics {
		codes[*topic.Topic] = wire.ErrorCode(topic.ErrorCode)
	}
	if codes["a"] != 0 || codes["absent"] != wire.CodeUnknownTopicOrPartition || codes["not/legal"] != wire.CodeInvalidTopicException {
		t.Errorf("%v", codes)
	}
	for _, cursor := range []kmsg.DescribeTopicPartitionsRequestCursor{{Topic: "b", Partition: 0}, {Topic: "a", Partition: -1}} {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics, req.Cursor = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: "a"}}, &cursor
		got := c.call(req, 0).(*kmsg.DescribeTopicPartitionsResponse)
		if len(got.Topics) != 1 || wire.ErrorCode(got.Topics[0].ErrorCode) != wire.CodeInvalidRequest {
			t.Errorf("%+v: %+v", cursor, got)
		}
	}
	// A cursor behind the last partition: the topic with none.
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "d", Partition: 1 << 30}
	if got := c.call(req, 0).(*kmsg.DescribeTopicPartitionsResponse); len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 0 || got.NextCursor != nil {
		t.Errorf("%+v", got)
	}
}

// trim sends DeleteRecords for one partition.
func (c *client) trim(version int16, topic string, index int32, before int64) (int64, wire.ErrorCode) {
	c.tb.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: index, Offset: before}}}}
	got := c.call(req, version).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	return got.LowWatermark, wire.ErrorCode(got.ErrorCode)
}

// earliest is the log start as ListOffsets tells it.
func (c *client) earliest(topic string, index int32) int64 {
	c.tb.Helper()
	req := kmsg.NewPtrListOffsetsRequest()
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp = index, -2
	req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{part}}}
	return c.call(req, 7).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset
}

func TestDeleteRecords(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("orders", 2, map[string]string{"segment.bytes": "1048576", "max.message.bytes": "2000000"})
	n.create("compacted", 1, map[string]string{"cleanup.policy": "compact"})
	n.create("both", 1, map[string]string{"cleanup.policy": "compact,delete"})
	c := n.dial()
	for range 5 {
		for i := range int32(2) {
			c.produced(at{topic: topic, index: i, records: records(1, 10, 60_000)})
		}
	}
	for version := int16(0); version <= 2; version++ {
		to := 12 + int64(version)
		if low, code := c.trim(version, "orders", 0, to); code != 0 || low != to || c.earliest("orders", 0) != to {
			t.Fatalf("version %d: low %d, %s, earliest %d", version, low, code, c.earliest("orders", 0))
		}
		if low, code := c.trim(version, "orders", 0, 3); code != 0 || low != to {
			t.Fatalf("version %d back: low %d, %s", version, low, code)
		}
	}
	for _, row := range []struct {
		topic  string
		index  int32
		before int64
		want   wire.ErrorCode
	}{
		{"orders", 0, 51, wire.CodeOffsetOutOfRange}, {"orders", 0, -2, wire.CodeOffsetOutOfRange}, {"orders", 2, 1, wire.CodeUnknownTopicOrPartition},
		{"absent", 0, 1, wire.CodeUnknownTopicOrPartition}, {"compacted", 0, 0, wire.CodePolicyViolation}, {"both", 0, -1, wire.CodeNone},
	} {
		if low, code := c.trim(2, row.topic, row.index, row.before); code != row.want || (low == -1) != (code != 0) {
			t.Errorf("%+v: low %d, %s", row, low, code)
		}
	}
	if got := fetched(c.call(fetchRequest(0, 1, 1<<20, at{topic: topic, offset: 5, max: 1 << 20}), fetchVersion)); wire.ErrorCode(got[0].ErrorCode) != wire.CodeOffsetOutOfRange {
		t.Fatalf("fetch of deleted records: %+v", got[0].ErrorCode)
	}
	segments := func() (count int) {
		n.within(topic, 0, func(_ *shard.Turn, p *partition.Partition) { count = p.Log().Segments() })
		return count
	}
	if low, code := c.trim(2, "orders", 0, -1); code != 0 || low != 50 {
		t.Fatalf("all: low %d, %s", low, code)
	}
	until(t, "the segments are gone", 10*time.Second, func() bool { return segments() == 1 })
	dir := filepath.Join(n.broker.Config.LogDirs[0], "orders-0")
	until(t, "their files are gone", 10*time.Second, func() bool {
		logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		return len(logs) == 1
	})
	if text, err := os.ReadFile(filepath.Join(dir, "log-start-offset-checkpoint")); err != nil || string(text) != "0\n50\n" {
		t.Fatalf("%q, %v", text, err)
	}
	if got := c.earliest("orders", 1); got != 0 {
		t.Errorf("the other partition starts at %d", got)
	}
	if base := c.produced(at{topic: topic, records: records(1, 1, 10)}); base != 50 {
		t.Errorf("the next record is %d", base)
	}
}

// The start is durable before the answer: a crash right behind it keeps it.
func TestDeletedRecordsStayDeleted(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, 2, "log.dirs="+dir)
	topic := n.create("orders", 4, nil)
	c := n.dial()
	for i := range topic.Partitions() {
		c.produced(at{topic: topic, index: i, records: records(1, 10, 100)})
		if low, code := c.trim(2, "orders", i, int64(i)+3); code != 0 || low != int64(i)+3 {
			t.Fatalf("low %d, %s", low, code)
		}
	}
	copied := t.TempDir() // what a killed process leaves
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	again := startNode(t, 3, "log.dirs="+copied) // on other shards, too
	c = again.dial()
	for i := range topic.Partitions() {
		if got := c.earliest("orders", i); got != int64(i)+3 {
			t.Errorf("partition %d starts at %d", i, got)
		}
	}
}

// A clean stop leaves the starts in Kafka's form as well, and the next start takes them away: they would be wrong after a crash.
func TestStartsAreLeftForKafka(t *testing.T) {
	dir := t.TempDir()
	n := startNode(t, 2, "log.dirs="+dir)
	topic := n.create("my-orders", 2, nil)
	c := n.dial()
	c.produced(at{topic: topic, index: 1, records: records(1, 10, 100)})
	if _, code := c.trim(2, "my-orders", 1, 7); code != 0 {
		t.Fatal(code)
	}
	n.stop()
	name := filepath.Join(dir, "log-start-offset-checkpoint")
	if text, err := os.ReadFile(name); err != nil || string(text) != "0\n1\nmy-orders 1 7\n" {
		t.Fatalf("%q, %v", text, err)
	}
	again := startNode(t, 2, "log.dirs="+dir)
	if _, err := os.Stat(name); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	if got := again.dial().earliest("my-orders", 1); got != 7 {
		t.Errorf("the log starts at %d", got)
	}
}

// Many deletions of one partition at once, together with appends, are all answered, and the furthest holds.
func TestDeletionsUnderLoad(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("orders", 1, nil)
	c := n.dial()
	for range 20 {
		c.produced(at{topic: topic, records: records(1, 10, 100)})
	}
	clients := make([]*client, 8)
	corr := make([]int32, len(clients))
	req := kmsg.NewPtrDeleteRecordsRequest()
	for i := range clients {
		clients[i] = n.dial()
		before := int64(i*20 + 5)
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: "orders", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: before}, {Partition: 0, Offset: before + 1}}}}
		corr[i] = clients[i].send(req, 2)
	}
	for range 20 {
		c.produced(at{topic: topic, records: records(1, 10, 100)})
	}
	for i, other := range clients {
		for _, p := range other.receive(corr[i], req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 || p.LowWatermark < int64(i*20+5) {
				t.Errorf("client %d: %+v", i, p)
			}
		}
	}
	if got := c.earliest("orders", 0); got != 146 {
		t.Errorf("the log starts at %d", got)
	}
}

func TestDescribeLogDirs(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("orders", 3, nil)
	n.create("payments", 2, nil)
	c := n.dial()
	raw := records(1, 10, 1000)
	for i := range int32(2) {
		c.produced(at{topic: topic, index: i, records: raw})
	}
	for version := int16(1); version <= 5; version++ {
		sizes := func(topics []kmsg.DescribeLogDirsRequestTopic) map[string]int64 {
			req := kmsg.NewPtrDescribeLogDirsRequest()
			req.Topics = topics
			got := c.call(req, version).(*kmsg.DescribeLogDirsResponse)
			if got.ErrorCode != 0 || len(got.Dirs) != 1 || got.Dirs[0].ErrorCode != 0 || got.Dirs[0].Dir != n.broker.Config.LogDirs[0] {
				t.Fatalf("version %d: %+v", version, got)
			}
			if dir := got.Dirs[0]; version >= 4 && (dir.TotalBytes <= 0 || dir.UsableBytes <= 0 || dir.UsableBytes > dir.TotalBytes || dir.IsCordoned) {
				t.Errorf("version %d: %d of %d bytes", version, dir.UsableBytes, dir.TotalBytes)
			}
			sizes := map[string]int64{}
			for _, topic := range got.Dirs[0].Topics {
				for _, p := range topic.Partitions {
					sizes[fmt.Sprintf("%s-%d", topic.Topic, p.Partition)] = p.Size
					if p.OffsetLag != 0 || p.IsFuture {
						t.Errorf("version %d: %+v", version, p)
					}
				}
			}
			return sizes
		}
		all := sizes(nil)
		if len(all) != 5 || all["orders-0"] != int64(len(raw)) || all["orders-1"] != int64(len(raw)) || all["orders-2"] != 0 {
			t.Errorf("version %d: %v", version, all)
		}
		some := sizes([]kmsg.DescribeLogDirsRequestTopic{{Topic: "orders", Partitions: []int32{1, 1, 9}}, {Topic: "absent", Partitions: []int32{0}}})
		if len(some) != 1 || some["orders-1"] != int64(len(raw)) {
			t.Errorf("version %d: %v", version, some)
		}
		if none := sizes([]kmsg.DescribeLogDirsRequestTopic{}); len(none) != 0 {
			t.Errorf("version %d: %v of none asked for", version, none)
		}
	}
}

func TestDescribeProducers(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("orders", 2, nil)
	c := n.dial()
	for _, id := range []int64{9, 4} {
		b := batch.NewBuilder()
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = id, 2, 0
		fill(b, 1, 3, 10)
		c.produced(at{topic: topic, index: 1, records: b.Bytes()})
	}
	req := kmsg.NewPtrDescribeProducersRequest()
	req.Topics = []kmsg.DescribeProducersRequestTopic{{Topic: "orders", Partitions: []int32{0, 1, 2}}, {Topic: "absent", Partitions: []int32{0}}, {Topic: "not/legal", Partitions: []int32{0}}}
	got := c.call(req, 0).(*kmsg.DescribeProducersResponse)
	orders := got.Topics[0].Partitions
	if orders[0].ErrorCode != 0 || len(orders[0].ActiveProducers) != 0 || len(orders[1].ActiveProducers) != 2 ||
		wire.ErrorCode(orders[2].ErrorCode) != wire.CodeUnknownTopicOrPartition {
		t.Fatalf("%+v", orders)
	}
	for i, want := range []int64{4, 9} {
		p := orders[1].ActiveProducers[i]
		if p.ProducerID != want || p.ProducerEpoch != 2 || p.LastSequence != 2 || p.LastTimestamp <= 0 || p.CoordinatorEpoch != -1 || p.CurrentTxnStartOffset != -1 {
			t.Errorf("%+v", p)
		}
	}
	if code := wire.ErrorCode(got.Topics[1].Partitions[0].ErrorCode); code != wire.CodeUnknownTopicOrPartition {
		t.Errorf("absent: %s", code)
	}
	if p := got.Topics[2].Partitions[0]; wire.ErrorCode(p.ErrorCode) != wire.CodeInvalidTopicException || p.ErrorMessage == nil {
		t.Errorf("not legal: %+v", p)
	}
}

func TestAdminThroughKadm(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("orders", 2, nil)
	c := n.dial()
	c.produced(at{topic: topic, records: records(1, 10, 100)})
	admin, ctx := n.admin(t)
	if created, err := admin.UpdatePartitions(ctx, 5, "orders"); err != nil || created["orders"].Err != nil {
		t.Fatalf("%v, %+v", err, created)
	}
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "orders", Partition: 0, At: 4})
	deleted, err := admin.DeleteRecords(ctx, offsets)
	if got, ok := deleted.Lookup("orders", 0); err != nil || !ok || got.Err != nil || got.LowWatermark != 4 {
		t.Fatalf("%v, %+v", err, deleted)
	}
	dirs, err := admin.DescribeAllLogDirs(ctx, nil)
	if err != nil {
		t.Fatalf("%v, %+v", err, dirs)
	}
	if p, ok := dirs[int32(n.broker.Config.NodeID)].Lookup(n.broker.Config.LogDirs[0], "orders", 0); !ok || p.Size == 0 {
		t.Fatalf("%+v", dirs)
	}
	producers, err := admin.DescribeProducers(ctx, kadm.TopicsSet{"orders": {0: {}}})
	if err != nil || producers["orders"].Partitions[0].Err != nil {
		t.Fatalf("%v, %+v", err, producers)
	}
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil || !strings.HasPrefix(n.addr, metadata.Brokers[0].Host) {
		t.Fatalf("%v, %+v", err, metadata)
	}
}

// Metadata tells what a client may do to topics and the cluster when it is asked (KIP-430).
func TestMetadataOperations(t *testing.T) {
	n := startNode(t, 1)
	n.create("orders", 1, nil)
	c := n.dial()
	for version := int16(8); version <= 13; version++ {
		req := kmsg.NewPtrMetadataRequest()
		req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = true, true
		got := c.call(req, version).(*kmsg.MetadataResponse)
		if len(got.Topics) != 1 || got.Topics[0].AuthorizedOperations != 3576 || version <= 10 && got.AuthorizedOperations != 8096 {
			t.Errorf("version %d: %+v", version, got)
		}
	}
}
