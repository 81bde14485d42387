package config

import (
	"errors"
	"strings"
	"testing"
)

func TestDynamicSettingsTakeForce(t *testing.T) {
	b, _ := load(t, "log.retention.hours=2\nmessage.max.bytes=5000\nmax.connections=100\n")
	live := NewLive(b)
	if err := live.Apply(map[string]string{"log.retention.ms": "9000", "message.max.bytes": "6000"}, map[string]string{"message.max.bytes": "7000", "max.connections": "7", "my.plugin.key": "x"}); err != nil {
		t.Fatal(err)
	}
	now := live.Now()
	topic, err := now.Topic(nil)
	if err != nil || topic.RetentionMs != 9000 || topic.MaxMessageBytes != 7000 || now.ConnectionsMax != 7 {
		t.Fatalf("%+v, %d connections, %v", topic, now.ConnectionsMax, err)
	}
	if topic, _ := now.Topic(map[string]string{"retention.ms": "5"}); topic.RetentionMs != 5 {
		t.Fatalf("an override gives %d", topic.RetentionMs)
	}
	want := []Synonym{{"message.max.bytes", "7000", SourceDynamicBroker}, {"message.max.bytes", "6000", SourceDynamicCluster},
		{"message.max.bytes", "5000", SourceStaticBroker}, {"message.max.bytes", "1048588", SourceDefault}}
	for _, list := range [][]Entry{now.Describe(nil), now.DescribeBroker()} {
		e := find(list, "max.message.bytes")
		if e.Name == "" {
			e = find(list, "message.max.bytes")
		}
		if e.Value != "7000" || e.Source != SourceDynamicBroker || e.ReadOnly || len(e.Synonyms) != 4 {
			t.Fatalf("%+v", e)
		}
		for i := range want {
			if e.Synonyms[i] != want[i] {
				t.Errorf("synonym %d: %+v", i, e.Synonyms[i])
			}
		}
	}
	if e := find(now.Describe(nil), "retention.ms"); e.Value != "9000" || e.Source != SourceDynamicCluster || len(e.Synonyms) != 3 || e.Synonyms[1] != (Synonym{"log.retention.hours", "2", SourceStaticBroker}) {
		t.Errorf("%+v", e)
	}
	if e := find(now.DescribeBroker(), "my.plugin.key"); !e.Sensitive || !e.Null || e.Source != SourceDynamicBroker || e.Synonyms[0].Value != "" {
		t.Errorf("%+v", e)
	}
	if list := now.DescribeCluster(); len(list) != 2 || list[0].Name != "log.retention.ms" || list[1].Value != "6000" || len(list[1].Synonyms) != 1 {
		t.Errorf("%+v", list)
	}
	if err := live.Apply(nil, nil); err != nil || live.Now() != b {
		t.Fatalf("%v", err)
	}
}

func find(list []Entry, name string) Entry {
	for _, e := range list {
		if e.Name == name {
			return e
		}
	}
	return Entry{}
}

func TestCheckDynamic(t *testing.T) {
	b, _ := load(t, "log.cleaner.max.compaction.lag.ms=1000\n")
	for _, c := range []struct {
		key, value, want string
	}{
		{"message.max.bytes", "2000", ""},
		{"max.connections.per.ip.overrides", "127.0.0.1:5", ""},
		{"num.io.threads", "4", ""}, // Kafka has it dynamic; it has no effect, and file and flag take it too
		{"metric.reporters", "a,b", ""},
		{"some.plugin", "x", ""},
		{"node.id", "3", "Cannot update these configs dynamically: [node.id]"},
		{"log.retention.hours", "3", "Cannot update these configs dynamically: [log.retention.hours]"},
		{"listeners", "PLAINTEXT://:1", "Cannot update these configs dynamically: [listeners]"},
		{"listener.name.a.ssl.keystore.location", "x", "Cannot update these configs dynamically: [listener.name.a.ssl.keystore.location]"},
		{"message.max.bytes", "many", "Invalid value many for configuration message.max.bytes: Not a number of type INT"},
		{"message.max.bytes", "-1", "Invalid value -1 for configuration message.max.bytes: Value must be at least 0"},
		{"compression.type", "brotli", "Invalid value brotli for configuration compression.type: String must be one of: "},
		{"log.cleaner.min.compaction.lag.ms", "2000", "dynamic configuration: log.cleaner.min.compaction.lag.ms = 2000 is more than log.cleaner.max.compaction.lag.ms = 1000"},
	} {
		for _, own := range []bool{false, true} {
			err := b.CheckDynamic(map[string]string{c.key: c.value}, own)
			var invalid *InvalidBroker
			if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &invalid) || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("%s=%s, own %t: %v", c.key, c.value, own, err)
			}
		}
	}
}

// What was stored under another file must not keep the node from starting.
func TestDynamicSettingsThatNoLongerFit(t *testing.T) {
	b, _ := load(t, "log.cleaner.max.compaction.lag.ms=1000\n")
	live := NewLive(b)
	if err := live.Apply(map[string]string{"log.cleaner.min.compaction.lag.ms": "2000"}, nil); err == nil || live.Now() != b {
		t.Fatalf("%v", err)
	}
}

func TestDynamicKeysExist(t *testing.T) {
	for name := range dynamicKeys() {
		if _, ok := brokerKeys().byName[name]; !ok {
			t.Errorf("%s is no key", name)
		}
	}
}

func TestAlter(t *testing.T) {
	had := map[string]string{"retention.ms": "1", "cleanup.policy": "compact", "segment.ms": "2"}
	next, err := Alter(had, []Change{
		{"retention.ms", "5", Set}, {"segment.ms", "", Delete}, {"cleanup.policy", "delete,compact", Append},
		{"leader.replication.throttled.replicas", "0:1,1:1", Append}, {"absent", "", Delete},
	}, LookupTopic)
	want := map[string]string{"retention.ms": "5", "cleanup.policy": "compact,delete", "leader.replication.throttled.replicas": "0:1,1:1"}
	if err != nil || len(next) != len(want) || had["retention.ms"] != "1" {
		t.Fatalf("%v, %v", next, err)
	}
	for key, value := range want {
		if next[key] != value {
			t.Errorf("%s=%q", key, next[key])
		}
	}
	if next, err := Alter(nil, []Change{{"cleanup.policy", "compact", Append}}, LookupTopic); err != nil || next["cleanup.policy"] != "delete,compact" {
		t.Errorf("append to the default: %v, %v", next, err)
	}
	if next, err := Alter(want, []Change{{"leader.replication.throttled.replicas", "1:1,0:1,7:7", Subtract}}, LookupTopic); err != nil || next["leader.replication.throttled.replicas"] != "" {
		t.Errorf("subtract: %v, %v", next, err)
	}
	for _, c := range []struct {
		change Change
		want   string
	}{
		{Change{"retention.ms", "5", Append}, "Can't APPEND to key retention.ms because its type is not LIST."},
		{Change{"nonsense", "5", Subtract}, "Can't SUBTRACT to key nonsense because its type is not LIST."},
		{Change{"retention.ms", "5", 9}, "Unknown operations type 9"},
		{Change{"nonsense", strings.Repeat("x", 1<<15), Set}, "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes."},
	} {
		if _, err := Alter(nil, []Change{c.change}, LookupTopic); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %v", c.change, err)
		}
	}
}
