package config

import (
	"math"
	"strings"
	"testing"
)

func TestTopicDefaults(t *testing.T) {
	got, err := Default().Topic(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Topic{
		CleanupDelete: true, RetentionMs: 604800000, RetentionBytes: -1, SegmentBytes: 1 << 30, SegmentMs: 604800000, IndexIntervalBytes: 4096,
		SegmentIndexBytes: 10 << 20, FileDeleteDelayMs: 60000, MaxMessageBytes: 1048588, MinInsyncReplicas: 1, CompressionType: "producer",
		CompressionGzipLevel: -1, CompressionLZ4Level: 9, CompressionZstdLevel: 3, TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: 3600000,
		DeleteRetentionMs: 86400000, MaxCompactionLagMs: math.MaxInt64, MinCleanableDirtyRatio: 0.5, FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64, Durability: DurabilityFsync,
	}
	if got != want {
		t.Fatalf("got %+v\nwant %+v", got, want)
	}
}

// The broker's own setting is what topics take, and what the banner says.
func TestDurabilityOfTheBroker(t *testing.T) {
	for text, want := range map[string]Durability{"": DurabilityFsync, "pinion.durability=fsync\n": DurabilityFsync, "pinion.durability=memory\n": DurabilityMemory} {
		b, _ := load(t, text)
		topic, err := b.Topic(nil)
		if err != nil || b.Pinion.Durability != want || topic.Durability != want {
			t.Errorf("%q: broker %s, topic %s, %v", text, b.Pinion.Durability, topic.Durability, err)
		}
	}
}

func TestTopicOverridesBrokerOverridesDefault(t *testing.T) {
	b, _ := load(t, "log.retention.hours=2\nlog.retention.minutes=3\nlog.roll.jitter.hours=1\nlog.flush.scheduler.interval.ms=5\nlog.cleanup.policy=compact,delete\nunclean.leader.election.enable=true\n"+
		"log.message.timestamp.type=LogAppendTime\nmessage.max.bytes=77\nlog.preallocate=TRUE\n")
	got, err := b.Topic(map[string]string{"max.message.bytes": " 99 ", "segment.bytes": "2000000", "cleanup.policy": ""})
	if err != nil {
		t.Fatal(err)
	}
	if got.RetentionMs != 180000 || got.SegmentJitterMs != 3600000 || got.FlushMs != 5 || !got.UncleanElectionEnabled || !got.Preallocate || got.TimestampType != TimestampAppend {
		t.Errorf("broker's defaults: %+v", got)
	}
	if got.MaxMessageBytes != 99 || got.SegmentBytes != 2000000 || got.CleanupDelete || got.CleanupCompact {
		t.Errorf("overrides: %+v", got)
	}
	if plain, _ := b.Topic(nil); !plain.CleanupCompact || !plain.CleanupDelete || plain.MaxMessageBytes != 77 {
		t.Errorf("an override changed the default: %+v", plain)
	}
}

func TestRetentionWithoutLimit(t *testing.T) {
	b, _ := load(t, "log.retention.hours=-1\n")
	if got, _ := b.Topic(nil); got.RetentionMs != -1 {
		t.Errorf("%d", got.RetentionMs)
	}
}

func TestInternalSegmentBytesWins(t *testing.T) {
	got, err := Default().Topic(map[string]string{"internal.segment.bytes": "1000", "segment.bytes": "2000000"})
	if err != nil || got.SegmentBytes != 1000 {
		t.Fatalf("%d, %v", got.SegmentBytes, err)
	}
}

func TestValidateTopic(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"foo", "1", "Unknown topic config name: foo"},
		{"retention.ms", "abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
		{"retention.ms", "7d", "Invalid value 7d for configuration retention.ms: Not a number of type LONG"},
		{"retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
		{"segment.bytes", "99", "Invalid value 99 for configuration segment.bytes: Value must be at least 1048576"},
		{"segment.bytes", "4294967296", "Invalid value 4294967296 for configuration segment.bytes: Not a number of type INT"},
		{"cleanup.policy", "compact,shred", "Invalid value compact,shred for configuration cleanup.policy: String must be one of: compact, delete"},
		{"compression.type", "brotli", "Invalid value brotli for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{"compression.lz4.level", "18", "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17"},
		{"preallocate", "yes", "Invalid value yes for configuration preallocate: Expected value to be either true or false"},
		{"min.cleanable.dirty.ratio", "2", "Invalid value 2 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{"min.compaction.lag.ms", "9223372036854775807", ""},
		{"max.compaction.lag.ms", "1", ""},
		{"leader.replication.throttled.replicas", "0:1,1:x", "Invalid value 0:1,1:x for configuration leader.replication.throttled.replicas: must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
		{"leader.replication.throttled.replicas", "0:1,1:2", ""},
		{"leader.replication.throttled.replicas", "*", ""},
		{"pinion.durability", "fsync", ""},
		{"pinion.durability", "memory", ""},
		{"pinion.durability", "disk", "Invalid value disk for configuration pinion.durability: String must be one of: memory, fsync"},
		{"remote.storage.enable", "true", "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."},
		{"remote.storage.enable", "false", ""},
		{"cleanup.policy", "compact", ""},
		{"message.format.version", "anything", ""},
		{"message.downconversion.enable", "true", ""},
	} {
		_, err := Default().Topic(map[string]string{c.key: c.value})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || err.Error() != c.want):
			t.Errorf("%s=%s: got %v, want %q", c.key, c.value, err, c.want)
		}
		if invalid, ok := err.(*InvalidTopic); err != nil && (!ok || invalid.Key != c.key) {
			t.Errorf("%s=%s: error is %#v", c.key, c.value, err)
		}
	}
	_, err := Default().Topic(map[string]string{"min.compaction.lag.ms": "5", "max.compaction.lag.ms": "4"})
	if err == nil || !strings.Contains(err.Error(), "min.compaction.lag.ms (5) > max.compaction.lag.ms (4)") {
		t.Errorf("got %v", err)
	}
}

// Every key that is not said to be without effect must reach a field.
func TestEveryTopicKeyHasAField(t *testing.T) {
	for row := range TopicKeys() {
		if !row.Effective() || row.Name == "pinion.durability" {
			continue
		}
		value := "2097153"
		switch row.Name {
		case "cleanup.policy":
			value = "compact"
		case "compression.type":
			value = "lz4"
		case "message.timestamp.type":
			value = "LogAppendTime"
		case "min.cleanable.dirty.ratio":
			value = "0.7"
		case "compression.gzip.level", "compression.lz4.level", "compression.zstd.level":
			value = "4"
		}
		plain := Default().topic
		got, err := Default().Topic(map[string]string{row.Name: value})
		if err != nil || got == plain {
			t.Errorf("%s=%s changes nothing (%v)", row.Name, value, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	b, _ := load(t, "log.retention.hours=2\nmin.insync.replicas=2\nssl.key.password=secret\n")
	entries := map[string]Entry{}
	last := ""
	for _, e := range b.Describe(map[string]string{"min.insync.replicas": "3"}) {
		if e.Name <= last {
			t.Errorf("%s after %s", e.Name, last)
		}
		last, entries[e.Name] = e.Name, e
	}
	if e := entries["min.insync.replicas"]; e.Value != "3" || e.Source != SourceTopic || len(e.Synonyms) != 3 || e.Synonyms[1] != (Synonym{"min.insync.replicas", "2", SourceStaticBroker}) {
		t.Errorf("%+v", e)
	}
	if e := entries["retention.ms"]; e.Value != "7200000" || e.Source != SourceStaticBroker || e.Kind != KindLong || len(e.Synonyms) != 2 ||
		e.Synonyms[0] != (Synonym{"log.retention.hours", "2", SourceStaticBroker}) || e.Synonyms[1] != (Synonym{"log.retention.hours", "168", SourceDefault}) {
		t.Errorf("%+v", e)
	}
	if e := entries["segment.bytes"]; e.Value != "1073741824" || e.Source != SourceDefault || len(e.Synonyms) != 1 {
		t.Errorf("%+v", e)
	}
	if e, ok := entries["leader.replication.throttled.replicas"]; !ok || e.Value != "" || e.Null {
		t.Errorf("%+v", e)
	}
	for _, hidden := range []string{"message.format.version", "internal.segment.bytes"} {
		if _, ok := entries[hidden]; ok {
			t.Errorf("%s is described", hidden)
		}
	}
	for _, e := range b.DescribeBroker() {
		if strings.Contains(e.Value, "secret") || e.Name == "ssl.key.password" && !e.Sensitive {
			t.Errorf("password shown: %+v", e)
		}
	}
	b.Settings(func(s Setting) bool {
		if strings.Contains(s.Value, "secret") {
			t.Errorf("password shown: %+v", s)
		}
		return true
	})
}

func TestTopicLiteral(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"retention.ms", "7d", "604800000"}, {"segment.bytes", "64MiB", "67108864"}, {"retention.ms", "-1", "-1"}, {"retention.ms", "soon", "soon"},
		{"cleanup.policy", "compact", "compact"}, {"unknown", "7d", "7d"}, {"segment.bytes", "1KiB", "1KiB"},
	} {
		if got := TopicLiteral(c.key, c.value); got != c.want {
			t.Errorf("%s=%s: %s", c.key, c.value, got)
		}
	}
}
