package main_test

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// workDeleteRecords moves the start of a partition, and then nobody can read before it.
func workDeleteRecords(t *testing.T, ctx context.Context, r *versionRow) {
	const n, start = 90, 40
	r.create(t, 1)
	produceTest(t, r.b, r.topic, 0, n, 1)
	admin := kadm.NewClient(r.pinned())
	offsets := kadm.Offsets{}
	offsets.AddOffset(r.topic, 0, start, -1)
	list, err := admin.DeleteRecords(ctx, offsets)
	if err != nil || list[r.topic][0].Err != nil || list[r.topic][0].LowWatermark != start {
		t.Fatalf("delete: %+v %v", list, err)
	}
	cl := newClient(t, r.b, kgo.ConsumeTopics(r.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkTest(t, read(t, cl, map[int32]int{0: n - start}), r.topic, 1, map[int32]int64{0: start})
	offsets = kadm.Offsets{}
	offsets.AddOffset(r.topic, 0, n+1, -1)
	if list, err = admin.DeleteRecords(ctx, offsets); err != nil || !errors.Is(list[r.topic][0].Err, kerr.OffsetOutOfRange) {
		t.Fatalf("delete past the end: %+v %v", list, err)
	}
}

// setting asks, with a client of its own, what a topic's setting is and whether the topic itself says so.
func (r *versionRow) setting(t *testing.T, cl *kgo.Client, name string) (value string, own bool) {
	t.Helper()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeTopic, r.topic, []string{name}
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.Resources = true, append(req.Resources, resource)
	resp, err := req.RequestWith(testContext(t), cl)
	if err != nil || len(resp.Resources) != 1 || resp.Resources[0].ErrorCode != 0 || len(resp.Resources[0].Configs) != 1 {
		t.Fatalf("describe %s of %s: %+v %v", name, r.topic, resp, err)
	}
	c := &resp.Resources[0].Configs[0]
	if c.Name != name || c.Value == nil || len(c.ConfigSynonyms) == 0 {
		t.Fatalf("describe %s of %s: %+v", name, r.topic, c)
	}
	return *c.Value, c.Source == kmsg.ConfigSourceDynamicTopicConfig
}

// workDescribeConfigs tells what was set from what was not.
func workDescribeConfigs(t *testing.T, ctx context.Context, r *versionRow) {
	value := "123456"
	createTopic(t, r.b, r.topic, 1, map[string]*string{"retention.ms": &value})
	cl := r.pinned()
	if got, own := r.setting(t, cl, "retention.ms"); got != value || !own {
		t.Errorf("retention.ms is %q, set: %v", got, own)
	}
	if got, own := r.setting(t, cl, "cleanup.policy"); got != "delete" || own {
		t.Errorf("cleanup.policy is %q, set: %v", got, own)
	}
	all, err := kadm.NewClient(cl).DescribeBrokerConfigs(ctx, 1)
	if err != nil || len(all) != 1 || all[0].Err != nil || len(all[0].Configs) < 20 {
		t.Fatalf("the broker's: %+v %v", all, err)
	}
	if _, err := kadm.NewClient(cl).DescribeTopicConfigs(ctx, r.topic+"-missing"); err != nil {
		t.Fatal(err)
	}
}

// workAlterConfigs replaces all settings of a topic by others.
func workAlterConfigs(t *testing.T, ctx context.Context, r *versionRow) {
	value, other := "123456", "654321"
	createTopic(t, r.b, r.topic, 1, map[string]*string{"retention.ms": &value})
	admin := kadm.NewClient(r.pinned())
	list, err := admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.bytes", Value: &other}}, r.topic)
	if err != nil || list[0].Err != nil {
		t.Fatalf("alter: %+v %v", list, err)
	}
	if got, own := r.setting(t, r.free, "retention.bytes"); got != other || !own {
		t.Errorf("retention.bytes is %q, set: %v", got, own)
	}
	if got, own := r.setting(t, r.free, "retention.ms"); own {
		t.Errorf("retention.ms is still set to %q", got)
	}
	bad := "soon"
	if list, err = admin.AlterTopicConfigsState(ctx, []kadm.AlterConfig{{Name: "retention.ms", Value: &bad}}, r.topic); err != nil || !errors.Is(list[0].Err, kerr.InvalidConfig) {
		t.Fatalf("alter to nonsense: %+v %v", list, err)
	}
}

// workIncrementalAlterConfigs sets one setting, adds to a list, and deletes the first again; the others stay.
func workIncrementalAlterConfigs(t *testing.T, ctx context.Context, r *versionRow) {
	value, other, compact := "123456", "654321", "compact"
	createTopic(t, r.b, r.topic, 1, map[string]*string{"retention.ms": &value})
	admin := kadm.NewClient(r.pinned())
	alter := func(changes ...kadm.AlterConfig) {
		t.Helper()
		if list, err := admin.AlterTopicConfigs(ctx, changes, r.topic); err != nil || list[0].Err != nil {
			t.Fatalf("alter: %+v %v", list, err)
		}
	}
	alter(kadm.AlterConfig{Op: kadm.SetConfig, Name: "retention.bytes", Value: &other}, kadm.AlterConfig{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: &compact})
	for name, want := range map[string]string{"retention.ms": value, "retention.bytes": other, "cleanup.policy": "delete,compact"} {
		if got, own := r.setting(t, r.free, name); got != want || !own {
			t.Errorf("%s is %q, set: %v, want %q", name, got, own, want)
		}
	}
	alter(kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "retention.ms"}, kadm.AlterConfig{Op: kadm.SubtractConfig, Name: "cleanup.policy", Value: &compact})
	if got, own := r.setting(t, r.free, "retention.ms"); own {
		t.Errorf("retention.ms is still set to %q", got)
	}
	if got, _ := r.setting(t, r.free, "cleanup.policy"); got != "delete" {
		t.Errorf("cleanup.policy is %q", got)
	}
}

// workAlterReplicaLogDirs asks for the only directory there is, where replicas stay, and for one there is not.
func workAlterReplicaLogDirs(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	produceTest(t, r.b, r.topic, 0, 1000, 2)
	admin := kadm.NewClient(r.pinned())
	dirs, err := kadm.NewClient(r.free).DescribeBrokerLogDirs(ctx, 1, nil)
	if err != nil || len(dirs) != 1 {
		t.Fatalf("directories: %+v %v", dirs, err)
	}
	for path := range dirs {
		for dir, want := range map[string]error{path: nil, path + "-absent": kerr.LogDirNotFound} {
			var req kadm.AlterReplicaLogDirsReq
			set := kadm.TopicsSet{}
			set.Add(r.topic, 0, 1)
			req.Add(dir, set)
			answers, err := admin.AlterBrokerReplicaLogDirs(ctx, 1, req)
			if err != nil || len(answers[r.topic]) != 2 {
				t.Fatalf("%s: %+v %v", dir, answers, err)
			}
			for p, a := range answers[r.topic] {
				if !errors.Is(a.Err, want) {
					t.Errorf("%s, partition %d: %v, want %v", dir, p, a.Err, want)
				}
			}
		}
	}
}

// workDescribeLogDirs finds the topic's bytes.
func workDescribeLogDirs(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	produceTest(t, r.b, r.topic, 0, 1000, 2)
	set := kadm.TopicsSet{}
	set.Add(r.topic, 0, 1)
	dirs, err := kadm.NewClient(r.pinned()).DescribeBrokerLogDirs(ctx, 1, set)
	if err != nil || len(dirs) != 1 {
		t.Fatalf("directories: %+v %v", dirs, err)
	}
	for _, dir := range dirs {
		if dir.Err != nil || len(dir.Topics[r.topic]) != 2 {
			t.Fatalf("directory: %+v", dir)
		}
		for p, replica := range dir.Topics[r.topic] {
			if replica.Size < 1000 || replica.OffsetLag != 0 || replica.IsFuture {
				t.Errorf("partition %d: %+v", p, replica)
			}
		}
	}
}

// workCreatePartitions grows a topic, which can be written and read at once, and cannot shrink.
func workCreatePartitions(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 1)
	admin := kadm.NewClient(r.pinned())
	if list, err := admin.ValidateCreatePartitions(ctx, 2, r.topic); err != nil || list.Error() != nil {
		t.Fatalf("validate: %+v %v", list, err)
	}
	if list, err := admin.CreatePartitions(ctx, 2, r.topic); err != nil || list.Error() != nil {
		t.Fatalf("grow: %+v %v", list, err)
	}
	produceTest(t, r.b, r.topic, 0, 90, 3)
	cl := newClient(t, r.b, kgo.ConsumeTopics(r.topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	checkTest(t, read(t, cl, evenly(90, 3)), r.topic, 3, nil)
	if list, err := admin.UpdatePartitions(ctx, 2, r.topic); err != nil || !errors.Is(list.Error(), kerr.InvalidPartitions) {
		t.Fatalf("shrink: %+v %v", list, err)
	}
}

// workAlterReassignments puts a partition where it is, and is told why it cannot go elsewhere; moves between cores have a test of their own.
func workAlterReassignments(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	admin := kadm.NewClient(r.pinned())
	for _, row := range []struct {
		partition int32
		replicas  []int32
		want      error
	}{
		{0, []int32{1}, nil},
		{1, nil, kerr.NoReassignmentInProgress},
		{1, []int32{2}, kerr.InvalidReplicaAssignment},
		{1, []int32{1, 1}, kerr.InvalidReplicaAssignment},
		{1, []int32{}, kerr.InvalidReplicaAssignment},
		{2, []int32{1}, kerr.UnknownTopicOrPartition},
	} {
		var req kadm.AlterPartitionAssignmentsReq
		if row.replicas == nil {
			req.CancelAssign(r.topic, row.partition)
		} else {
			req.Assign(r.topic, row.partition, row.replicas)
		}
		list, err := admin.AlterPartitionAssignments(ctx, req)
		if got := list[r.topic][row.partition]; err != nil || !errors.Is(got.Err, row.want) || (got.ErrMessage == "") != (row.want == nil) {
			t.Errorf("partition %d on %v: %+v %v, want %v", row.partition, row.replicas, got, err, row.want)
		}
	}
}

// workListReassignments sees nothing under way.
func workListReassignments(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	var topics kadm.TopicsSet
	topics.Add(r.topic, 0, 1)
	for _, set := range []kadm.TopicsSet{nil, topics} {
		if list, err := kadm.NewClient(r.pinned()).ListPartitionReassignments(ctx, set); err != nil || len(list) != 0 {
			t.Fatalf("%v %v", list, err)
		}
	}
}

// workDescribeCluster finds the broker; it is no endpoint of a controller.
func workDescribeCluster(t *testing.T, ctx context.Context, r *versionRow) {
	req := kmsg.NewPtrDescribeClusterRequest()
	cl := r.pinned()
	resp, err := req.RequestWith(ctx, cl)
	if err != nil || resp.ErrorCode != 0 || resp.ClusterID == "" || resp.ControllerID != 1 || len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 1 {
		t.Fatalf("%+v %v", resp, err)
	}
	metadata, err := kadm.NewClient(r.free).BrokerMetadata(ctx)
	if err != nil || metadata.Cluster != resp.ClusterID || metadata.Brokers[0].Port != resp.Brokers[0].Port {
		t.Fatalf("metadata says %+v, %v", metadata, err)
	}
	if r.version >= 1 {
		req.EndpointType = 2
		if resp, err = req.RequestWith(ctx, cl); err != nil || resp.ErrorCode != kerr.MismatchedEndpointType.Code {
			t.Fatalf("controllers: %+v %v", resp, err)
		}
	}
}

// workDescribeProducers finds the one idempotent producer of a partition.
func workDescribeProducers(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 1)
	p := newClient(t, r.b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := range 7 {
		if err := p.ProduceSync(ctx, testRecord(r.topic, i, 1)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	id, _, err := p.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	set := kadm.TopicsSet{}
	set.Add(r.topic, 0)
	list, err := kadm.NewClient(r.pinned()).DescribeProducers(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	found := list[r.topic].Partitions[0]
	if found.Err != nil || len(found.ActiveProducers) != 1 {
		t.Fatalf("%+v", found)
	}
	for _, a := range found.ActiveProducers {
		if a.ProducerID != id || a.LastSequence != 6 || a.LastTimestamp != testTimestamp(6) || a.CurrentTxnStartOffset != -1 {
			t.Fatalf("%+v, want id %d", a, id)
		}
	}
}

// workDescribeTopicPartitions pages through a topic.
func workDescribeTopicPartitions(t *testing.T, ctx context.Context, r *versionRow) {
	id := r.create(t, 5)
	cl := r.pinned()
	req := kmsg.NewPtrDescribeTopicPartitionsRequest()
	topic := kmsg.NewDescribeTopicPartitionsRequestTopic()
	topic.Topic = r.topic
	req.Topics, req.ResponsePartitionLimit = append(req.Topics, topic), 2
	next := int32(0)
	for range 3 {
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 || resp.Topics[0].TopicID != id {
			t.Fatalf("%+v %v", resp, err)
		}
		for _, p := range resp.Topics[0].Partitions {
			if p.Partition != next || p.LeaderID != 1 || p.ErrorCode != 0 {
				t.Fatalf("partition %+v, want %d", p, next)
			}
			next++
		}
		if resp.NextCursor == nil {
			break
		}
		cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
		cursor.Topic, cursor.Partition = resp.NextCursor.Topic, resp.NextCursor.Partition
		req.Cursor = &cursor
	}
	if next != 5 {
		t.Fatalf("%d partitions in three pages of two", next)
	}
}
