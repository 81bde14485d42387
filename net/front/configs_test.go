package front

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/partition"
	"pinion/engine/shard"
	"pinion/net/kafka/wire"
)

const (
	topicResource  = kmsg.ConfigResourceTypeTopic
	brokerResource = kmsg.ConfigResourceTypeBroker
)

// described is what DescribeConfigs says of one resource, by key.
func (c *client) described(version int16, kind kmsg.ConfigResourceType, name string, keys ...string) map[string]kmsg.DescribeConfigsResponseResourceConfig {
	c.tb.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name, ConfigNames: keys}}
	got := c.call(req, version).(*kmsg.DescribeConfigsResponse).Resources[0]
	if got.ErrorCode != 0 || got.ResourceName != name || got.ResourceType != kind {
		c.tb.Fatalf("describe %q: %+v", name, got)
	}
	byKey := map[string]kmsg.DescribeConfigsResponseResourceConfig{}
	for _, entry := range got.Configs {
		byKey[entry.Name] = entry
	}
	return byKey
}

// change is one operation of IncrementalAlterConfigs; with the key it writes it as key=value, key+=value, key-=value or -key.
func changes(texts ...string) []kmsg.IncrementalAlterConfigsRequestResourceConfig {
	var list []kmsg.IncrementalAlterConfigsRequestResourceConfig
	for _, text := range texts {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		if key, deleted := strings.CutPrefix(text, "-"); deleted {
			c.Name, c.Op = key, kmsg.IncrementalAlterConfigOpDelete
			list = append(list, c)
			continue
		}
		key, value, _ := strings.Cut(text, "=")
		c.Name, c.Value = strings.TrimRight(key, "+-"), &value
		switch key[len(c.Name):] {
		case "+":
			c.Op = kmsg.IncrementalAlterConfigOpAppend
		case "-":
			c.Op = kmsg.IncrementalAlterConfigOpSubtract
		}
		list = append(list, c)
	}
	return list
}

// altered sends one resource and returns its error.
func (c *client) altered(version int16, validate bool, kind kmsg.ConfigResourceType, name string, texts ...string) (wire.ErrorCode, string) {
	c.tb.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validate
	req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name, Configs: changes(texts...)}}
	got := c.call(req, version).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	if got.ErrorMessage == nil {
		return wire.ErrorCode(got.ErrorCode), ""
	}
	return wire.ErrorCode(got.ErrorCode), *got.ErrorMessage
}

func (c *client) alter(kind kmsg.ConfigResourceType, name string, texts ...string) {
	c.tb.Helper()
	if code, message := c.altered(1, false, kind, name, texts...); code != wire.CodeNone {
		c.tb.Fatalf("alter %q with %q: %s: %s", name, texts, code, message)
	}
}

func TestDescribeConfigs(t *testing.T) {
	n := startNode(t, 2, "log.retention.hours=48")
	n.create("orders", 1, map[string]string{"cleanup.policy": "compact", "retention.ms": "1000"})
	c := n.dial()
	for version := int16(1); version <= 4; version++ {
		all := c.described(version, topicResource, "orders")
		policy, retention, segment, durability := all["cleanup.policy"], all["retention.ms"], all["segment.bytes"], all["pinion.durability"]
		if *policy.Value != "compact" || policy.Source != kmsg.ConfigSourceDynamicTopicConfig || policy.ReadOnly || policy.IsSensitive {
			t.Errorf("version %d: %+v", version, policy)
		}
		if len(retention.ConfigSynonyms) != 3 || *retention.ConfigSynonyms[1].Value != "48" || retention.ConfigSynonyms[1].Name != "log.retention.hours" ||
			retention.ConfigSynonyms[1].Source != kmsg.ConfigSourceStaticBrokerConfig || retention.ConfigSynonyms[2].Source != kmsg.ConfigSourceDefaultConfig {
			t.Errorf("version %d: %+v", version, retention)
		}
		if *segment.Value != "1073741824" || segment.Source != kmsg.ConfigSourceDefaultConfig || *durability.Value != "fsync" || len(all) < 30 {
			t.Errorf("version %d: %d keys, %+v, %+v", version, len(all), segment, durability)
		}
		if typed := segment.ConfigType == kmsg.ConfigTypeInt && policy.ConfigType == kmsg.ConfigTypeList && segment.Documentation != nil; typed != (version >= 3) {
			t.Errorf("version %d: type %v, documentation %v", version, segment.ConfigType, segment.Documentation)
		}
		if some := c.described(version, topicResource, "orders", "retention.ms", "bogus"); len(some) != 1 {
			t.Errorf("version %d: %d keys of one asked for", version, len(some))
		}
		broker := c.described(version, brokerResource, fmt.Sprint(n.broker.Config.NodeID))
		hours, node := broker["log.retention.hours"], broker["node.id"]
		if *hours.Value != "48" || hours.Source != kmsg.ConfigSourceStaticBrokerConfig || !hours.ReadOnly || !node.ReadOnly || broker["message.max.bytes"].ReadOnly {
			t.Errorf("version %d: %+v, %+v", version, hours, node)
		}
		if secret := broker["ssl.key.password"]; !secret.IsSensitive || secret.Value != nil {
			t.Errorf("version %d: %+v", version, secret)
		}
		if cluster := c.described(version, brokerResource, ""); len(cluster) != 0 {
			t.Errorf("version %d: cluster %v", version, cluster)
		}
	}
}

func TestDescribeConfigsRefuses(t *testing.T) {
	n := startNode(t, 1)
	c := n.dial()
	for _, row := range []struct {
		kind kmsg.ConfigResourceType
		name string
		want wire.ErrorCode
	}{
		{topicResource, "absent", wire.CodeUnknownTopicOrPartition},
		{topicResource, "not/legal", wire.CodeInvalidTopicException},
		{brokerResource, "77", wire.CodeInvalidRequest},
		{brokerResource, "one", wire.CodeInvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "77", wire.CodeInvalidRequest},
		{kmsg.ConfigResourceTypeBrokerLogger, "", wire.CodeInvalidRequest},
		{kmsg.ConfigResourceTypeGroupConfig, "", wire.CodeInvalidRequest},
		{kmsg.ConfigResourceTypeClientMetrics, "", wire.CodeInvalidRequest},
		{99, "x", wire.CodeInvalidRequest},
	} {
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: row.kind, ResourceName: row.name}}
		got := c.call(req, 4).(*kmsg.DescribeConfigsResponse).Resources[0]
		if wire.ErrorCode(got.ErrorCode) != row.want || len(got.Configs) != 0 {
			t.Errorf("%+v: %+v", row, got)
		}
	}
}

func TestIncrementalAlterConfigs(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("orders", 2, map[string]string{"segment.ms": "5000"})
	c := n.dial()
	c.produced(at{topic: topic, records: records(1, 1, 10)})
	overrides := func() map[string]string { return n.broker.Control.Image().TopicCalled("orders").Configs }
	for version := int16(0); version <= 1; version++ {
		if code, message := c.altered(version, true, topicResource, "orders", "retention.ms=1"); code != 0 || overrides()["retention.ms"] == "1" {
			t.Fatalf("version %d validates only: %s %s, %v", version, code, message, overrides())
		}
		if code, message := c.altered(version, false, topicResource, "orders", "retention.ms=7000", "-segment.ms", "cleanup.policy+=compact"); code != 0 {
			t.Fatalf("version %d: %s %s", version, code, message)
		}
		want := map[string]string{"retention.ms": "7000", "cleanup.policy": "delete,compact"}
		if got := overrides(); !maps.Equal(got, want) {
			t.Fatalf("version %d: %v", version, got)
		}
		// The open partition follows before the answer is out.
		n.within(topic, 0, func(_ *shard.Turn, p *partition.Partition) {
			if cfg := p.Config(); cfg.RetentionMs != 7000 || !cfg.CleanupCompact || cfg.SegmentMs != 604800000 {
				t.Errorf("version %d: partition has %+v", version, cfg)
			}
		})
		c.alter(topicResource, "orders", "-retention.ms", "segment.ms=5000", "cleanup.policy-=compact")
		if got := overrides(); !maps.Equal(got, map[string]string{"segment.ms": "5000", "cleanup.policy": "delete"}) {
			t.Fatalf("version %d: %v", version, got)
		}
		c.alter(topicResource, "orders", "-cleanup.policy")
	}
	// A limit that producers feel holds for the next request.
	c.alter(topicResource, "orders", "max.message.bytes=100")
	resp := c.call(produceRequest(-1, at{topic: topic, records: records(1, 1, 1000)}), produceVersion).(*kmsg.ProduceResponse)
	if got := wire.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode); got != wire.CodeMessageTooLarge {
		t.Fatalf("produce: %s", got)
	}
}

func TestAlterConfigsRefuses(t *testing.T) {
	n := startNode(t, 1)
	n.create("orders", 1, nil)
	id := fmt.Sprint(n.broker.Config.NodeID)
	c := n.dial()
	for _, row := range []struct {
		kind    kmsg.ConfigResourceType
		name    string
		change  []string
		want    wire.ErrorCode
		message string
	}{
		{topicResource, "absent", []string{"retention.ms=1"}, wire.CodeUnknownTopicOrPartition, "The topic 'absent' does not exist."},
		{topicResource, "", []string{"retention.ms=1"}, wire.CodeInvalidRequest, "Default topic resources are not allowed."},
		{topicResource, "not/legal", []string{"retention.ms=1"}, wire.CodeInvalidTopicException, "*"},
		{topicResource, "orders", []string{"bogus=1"}, wire.CodeInvalidConfig, "Unknown topic config name: bogus"},
		{topicResource, "orders", []string{"retention.ms=soon"}, wire.CodeInvalidConfig, "Invalid value soon for configuration retention.ms: Not a number of type LONG"},
		{topicResource, "orders", []string{"retention.ms+=1"}, wire.CodeInvalidConfig, "Can't APPEND to key retention.ms because its type is not LIST."},
		{topicResource, "orders", []string{"retention.ms=1", "retention.ms=2"}, wire.CodeInvalidRequest, "Error due to duplicate config keys"},
		{topicResource, "orders", []string{"min.compaction.lag.ms=10", "max.compaction.lag.ms=5"}, wire.CodeInvalidConfig, "*"},
		{topicResource, "orders", []string{"=1"}, wire.CodeInvalidConfig, "*"},
		{topicResource, "orders", []string{strings.Repeat("k", 300) + "=1"}, wire.CodeInvalidConfig, "*"},
		{brokerResource, "77", []string{"message.max.bytes=1"}, wire.CodeInvalidRequest, "Unexpected broker id, expected " + id + ", but received 77"},
		{brokerResource, "one", nil, wire.CodeInvalidRequest, "Node id must be an integer, but it is: one"},
		{brokerResource, id, []string{"node.id=5"}, wire.CodeInvalidRequest, "Cannot update these configs dynamically: [node.id]"},
		{brokerResource, "", []string{"log.dirs=/x", "listeners=y"}, wire.CodeInvalidRequest, "Cannot update these configs dynamically: [listeners, log.dirs]"},
		{brokerResource, "", []string{"message.max.bytes=x"}, wire.CodeInvalidRequest, "Invalid value x for configuration message.max.bytes: Not a number of type INT"},
		{kmsg.ConfigResourceTypeBrokerLogger, "77", []string{"root=INFO"}, wire.CodeInvalidRequest, "Unexpected node id. Expected " + id + ", but received 77"},
		{kmsg.ConfigResourceTypeBrokerLogger, id, []string{"org.apache.kafka=INFO"}, wire.CodeInvalidConfig, "Logger org.apache.kafka does not exist!"},
		{kmsg.ConfigResourceTypeGroupConfig, "g", []string{"bogus=1"}, wire.CodeInvalidConfig, "Unknown group config name: bogus"},
	} {
		if code, message := c.altered(1, false, row.kind, row.name, row.change...); code != row.want || row.message != "*" && message != row.message {
			t.Errorf("%q %.60q: %s %q", row.name, row.change, code, message)
		}
	}
	if got := n.broker.Control.Image().TopicCalled("orders").Configs; len(got) != 0 {
		t.Errorf("stored: %v", got)
	}
	twice := kmsg.NewPtrIncrementalAlterConfigsRequest()
	one := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: topicResource, ResourceName: "orders", Configs: changes("retention.ms=1")}
	null := kmsg.IncrementalAlterConfigsRequestResource{ResourceType: brokerResource, Configs: changes("a=1", "b=2")}
	null.Configs[0].Value, null.Configs[1].Value = nil, nil
	twice.Resources = []kmsg.IncrementalAlterConfigsRequestResource{one, one, null}
	for i, got := range c.call(twice, 1).(*kmsg.IncrementalAlterConfigsResponse).Resources {
		want := "Each resource must appear at most once."
		if i == 2 {
			want = "Null value not supported for : a, b"
		}
		if wire.ErrorCode(got.ErrorCode) != wire.CodeInvalidRequest || *got.ErrorMessage != want {
			t.Errorf("%d: %+v", i, got)
		}
	}
}

func TestAlterConfigsReplaces(t *testing.T) {
	n := startNode(t, 1)
	n.create("orders", 1, nil)
	c := n.dial()
	for version := int16(0); version <= 2; version++ {
		c.alter(topicResource, "orders", "retention.ms=5", "segment.ms=6")
		value := "7000"
		req := kmsg.NewPtrAlterConfigsRequest()
		req.Resources = []kmsg.AlterConfigsRequestResource{
			{ResourceType: topicResource, ResourceName: "orders", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "retention.ms", Value: &value}}},
			{ResourceType: topicResource, ResourceName: "absent"},
			{ResourceType: brokerResource, ResourceName: "", Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: "message.max.bytes"}}},
		}
		for _, req.ValidateOnly = range []bool{true, false} {
			got := c.call(req, version).(*kmsg.AlterConfigsResponse).Resources
			if got[0].ErrorCode != 0 || wire.ErrorCode(got[1].ErrorCode) != wire.CodeUnknownTopicOrPartition || wire.ErrorCode(got[2].ErrorCode) != wire.CodeInvalidRequest {
				t.Fatalf("version %d: %+v", version, got)
			}
			want := map[string]string{"retention.ms": "5", "segment.ms": "6"}
			if !req.ValidateOnly {
				want = map[string]string{"retention.ms": "7000"}
			}
			if now := n.broker.Control.Image().TopicCalled("orders").Configs; !maps.Equal(now, want) {
				t.Fatalf("version %d, validate %t: %v", version, req.ValidateOnly, now)
			}
		}
	}
}

// Everybody's addition to a list is there in the end, from whichever shard it came.
// TestStoredConfigOutlivesTheBrokers: what a topic was created with goes on to count when a setting of the broker that it was held against becomes another.
func TestStoredConfigOutlivesTheBrokers(t *testing.T) {
	n := startNode(t, 1, "log.cleaner.max.compaction.lag.ms=9000")
	topic := n.create("orders", 1, map[string]string{"cleanup.policy": "compact", "min.compaction.lag.ms": "5000"})
	c := n.dial()
	c.alter(brokerResource, "", "log.cleaner.max.compaction.lag.ms=1000")
	c.earliest("orders", 0) // which opens the partition, as a start would
	n.within(topic, 0, func(_ *shard.Turn, p *partition.Partition) {
		if cfg := p.Config(); !cfg.CleanupCompact || cfg.CleanupDelete || cfg.MinCompactionLagMs != 5000 || cfg.MaxCompactionLagMs != 1000 {
			t.Errorf("served with %+v", cfg)
		}
	})
}

// TestCreatedAgainstTheBroker: a topic is created, and validated, under the settings it will have, of which the broker's are a part. One that makes no sense
// with them is refused, as Kafka does and as an alteration is.
func TestCreatedAgainstTheBroker(t *testing.T) {
	n := startNode(t, 1, "log.cleaner.max.compaction.lag.ms=1000")
	c := n.dial()
	for _, validate := range []bool{true, false} {
		topic := kmsg.NewCreateTopicsRequestTopic()
		lag := kmsg.NewCreateTopicsRequestTopicConfig()
		lag.Name, lag.Value = "min.compaction.lag.ms", kmsg.StringPtr("5000")
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor, topic.Configs = "orders", 1, 1, []kmsg.CreateTopicsRequestTopicConfig{lag}
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Topics, req.ValidateOnly = []kmsg.CreateTopicsRequestTopic{topic}, validate
		got := c.call(req, 7).(*kmsg.CreateTopicsResponse).Topics[0]
		if wire.ErrorCode(got.ErrorCode) != wire.CodeInvalidConfig || got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, "(5000) > max.compaction.lag.ms (1000)") {
			t.Errorf("validate only %v: error %d", validate, got.ErrorCode)
		}
	}
}

func TestListsAreAlteredAtomically(t *testing.T) {
	n := startNode(t, 2)
	n.create("orders", 1, nil)
	const writers, each = 4, 10
	var all sync.WaitGroup
	for w := range writers {
		c := n.dial()
		all.Go(func() {
			for i := range each {
				req := kmsg.NewPtrIncrementalAlterConfigsRequest()
				req.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: topicResource, ResourceName: "orders",
					Configs: changes(fmt.Sprintf("leader.replication.throttled.replicas+=%d:%d", w, i))}}
				b, err := c.exchange(req, 1)
				if err != nil || b.(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode != 0 {
					t.Errorf("writer %d: %+v, %v", w, b, err)
				}
			}
		})
	}
	all.Wait()
	list := strings.Split(n.broker.Control.Image().TopicCalled("orders").Configs["leader.replication.throttled.replicas"], ",")
	if slices.Sort(list); len(slices.Compact(list)) != writers*each {
		t.Fatalf("%d of %d: %v", len(list), writers*each, list)
	}
}

func TestDynamicBrokerConfigs(t *testing.T) {
	n := startNode(t, 2, "log.retention.hours=48", "max.connections=100")
	topic := n.create("orders", 2, nil)
	c := n.dial()
	for i := range int32(2) {
		c.produced(at{topic: topic, index: i, records: records(1, 1, 10)})
	}
	id := fmt.Sprint(n.broker.Config.NodeID)
	c.alter(brokerResource, "", "log.retention.ms=9000", "message.max.bytes=5000", "max.connections=3")
	c.alter(brokerResource, id, "message.max.bytes=600")
	all := c.described(4, topicResource, "orders")
	if e := all["max.message.bytes"]; *e.Value != "600" || e.Source != kmsg.ConfigSourceDynamicBrokerConfig || len(e.ConfigSynonyms) != 3 {
		t.Errorf("%+v", e)
	}
	if e := all["retention.ms"]; *e.Value != "9000" || e.Source != kmsg.ConfigSourceDynamicDefaultBrokerConfig {
		t.Errorf("%+v", e)
	}
	if e := c.described(4, brokerResource, id, "message.max.bytes")["message.max.bytes"]; *e.Value != "600" || e.ReadOnly || len(e.ConfigSynonyms) != 3 {
		t.Errorf("%+v", e)
	}
	if cluster := c.described(4, brokerResource, ""); len(cluster) != 3 || *cluster["message.max.bytes"].Value != "5000" {
		t.Errorf("%+v", cluster)
	}
	for i := range int32(2) {
		n.within(topic, i, func(_ *shard.Turn, p *partition.Partition) {
			if cfg := p.Config(); cfg.RetentionMs != 9000 || cfg.MaxMessageBytes != 600 {
				t.Errorf("partition %d has %+v", i, cfg)
			}
		})
	}
	resp := c.call(produceRequest(-1, at{topic: topic, records: records(1, 1, 1000)}), produceVersion).(*kmsg.ProduceResponse)
	if got := wire.ErrorCode(resp.Topics[0].Partitions[0].ErrorCode); got != wire.CodeMessageTooLarge {
		t.Fatalf("produce: %s", got)
	}
	n.dial().call(kmsg.NewPtrApiVersionsRequest(), 0)
	n.dial().call(kmsg.NewPtrApiVersionsRequest(), 0)
	until(t, "the doors are closed at three connections", 10*time.Second, n.front.Limits.Full)
	c.alter(brokerResource, "", "-log.retention.ms", "-message.max.bytes", "-max.connections")
	c.alter(brokerResource, id, "-message.max.bytes")
	if n.front.Limits.Full() || n.broker.Live.Now() != n.broker.Config {
		t.Error("the settings of the start are not back")
	}
	if e := c.described(4, topicResource, "orders")["retention.ms"]; *e.Value != "172800000" || e.Source != kmsg.ConfigSourceStaticBrokerConfig {
		t.Errorf("%+v", e)
	}
}

// admin is a kadm client of the node.
func (n *node) admin(t *testing.T) (*kadm.Client, context.Context) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return kadm.NewClient(cl), ctx
}

func TestConfigsThroughKadm(t *testing.T) {
	n := startNode(t, 2)
	n.create("orders", 1, nil)
	admin, ctx := n.admin(t)
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: kadm.StringPtr("5000")}}, "orders")
	if err != nil || altered[0].Err != nil {
		t.Fatalf("%v, %+v", err, altered)
	}
	resources, err := admin.DescribeTopicConfigs(ctx, "orders")
	if err != nil || resources[0].Err != nil || len(resources[0].Configs) < 30 {
		t.Fatalf("%v, %+v", err, resources)
	}
	for _, entry := range resources[0].Configs {
		if entry.Key == "retention.ms" && *entry.Value != "5000" {
			t.Errorf("%+v", entry)
		}
	}
	id := int32(n.broker.Config.NodeID)
	brokers, err := admin.DescribeBrokerConfigs(ctx, id)
	if err != nil || brokers[0].Err != nil || len(brokers[0].Configs) < 200 {
		t.Fatalf("%v, %d entries", err, len(brokers[0].Configs))
	}
	if _, err := admin.AlterBrokerConfigsState(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "log.retention.bytes", Value: kadm.StringPtr("12345")}}, id); err != nil {
		t.Fatal(err)
	}
	if got, err := n.broker.Live.Now().Topic(nil); err != nil || got.RetentionBytes != 12345 {
		t.Fatalf("%+v, %v", got, err)
	}
	if static, _ := n.broker.Config.Topic(nil); static.RetentionBytes != -1 {
		t.Fatal("the configuration of the start was changed")
	}
}

// TestConnectionRate: connections beyond max.connection.creation.rate wait in the kernel's queue, and are served once there is room again.
func TestConnectionRate(t *testing.T) {
	n := startNode(t, 2)
	c := n.dial()
	c.alter(brokerResource, "", "max.connection.creation.rate=0")
	var queued []*client
	asked := kmsg.NewPtrApiVersionsRequest()
	for range 4 { // to both shards
		q := n.dial()
		q.send(asked, 3)
		queued = append(queued, q)
	}
	for _, q := range queued {
		if err := q.conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := q.conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a connection that had to wait: %v", err)
		}
	}
	c.alter(brokerResource, "", "-max.connection.creation.rate")
	for _, q := range queued {
		q.receive(q.corr, asked)
	}
}
