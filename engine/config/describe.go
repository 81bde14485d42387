package config

import "strings"

// Source says where a described value comes from, in the numbers of DescribeConfigs (key 32) and CreateTopics (key 19).
type Source int8

// The sources of Kafka's DescribeConfigsResponse that exist here.
const (
	SourceTopic          Source = 1
	SourceDynamicBroker  Source = 2
	SourceDynamicCluster Source = 3
	SourceStaticBroker   Source = 4
	SourceDefault        Source = 5
	SourceLogger         Source = 6
	SourceClientMetrics  Source = 7
	SourceGroup          Source = 8
)

// Entry is one described setting.
type Entry struct {
	Name      string
	Value     string // empty and Null for none; never the value of a password
	Null      bool
	Source    Source
	Kind      Kind // 0 for a key nobody knows
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym // what the value would be taken from, strongest first; the first is the one in force

	key *Key
}

// Synonym is one place a value can come from, as it stands there: log.retention.hours counts hours.
type Synonym struct {
	Name   string
	Value  string
	Source Source
}

// Describe lists every topic key in order of name with the value it has under these overrides, which must have passed Topic.
func (b *Broker) Describe(overrides map[string]string) []Entry {
	entries := make([]Entry, 0, len(topicKeys().rows))
	for _, row := range topicKeys().rows {
		override, overridden := overrides[row.Name]
		if !overridden && (row.effect == "removed" || strings.HasPrefix(row.Name, "internal.")) {
			continue
		}
		e := Entry{Name: row.Name, Kind: row.Kind, Source: SourceDefault, key: row}
		e.Value, _ = row.resolve(b)
		names := make([]string, len(row.broker))
		for i, s := range row.broker {
			names[i] = s.name
		}
		e.Synonyms = b.synonyms(names)
		if overridden {
			e.Value = override
			e.Synonyms = append([]Synonym{{Name: row.Name, Value: override, Source: SourceTopic}}, e.Synonyms...)
		}
		if len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	return entries
}

// synonyms lists where the value of some broker keys can come from, the strongest first: this broker, the cluster, the node's own file,
// Kafka's default; within each the keys in their order.
func (b *Broker) synonyms(names []string) []Synonym {
	var list []Synonym
	add := func(source Source, lookup func(name string) (string, bool)) {
		for _, name := range names {
			if value, ok := lookup(name); ok {
				list = append(list, Synonym{Name: name, Value: value, Source: source})
			}
		}
	}
	settings := b.settings
	if b.static != nil {
		settings = b.static.settings
	}
	add(SourceDynamicBroker, func(name string) (string, bool) { v, ok := b.own[name]; return v, ok })
	add(SourceDynamicCluster, func(name string) (string, bool) { v, ok := b.common[name]; return v, ok })
	add(SourceStaticBroker, func(name string) (string, bool) { set, ok := settings[name]; return set.Value, ok })
	add(SourceDefault, func(name string) (string, bool) {
		key := brokerKeys().byName[name]
		if key == nil {
			return "", false
		}
		return key.Default, key.HasDefault
	})
	return list
}

// twins are keys that say the same in different units, the one that wins first (KafkaConfig).
var twins = [][]string{
	{"log.roll.ms", "log.roll.hours"},
	{"log.roll.jitter.ms", "log.roll.jitter.hours"},
	{"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
}

// brokerSynonyms is synonyms for a key described by itself: it begins with the key's own value, what a twin says before that is left out.
func (b *Broker) brokerSynonyms(name string) []Synonym {
	names := []string{name}
	for _, group := range twins {
		if contains(group, name) {
			names = group
		}
	}
	if name == "log.flush.interval.ms" {
		names = []string{name, "log.flush.scheduler.interval.ms"}
	}
	list := b.synonyms(names)
	for len(list) > 0 && list[0].Name != name {
		list = list[1:]
	}
	return list
}

// DescribeBroker lists every broker key that Kafka still has, or that was set, in order of name.
func (b *Broker) DescribeBroker() []Entry {
	var entries []Entry
	for row := range BrokerKeys() {
		set, isSet := b.settings[row.Name]
		if !isSet && (row.effect == "removed" || row.effect == "zookeeper") {
			continue
		}
		e := Entry{Name: row.Name, Kind: row.Kind, ReadOnly: !row.Dynamic(), Source: SourceDefault, Value: row.Default, Null: !row.HasDefault, key: row}
		if isSet {
			e.Value, e.Null = set.Value, false
		}
		if e.Synonyms = b.brokerSynonyms(row.Name); len(e.Synonyms) > 0 {
			e.Source = e.Synonyms[0].Source
		}
		e.hide(row.Kind == KindPassword)
		entries = append(entries, e)
	}
	for _, name := range unionOfKeys(b.common, b.own) {
		if _, known := LookupBroker(name); !known {
			e := Entry{Name: name, Synonyms: b.synonyms([]string{name}), ReadOnly: true}
			e.Source = e.Synonyms[0].Source
			e.hide(true)
			entries = append(entries, e)
		}
	}
	return entries
}

// DescribeCluster lists the dynamic settings of the whole cluster in order of name.
func (b *Broker) DescribeCluster() []Entry {
	var entries []Entry
	for _, name := range unionOfKeys(b.common) {
		e := Entry{Name: name, Value: b.common[name], Source: SourceDynamicCluster, ReadOnly: true}
		e.Synonyms = []Synonym{{Name: name, Value: e.Value, Source: SourceDynamicCluster}}
		key, known := LookupBroker(name)
		if known {
			e.Kind, e.ReadOnly, e.key = key.Kind, !key.Dynamic(), key
		}
		e.hide(!known || key.Kind == KindPassword)
		entries = append(entries, e)
	}
	return entries
}

// hide takes the value out of what might be a secret: a password, or a key whose kind nobody knows.
func (e *Entry) hide(secret bool) {
	if !secret {
		return
	}
	e.Value, e.Null, e.Sensitive = "", true, true
	for i := range e.Synonyms {
		e.Synonyms[i].Value = ""
	}
}

// Settings yields what was set by somebody, in order of name, with where; passwords are hidden.
func (b *Broker) Settings(yield func(Setting) bool) {
	for row := range BrokerKeys() {
		set, ok := b.settings[row.Name]
		if ok && row.Kind == KindPassword {
			set.Value = "[hidden]"
		}
		if ok && !yield(set) {
			return
		}
	}
}

// TopicLiteral turns a size or duration that a person wrote for a topic key (1GiB, 7d) into the bare number that goes on the
// wire. What it does not know or cannot read it gives back as it is, for the broker to judge.
func TopicLiteral(name, value string) string {
	key, ok := LookupTopic(name)
	if !ok || key.Unit == UnitNone {
		return value
	}
	if n, wrong := key.normalizeNumber(strings.TrimSpace(value)); wrong == "" {
		return n
	}
	return value
}
