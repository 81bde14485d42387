package config

import (
	"fmt"
	"math"
	"sort"
	"strconv"

	"pinion/engine/must"
)

// Topic gives the configuration of a topic with these overrides. The error is the first mistake in order of key, in Kafka's
// words, an *InvalidTopic.
func (b *Broker) Topic(overrides map[string]string) (Topic, error) {
	for _, name := range sortedKeys(overrides) {
		if _, err := checkTopicValue(name, overrides[name]); err != nil {
			return Topic{}, err
		}
	}
	t := b.Stored(overrides)
	if len(overrides) > 0 && t.MinCompactionLagMs > t.MaxCompactionLagMs {
		return Topic{}, &InvalidTopic{"min.compaction.lag.ms", fmt.Sprintf(
			"conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", t.MinCompactionLagMs, t.MaxCompactionLagMs)}
	}
	return t, nil
}

// Stored is what overrides come to that have passed Topic once, maybe under other settings of the broker, or in another build. What makes no sense
// by itself is left out and the rest counts, as in Kafka: a topic that forgot its cleanup.policy would lose its records.
func (b *Broker) Stored(overrides map[string]string) Topic {
	t := b.topic
	for _, name := range sortedKeys(overrides) {
		if value, err := checkTopicValue(name, overrides[name]); err == nil {
			t.set(name, value)
		}
	}
	if internal, ok := overrides["internal.segment.bytes"]; ok { // whatever segment.bytes says, as in Kafka
		if value, err := checkTopicValue("internal.segment.bytes", internal); err == nil {
			t.set("internal.segment.bytes", value)
		}
	}
	return t
}

// topicDefaults computes what a topic without overrides gets.
func (g *gatherer) topicDefaults(b *Broker) Topic {
	var t Topic
	for _, row := range topicKeys().rows {
		if value, ok := row.resolve(b); ok {
			t.set(row.Name, value)
		}
	}
	if t.MinCompactionLagMs > t.MaxCompactionLagMs {
		g.conflict("log.cleaner.min.compaction.lag.ms", fmt.Sprintf("log.cleaner.min.compaction.lag.ms = %d is more than log.cleaner.max.compaction.lag.ms = %d",
			t.MinCompactionLagMs, t.MaxCompactionLagMs))
	}
	return t
}

// resolve gives what a topic key is without an override: the first of its broker keys that is set, else the default.
func (k *Key) resolve(b *Broker) (string, bool) {
	for _, s := range k.broker {
		if set, ok := b.settings[s.name]; ok {
			return s.convert(set.Value), true
		}
	}
	return k.Default, k.HasDefault
}

// convert multiplies into the topic key's unit; -1 (no limit) stays, and what would not fit becomes the largest.
func (s synonym) convert(value string) string {
	if s.factor == 1 {
		return value
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		must.Failf("%s passed as a number but is not: %v", s.name, err)
	}
	if n < 0 {
		return value
	}
	if n > math.MaxInt64/s.factor {
		return strconv.FormatInt(math.MaxInt64, 10)
	}
	return strconv.FormatInt(n*s.factor, 10)
}

// set stores one checked value.
func (t *Topic) set(name, value string) {
	switch name {
	case "cleanup.policy":
		policies := splitList(value)
		t.CleanupDelete, t.CleanupCompact = contains(policies, "delete"), contains(policies, "compact")
	case "compression.type":
		t.CompressionType = value
	case "message.timestamp.type":
		t.TimestampType = TimestampCreate
		if value == TimestampAppend.String() {
			t.TimestampType = TimestampAppend
		}
	case "pinion.durability":
		t.Durability = durabilityOf(value)
	case "min.cleanable.dirty.ratio":
		t.MinCleanableDirtyRatio, _ = strconv.ParseFloat(value, 64)
	case "preallocate":
		t.Preallocate = value == "true"
	case "unclean.leader.election.enable":
		t.UncleanElectionEnabled = value == "true"
	default:
		t.setNumber(name, value)
	}
}

func (t *Topic) setNumber(name, value string) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return // a key without a field, such as the throttled replicas
	}
	switch name {
	case "compression.gzip.level":
		t.CompressionGzipLevel = int32(n)
	case "compression.lz4.level":
		t.CompressionLZ4Level = int32(n)
	case "compression.zstd.level":
		t.CompressionZstdLevel = int32(n)
	case "delete.retention.ms":
		t.DeleteRetentionMs = n
	case "file.delete.delay.ms":
		t.FileDeleteDelayMs = n
	case "flush.messages":
		t.FlushMessages = n
	case "flush.ms":
		t.FlushMs = n
	case "index.interval.bytes":
		t.IndexIntervalBytes = int32(n)
	case "max.compaction.lag.ms":
		t.MaxCompactionLagMs = n
	case "max.message.bytes":
		t.MaxMessageBytes = int32(n)
	case "message.timestamp.after.max.ms":
		t.TimestampAfterMaxMs = n
	case "message.timestamp.before.max.ms":
		t.TimestampBeforeMaxMs = n
	case "min.compaction.lag.ms":
		t.MinCompactionLagMs = n
	case "min.insync.replicas":
		t.MinInsyncReplicas = int32(n)
	case "retention.bytes":
		t.RetentionBytes = n
	case "retention.ms":
		t.RetentionMs = n
	case "segment.bytes", "internal.segment.bytes":
		t.SegmentBytes = n
	case "segment.index.bytes":
		t.SegmentIndexBytes = int32(n)
	case "segment.jitter.ms":
		t.SegmentJitterMs = n
	case "segment.ms":
		t.SegmentMs = n
	}
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
