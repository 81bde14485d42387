package main_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
	"pinion/engine/loggers"
)

// workElectLeaders is told that no election is needed, and of what does not exist.
func workElectLeaders(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 2)
	admin := kadm.NewClient(r.pinned())
	how := []kadm.ElectLeadersHow{kadm.ElectPreferredReplica}
	if r.version >= 1 {
		how = append(how, kadm.ElectLiveReplica)
	}
	set := kadm.TopicsSet{}
	set.Add(r.topic, 0, 1, 2)
	for _, kind := range how {
		got, err := admin.ElectLeaders(ctx, kind, set)
		if err != nil || len(got[r.topic]) != 3 {
			t.Fatalf("%+v %v", got, err)
		}
		for p, want := range map[int32]error{0: kerr.ElectionNotNeeded, 1: kerr.ElectionNotNeeded, 2: kerr.UnknownTopicOrPartition} {
			if one := got[r.topic][p]; !errors.Is(one.Err, want) {
				t.Errorf("partition %d: %v, want %v", p, one.Err, want)
			}
		}
	}
	all, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
	if err != nil || len(all[r.topic]) != 0 {
		t.Errorf("all: %+v %v", all, err)
	}
}

// workDescribeQuorum finds the one voter, which leads, and sees the log grow.
func workDescribeQuorum(t *testing.T, ctx context.Context, r *versionRow) {
	cl := r.pinned()
	ask := func() *kmsg.DescribeQuorumResponseTopicPartition {
		t.Helper()
		topic := kmsg.NewDescribeQuorumRequestTopic()
		topic.Topic, topic.Partitions = "__cluster_metadata", append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		req := kmsg.NewPtrDescribeQuorumRequest()
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || resp.ErrorCode != 0 || len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			t.Fatalf("%+v %v", resp, err)
		}
		if r.version >= 2 && (len(resp.Nodes) != 1 || resp.Nodes[0].NodeID != 1 || len(resp.Nodes[0].Listeners) == 0 || resp.Nodes[0].Listeners[0].Port == 0) {
			t.Errorf("nodes: %+v", resp.Nodes)
		}
		return &resp.Topics[0].Partitions[0]
	}
	before := ask()
	r.create(t, 1)
	after := ask()
	if after.LeaderID != 1 || after.ErrorCode != 0 || after.LeaderEpoch <= 0 || len(after.CurrentVoters) != 1 || len(after.Observers) != 0 {
		t.Fatalf("%+v", after)
	}
	voter := &after.CurrentVoters[0]
	if voter.ReplicaID != 1 || voter.LogEndOffset < after.HighWatermark || after.HighWatermark <= before.HighWatermark {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if r.version >= 2 && voter.ReplicaDirectoryID == [16]byte{} {
		t.Error("the voter has no directory")
	}
}

// workUpdateFeatures finds that the features Kafka has can be taken to where they are, which is nowhere, and not beyond. Before version 2 what goes
// well is answered feature by feature.
func workUpdateFeatures(t *testing.T, ctx context.Context, r *versionRow) {
	for _, ask := range []struct {
		feature string
		level   int16
		want    error
	}{
		{"group.version", 1, kerr.InvalidUpdateVersion},
		{"group.version", 0, nil},
		{"kraft.version", 0, kerr.InvalidUpdateVersion}, // has no way down, on Kafka either
		{"metadata.version", 0, kerr.InvalidUpdateVersion},
		{"no.such.version", 0, kerr.InvalidUpdateVersion},
	} {
		f, first := kmsg.NewUpdateFeaturesRequestFeatureUpdate(), kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel, f.UpgradeType = ask.feature, ask.level, 2
		first.Feature, first.UpgradeType = "streams.version", 2 // refused with the other one
		req := kmsg.NewPtrUpdateFeaturesRequest()
		req.TimeoutMillis, req.FeatureUpdates = 1000, append(req.FeatureUpdates, first, f)
		resp, err := req.RequestWith(ctx, r.pinned())
		if err != nil || kerr.ErrorForCode(resp.ErrorCode) != ask.want || (resp.ErrorMessage == nil) != (ask.want == nil) {
			t.Fatalf("%s to %d: %+v %v", ask.feature, ask.level, resp, err)
		}
		results := 0
		if ask.want == nil && r.version < 2 {
			results = 2
		}
		if len(resp.Results) != results {
			t.Fatalf("%s to %d: %d results, want %d", ask.feature, ask.level, len(resp.Results), results)
		}
	}
}

// workUnregisterBroker finds that a broker is not there, and that one that runs is not forgotten.
func workUnregisterBroker(t *testing.T, ctx context.Context, r *versionRow) {
	for id, want := range map[int32]*kerr.Error{7: kerr.BrokerIDNotRegistered, 1: kerr.InvalidRequest} {
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = id
		if resp, err := req.RequestWith(ctx, r.pinned()); err != nil || resp.ErrorCode != want.Code {
			t.Errorf("broker %d: %+v %v", id, resp, err)
		}
	}
}

// Groups are configured before they exist, and the levels of loggers at once.
func TestGroupsAndLoggersAreConfigured(t *testing.T) {
	dir := t.TempDir()
	b := harness.Run(t, harness.Config{Dir: dir})
	ctx, cl := testContext(t), newClient(t, b)
	alter := func(kind kmsg.ConfigResourceType, name, key, value string, want *kerr.Error) {
		t.Helper()
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = key, &value
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.Configs = kind, name, append(r.Configs, c)
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.Resources = append(req.Resources, r)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || len(resp.Resources) != 1 || resp.Resources[0].ErrorCode != codeOf(want) {
			t.Fatalf("%s %s=%s: %+v %v", name, key, value, resp, err)
		}
	}
	described := func(kind kmsg.ConfigResourceType, name, key string) string {
		t.Helper()
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, []string{key}
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = append(req.Resources, r)
		resp, err := req.RequestWith(ctx, cl)
		if err != nil || len(resp.Resources) != 1 || len(resp.Resources[0].Configs) != 1 || resp.Resources[0].Configs[0].Value == nil {
			t.Fatalf("%s of %s: %+v %v", key, name, resp, err)
		}
		return *resp.Resources[0].Configs[0].Value
	}
	alter(kmsg.ConfigResourceTypeGroupConfig, "soon", "consumer.session.timeout.ms", "50000", nil)
	alter(kmsg.ConfigResourceTypeGroupConfig, "soon", "consumer.session.timeout.ms", "1", kerr.InvalidConfig)
	if got := described(kmsg.ConfigResourceTypeGroupConfig, "soon", "consumer.session.timeout.ms"); got != "50000" {
		t.Errorf("the group's session is %s", got)
	}
	// A produce without an answer that fails is worth a line of the log, at DEBUG.
	const line = "an acks=0 produce failed"
	fail := func() {
		t.Helper()
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		partition := kmsg.NewProduceRequestTopicPartition()
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic, topic.Partitions = "missing", append(topic.Partitions, partition)
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.Topics = 9, append(req.Topics, topic)
		if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Fatalf("%d bytes of an answer", n)
		}
	}
	fail()
	if said := b.Log(); strings.Contains(said, line) {
		t.Errorf("said at INFO:\n%s", said)
	}
	alter(kmsg.ConfigResourceTypeBrokerLogger, "1", loggers.API, "DEBUG", nil)
	alter(kmsg.ConfigResourceTypeBrokerLogger, "1", loggers.API, "LOUD", kerr.InvalidConfig)
	alter(kmsg.ConfigResourceTypeBrokerLogger, "1", "no.such.logger", "DEBUG", kerr.InvalidConfig)
	if got := described(kmsg.ConfigResourceTypeBrokerLogger, "1", loggers.API); got != "DEBUG" {
		t.Errorf("the level is %s", got)
	}
	fail()
	for limit := time.Now().Add(10 * time.Second); !strings.Contains(b.Log(), line); time.Sleep(10 * time.Millisecond) { // its output comes through a pipe
		if time.Now().After(limit) {
			t.Fatalf("nothing is said at DEBUG:\n%s", b.Log())
		}
	}
	b.MustStop(t)
	b = harness.Run(t, harness.Config{Dir: dir})
	cl = newClient(t, b)
	if got := described(kmsg.ConfigResourceTypeGroupConfig, "soon", "consumer.session.timeout.ms"); got != "50000" {
		t.Errorf("after a restart the group's session is %s", got)
	}
	if got := described(kmsg.ConfigResourceTypeBrokerLogger, "1", loggers.API); got != "INFO" {
		t.Errorf("after a restart the level is %s", got)
	}
}

func codeOf(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

// workListConfigResources finds a topic and the broker.
func workListConfigResources(t *testing.T, ctx context.Context, r *versionRow) {
	r.create(t, 1)
	req := kmsg.NewPtrListConfigResourcesRequest()
	resp, err := req.RequestWith(ctx, r.pinned())
	if err != nil || resp.ErrorCode != 0 {
		t.Fatalf("%+v %v", resp, err)
	}
	for _, want := range []kmsg.ListConfigResourcesResponseConfigResource{{Name: r.topic, Type: 2}, {Name: "1", Type: 4}, {Name: "1", Type: 8}} {
		found := slices.ContainsFunc(resp.ConfigResources, func(got kmsg.ListConfigResourcesResponseConfigResource) bool {
			return got.Name == want.Name && got.Type == want.Type
		})
		if found != (r.version >= 1) {
			t.Errorf("%s of kind %d is there: %v", want.Name, want.Type, found)
		}
	}
}
