package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"pinion/bench/compat"
	"pinion/bench/harness"
	"pinion/bench/versus"
)

// bench of one row: a client that speaks one version of one key and the newest of all others, and one that speaks as it likes.
type versionRow struct {
	b       *harness.Broker
	key     int16
	version int16
	topic   string // that nobody else uses; not created yet
	pinned  func(opts ...kgo.Opt) *kgo.Client
	free    *kgo.Client
}

// versionWork is what is done with every version of a key. Each does the key's real work and checks what came of it.
var versionWork = map[int16]func(t *testing.T, ctx context.Context, r *versionRow){
	0:  workProduce,
	1:  workFetch,
	2:  workListOffsets,
	3:  workMetadata,
	8:  workGroup,
	9:  workGroup,
	10: workFindCoordinator,
	11: workGroup,
	12: workGroup,
	13: workGroup,
	14: workGroup,
	15: workDescribeGroups,
	16: workListGroups,
	18: workAPIVersions,
	19: workCreateTopics,
	20: workDeleteTopics,
	21: workDeleteRecords,
	22: workInitProducerID,
	23: workEpochEnds,
	32: workDescribeConfigs,
	33: workAlterConfigs,
	34: workAlterReplicaLogDirs,
	35: workDescribeLogDirs,
	37: workCreatePartitions,
	42: workDeleteGroups,
	43: workElectLeaders,
	44: workIncrementalAlterConfigs,
	45: workAlterReassignments,
	46: workListReassignments,
	47: workOffsetDelete,
	48: workClientQuotas,
	49: workClientQuotas,
	55: workDescribeQuorum,
	57: workUpdateFeatures,
	60: workDescribeCluster,
	61: workDescribeProducers,
	64: workUnregisterBroker,
	74: workListConfigResources,
	75: workDescribeTopicPartitions,
}

// Produce 0 to 2 are advertised for librdkafka before 2.0, which otherwise turns compression off, and closed upon.
func onlyAdvertised(kv keyVersion) bool { return kv.key == 0 && kv.version <= 2 }

// Every advertised version of every advertised key is used by franz-go, pinned to it, for real work; what went over the wire is
// read off the wire. A version that is advertised and was not answered fails the test.
func TestClientsEveryAdvertisedVersionWorks(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 2, Set: []string{soon}})
	tap := newWiretap()
	free := newClient(t, b)
	advertised := advertisedKeys(t, free)
	for _, k := range advertised {
		work, ok := versionWork[k.ApiKey]
		if !ok {
			t.Errorf("key %d is advertised and no row exercises it", k.ApiKey)
			continue
		}
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			if onlyAdvertised(keyVersion{k.ApiKey, v}) {
				continue
			}
			t.Run(fmt.Sprintf("%s v%d", kmsg.NameForKey(k.ApiKey), v), func(t *testing.T) {
				row := &versionRow{b: b, key: k.ApiKey, version: v, topic: fmt.Sprintf("key%d-v%d", k.ApiKey, v), free: free}
				row.pinned = func(opts ...kgo.Opt) *kgo.Client {
					return newClient(t, b, append(opts, pinTo(advertised, k.ApiKey, v), atLeast(k.ApiKey, v), tap.dial())...)
				}
				work(t, testContext(t), row)
			})
		}
	}
	for _, k := range advertised {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			kv := keyVersion{k.ApiKey, v}
			if tap.answered[kv] == 0 && !onlyAdvertised(kv) {
				t.Errorf("%s v%d is advertised and was never answered (sent %d times)", kmsg.NameForKey(kv.key), kv.version, tap.sent[kv])
			}
		}
	}
	seen := map[versus.KeyVersion]int{}
	for kv, n := range tap.answered {
		seen[versus.KeyVersion{Key: kv.key, Version: kv.version}] = n
	}
	for _, wrong := range compat.Check(compat.FranzGo, seen) {
		t.Error(wrong)
	}
	t.Logf("%d versions answered: %s", len(tap.answered), list(tap.answered))
}

func advertisedKeys(t *testing.T, cl *kgo.Client) []kmsg.ApiVersionsResponseApiKey {
	t.Helper()
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(testContext(t), cl)
	if err != nil || resp.ErrorCode != 0 || len(resp.ApiKeys) == 0 {
		t.Fatalf("ApiVersions: %+v %v", resp, err)
	}
	return resp.ApiKeys
}

// pinTo lets a client use the newest advertised version of every key but one.
func pinTo(advertised []kmsg.ApiVersionsResponseApiKey, key, version int16) kgo.Opt {
	vs := &kversion.Versions{}
	for _, k := range advertised {
		vs.SetMaxKeyVersion(k.ApiKey, k.MaxVersion)
	}
	vs.SetMaxKeyVersion(key, version)
	return kgo.MaxVersions(vs)
}

func atLeast(key, version int16) kgo.Opt {
	vs := &kversion.Versions{}
	vs.SetMaxKeyVersion(key, version)
	return kgo.MinVersions(vs)
}

func (r *versionRow) create(t *testing.T, partitions int32) kadm.TopicID {
	t.Helper()
	return createTopic(t, r.b, r.topic, partitions, nil).ID
}

// workProduce sends with every kind of acknowledgement, and the newest codec the version knows.
func workProduce(t *testing.T, _ context.Context, r *versionRow) {
	const n, partitions = 40, 2
	r.create(t, partitions)
	codec := kgo.Lz4Compression()
	if r.version >= 7 {
		codec = kgo.ZstdCompression()
	}
	for i, leg := range legs {
		cl := r.pinned(append(leg.opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec))...)
		var first kgo.FirstErrPromise
		for j := i * n; j < (i+1)*n; j++ {
			cl.Produce(testContext(t), testRecord(r.topic, j, partitions), first.Promise())
		}
		if err := first.Err(); err != nil {
			t.Fatalf("%s: %v", leg.name, err)
		}
	}
	cl := newClient(t, r.b, kgo.ConsumeTopics(r.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkTest(t, read(t, cl, evenly(n*len(legs), partitions)), r.topic, partitions, nil)
	// An error reaches the client too: nobody has this partition.
	bad := r.pinned(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	record := testRecord(r.topic, 0, partitions)
	record.Partition = 99
	if err := bad.ProduceSync(testContext(t), record).FirstErr(); err == nil {
		t.Fatal("a record for a partition that is not there was acknowledged")
	}
}

// workFetch reads what is there, then what comes while it waits.
func workFetch(t *testing.T, _ context.Context, r *versionRow) {
	const n, partitions = 300, 3
	r.create(t, partitions)
	produceTest(t, r.b, r.topic, 0, n, partitions)
	cl := r.pinned(kgo.ConsumeTopics(r.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxPartitionBytes(2000))
	checkTest(t, read(t, cl, evenly(n, partitions)), r.topic, partitions, nil)
	produceTest(t, r.b, r.topic, n, 2*n, partitions)
	checkTest(t, read(t, cl, evenly(n, partitions)), r.topic, partitions, map[int32]int64{0: n / 3, 1: n / 3, 2: n / 3})
	// A place that is not in the log is told, and left to the reset.
	lost := r.pinned(from(r.topic, everywhere(partitions, kgo.NewOffset().At(1_000_000))), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkTest(t, read(t, lost, evenly(2*n, partitions)), r.topic, partitions, nil)
}

// workListOffsets asks for every place a version knows.
func workListOffsets(t *testing.T, ctx context.Context, r *versionRow) {
	const n = 120
	r.create(t, 1)
	produceTest(t, r.b, r.topic, 0, n, 1)
	cl := r.pinned()
	ask := func(isolation int8, timestamp int64) *kmsg.ListOffsetsResponseTopicPartition {
		t.Helper()
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = timestamp
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic, topic.Partitions = r.topic, append(topic.Partitions, p)
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID, req.IsolationLevel, req.Topics = -1, isolation, append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			t.Fatalf("timestamp %d: %v", timestamp, err)
		}
		return &resp.Topics[0].Partitions[0]
	}
	expect := func(timestamp, offset, stamp int64) {
		t.Helper()
		for isolation := range int8(2) {
			if p := ask(isolation, timestamp); p.ErrorCode != 0 || p.Offset != offset || p.Timestamp != stamp {
				t.Fatalf("timestamp %d: got %+v, want offset %d at %d", timestamp, p, offset, stamp)
			}
		}
	}
	expect(-1, n, -1)
	expect(-2, 0, -1)
	expect(testTimestamp(60), 60, testTimestamp(60))
	expect(testTimestamp(n)+1000, -1, -1)
	for _, special := range []struct {
		least         int16
		timestamp     int64
		offset, stamp int64
	}{
		{7, -3, n - 3, testTimestamp(n - 3)}, // the first of the three records with the largest timestamp
		{8, -4, 0, -1},
		{9, -5, -1, -1},
		{11, -6, -1, -1},
	} {
		if r.version >= special.least {
			expect(special.timestamp, special.offset, special.stamp)
		} else if p := ask(0, special.timestamp); p.ErrorCode != kerr.UnsupportedVersion.Code {
			t.Fatalf("timestamp %d: got %+v, want UNSUPPORTED_VERSION", special.timestamp, p)
		}
	}
}

// workMetadata finds the broker, one topic, all topics, no topics and a topic by its id.
func workMetadata(t *testing.T, ctx context.Context, r *versionRow) {
	id := r.create(t, 5)
	cl := r.pinned()
	request := func(change func(req *kmsg.MetadataRequest)) *kmsg.MetadataResponse {
		t.Helper()
		req := kmsg.NewPtrMetadataRequest()
		change(req)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Brokers) != 1 || fmt.Sprintf("%s:%d", resp.Brokers[0].Host, resp.Brokers[0].Port) != r.b.Addr {
			t.Fatalf("brokers %+v", resp.Brokers)
		}
		return resp
	}
	named := func(name string) func(req *kmsg.MetadataRequest) {
		return func(req *kmsg.MetadataRequest) {
			topic := kmsg.NewMetadataRequestTopic()
			topic.Topic = &name
			req.Topics = []kmsg.MetadataRequestTopic{topic}
		}
	}
	check := func(topic *kmsg.MetadataResponseTopic) {
		t.Helper()
		if topic.ErrorCode != 0 || *topic.Topic != r.topic || len(topic.Partitions) != 5 || r.version >= 10 && topic.TopicID != id {
			t.Fatalf("topic %+v", topic)
		}
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 || p.Leader != 1 || len(p.Replicas) != 1 || len(p.ISR) != 1 {
				t.Fatalf("partition %+v", p)
			}
		}
	}
	check(&request(named(r.topic)).Topics[0])
	all := request(func(req *kmsg.MetadataRequest) { req.Topics = nil })
	found := 0
	for i := range all.Topics {
		if *all.Topics[i].Topic == r.topic {
			check(&all.Topics[i])
			found++
		}
	}
	if found != 1 {
		t.Fatalf("the topic is %d times among all", found)
	}
	if r.version >= 1 {
		if none := request(func(req *kmsg.MetadataRequest) { req.Topics = []kmsg.MetadataRequestTopic{} }); len(none.Topics) != 0 || none.ControllerID != 1 {
			t.Fatalf("nothing was asked for: %+v", none)
		}
	}
	if r.version >= 4 {
		if unknown := request(named(r.topic + "-missing")); unknown.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Fatalf("a missing topic that may not be created: %+v", unknown.Topics[0])
		}
	}
	if r.version >= 12 {
		check(&request(func(req *kmsg.MetadataRequest) {
			topic := kmsg.NewMetadataRequestTopic()
			topic.TopicID = id
			req.Topics = []kmsg.MetadataRequestTopic{topic}
		}).Topics[0])
	}
}

// workAPIVersions asks what there is; it is the same in every version.
func workAPIVersions(t *testing.T, ctx context.Context, r *versionRow) {
	resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, r.pinned())
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v: %v", resp, err)
	}
	want := advertisedKeys(t, r.free)
	if len(resp.ApiKeys) != len(want) {
		t.Fatalf("%d keys, want %d", len(resp.ApiKeys), len(want))
	}
	for i, k := range resp.ApiKeys {
		if w := want[i]; k.ApiKey != w.ApiKey || k.MinVersion != w.MinVersion || k.MaxVersion != w.MaxVersion {
			t.Fatalf("got %+v, want %+v", k, w)
		}
	}
}

// workCreateTopics creates, creates again, and checks without creating.
func workCreateTopics(t *testing.T, ctx context.Context, r *versionRow) {
	admin := kadm.NewClient(r.pinned())
	value := "123456"
	configs := map[string]*string{"retention.ms": &value}
	if checked, err := admin.ValidateCreateTopics(ctx, 3, 1, configs, r.topic); err != nil || checked.Error() != nil {
		t.Fatalf("validate: %v %v", err, checked)
	}
	resp, err := admin.CreateTopic(ctx, 3, 1, configs, r.topic)
	if err != nil || r.version >= 7 && resp.ID == (kadm.TopicID{}) {
		t.Fatalf("create: %+v %v", resp, err)
	}
	if r.version >= 5 && (resp.NumPartitions != 3 || resp.ReplicationFactor != 1 || *resp.Configs["retention.ms"].Value != value) {
		t.Fatalf("created %+v", resp)
	}
	if _, err := admin.CreateTopic(ctx, 3, 1, nil, r.topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Fatalf("create again: %v", err)
	}
	produceTest(t, r.b, r.topic, 0, 30, 3)
}

// workDeleteTopics deletes by name, by id where the version can, and what is not there.
func workDeleteTopics(t *testing.T, ctx context.Context, r *versionRow) {
	cl := r.pinned()
	admin := kadm.NewClient(cl)
	id := r.create(t, 2)
	produceTest(t, r.b, r.topic, 0, 30, 2)
	if r.version >= 6 {
		topic := kmsg.NewDeleteTopicsRequestTopic()
		topic.TopicID = id
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis, req.Topics = 5000, append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || resp.Topics[0].ErrorCode != 0 || *resp.Topics[0].Topic != r.topic {
			t.Fatalf("delete by id: %+v %v", resp, err)
		}
		r.create(t, 2)
	}
	if err := deleteTopic(ctx, admin, r.topic); err != nil {
		t.Fatal(err)
	}
	if err := deleteTopic(ctx, admin, r.topic); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Fatalf("delete again: %v", err)
	}
}

// workInitProducerID gets two ids, which differ, and produces with one.
func workInitProducerID(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 1)
	var ids [2]int64
	for i := range ids {
		cl := r.pinned(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := cl.ProduceSync(ctx, testRecord(r.topic, i, 1)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		id, epoch, err := cl.ProducerID(ctx)
		if err != nil || id < 0 || epoch != 0 {
			t.Fatalf("producer id %d, epoch %d: %v", id, epoch, err)
		}
		ids[i] = id
	}
	if ids[0] == ids[1] {
		t.Fatalf("two producers have the id %d", ids[0])
	}
}

// workEpochEnds asks where the first leader's epoch ends.
func workEpochEnds(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	produceTest(t, r.b, r.topic, 0, 50, 2)
	var set kadm.OffsetForLeaderEpochRequest
	for p := range int32(2) {
		set.Add(r.topic, p, 0)
	}
	list, err := kadm.NewClient(r.pinned()).OffetForLeaderEpoch(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	for p := range int32(2) {
		if o := list[r.topic][p]; o.Err != nil || o.LeaderEpoch != 0 || o.EndOffset != 25 {
			t.Fatalf("partition %d: %+v", p, o)
		}
	}
}

// The versions that are advertised and not served end in a closed connection, not in silence.
func TestClientsProduceBeforeRecordBatchesIsClosedUpon(t *testing.T) {
	b := harness.Run(t, harness.Config{})
	for v := range int16(3) {
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Acks = v, 1
		frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
		if _, err := conn.Write(frame); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if got, err := io.ReadAll(conn); err != nil || len(bytes.TrimSpace(got)) > 0 {
			t.Errorf("v%d: read %d bytes and %v, want the end of the connection", v, len(got), err)
		}
	}
}
