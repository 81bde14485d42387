package config

import (
	_ "embed"
	"iter"
	"math"
	"sort"
	"strconv"
	"strings"
	"sync"

	"pinion/engine/must"
)

// Kind is the type of a key's value. The numbers are those DescribeConfigs (key 32) sends from version 3 on.
type Kind int8

// The kinds of Kafka's ConfigDef.
const (
	KindBool     Kind = 1
	KindString   Kind = 2
	KindInt      Kind = 3
	KindShort    Kind = 4
	KindLong     Kind = 5
	KindDouble   Kind = 6
	KindList     Kind = 7
	KindClass    Kind = 8
	KindPassword Kind = 9
)

var kindNames = map[string]Kind{
	"bool": KindBool, "string": KindString, "int": KindInt, "short": KindShort, "long": KindLong,
	"double": KindDouble, "list": KindList, "class": KindClass, "password": KindPassword,
}

func (k Kind) String() string {
	for name, kind := range kindNames {
		if kind == k {
			return name
		}
	}
	return "kind " + strconv.Itoa(int(k))
}

// Unit says what a bare number counts.
type Unit uint8

// The units of the tables; UnitNone takes no size or duration literal.
const (
	UnitNone Unit = iota
	UnitBytes
	UnitMilliseconds
	UnitSeconds
	UnitMinutes
	UnitHours
)

var units = [...]struct {
	code, plural string
	milliseconds int64 // of one; 0 for what is not time
}{{"-", "", 0}, {"bytes", "bytes", 0}, {"ms", "milliseconds", 1}, {"s", "seconds", 1000}, {"min", "minutes", 60_000}, {"h", "hours", 3_600_000}}

// Key is one row of a table.
type Key struct {
	Name        string
	Kind        Kind
	Unit        Unit
	Default     string // normalized: a bare number in Unit
	HasDefault  bool
	lower       float64 // both bounds are allowed values
	upper       float64
	choices     []string
	effect      string
	alternative string    // of a removed key: what to set instead; may be empty
	broker      []synonym // of a topic key
	read        bool      // of a broker key without effect: its value is read all the same
}

// synonym is a broker key that a topic key falls back to, and the factor between their units.
type synonym struct {
	name   string
	factor int64
}

// Effective reports whether setting the key changes what this broker does.
func (k *Key) Effective() bool { return k.effect == "yes" }

// Idle is the sentence that follows the key's name when setting it changes nothing; empty when it does change something.
func (k *Key) Idle() string {
	if k.effect == "removed" {
		if k.alternative == "" {
			return "has no effect: Kafka removed it"
		}
		return "has no effect: Kafka removed it; set " + k.alternative
	}
	if reason := idle[k.effect]; reason != "" {
		return "has no effect: " + reason
	}
	return ""
}

// idle says for every effect code but yes and removed why there is none.
var idle = map[string]string{
	"zookeeper":    "there is no ZooKeeper",
	"shards":       "pinion runs one shard per core (see pinion.shards)",
	"security":     "TLS, SASL and ACLs are not served yet",
	"groups":       "consumer groups are served in the classic protocol, which does without it",
	"transactions": "transactions are not served yet",
	"share":        "share groups are not served yet",
	"streams":      "streams groups are not served yet",
	"tiered":       "there is no tiered storage",
	"quorum":       "the metadata quorum lives inside the broker and has no such setting",
	"replication":  "replication between nodes is not served yet",
	"moves":        "logs that move between directories are copied by their shards, as fast as replica.alter.log.dirs.io.max.bytes.per.second allows",
	"metrics":      "metrics are served at pinion.admin and need no reporter",
	"quotas":       "quotas are set for users and client ids, not by plugins or for all (kafka-configs)",
	"plugins":      "JVM plugins cannot be loaded",
	"durability":   "pinion.durability says when data is synced",
	"reserved":     "space is always reserved ahead of the writer",
	"later":        "nothing reads it yet",
	"listener":     "settings of a single listener are not read yet",
	"confluent":    "it belongs to another vendor's broker",
}

// prefixes are the families of keys that no table can list, because plugins name them.
var prefixes = []struct{ prefix, effect string }{
	{"config.providers.", "plugins"},
	{"rsm.config.", "tiered"},
	{"rlmm.config.", "tiered"},
	{"remote.log.metadata.", "tiered"},
	{"metrics.context.", "metrics"},
	{"metrics.jmx.", "metrics"},
	{"client.quota.callback.static.", "quotas"},
	{"cruise.control.metrics.", "metrics"},
	{"confluent.", "confluent"},
	{"strimzi.", "plugins"},
}

//go:embed keys.table
var keysText string

//go:embed topic.table
var topicText string

// table is a parsed table: rows in order of name, and the way to them.
type table struct {
	rows   []*Key
	byName map[string]*Key
}

var (
	brokerKeys = sync.OnceValue(loadBrokerKeys)
	topicKeys  = sync.OnceValue(func() *table { return parseTable("topic.table", topicText) })
)

// loadBrokerKeys also marks the keys that topics take their defaults from: those are read whether they have an effect or not.
func loadBrokerKeys() *table {
	t := parseTable("keys.table", keysText)
	for _, row := range topicKeys().rows {
		for _, s := range row.broker {
			key := t.byName[s.name]
			if key == nil {
				must.Failf("topic.table: %s falls back to %s, which keys.table lacks", row.Name, s.name)
			}
			key.read = true
		}
	}
	// A group's settings come from the broker's, and are held to what it allows.
	for _, row := range groupKeys().rows {
		for _, s := range row.broker {
			if t.byName[s.name] == nil {
				must.Failf("group.table: %s falls back to %s, which keys.table lacks", row.Name, s.name)
			}
		}
	}
	for _, row := range t.rows {
		for _, kind := range kinds {
			if strings.HasPrefix(row.Name, "group."+kind+".") && row.Kind == KindInt {
				row.read = true
			}
		}
	}
	return t
}

// BrokerKeys yields every broker key in order of name.
func BrokerKeys() iter.Seq[*Key] { return brokerKeys().all }

// TopicKeys yields every topic key in order of name.
func TopicKeys() iter.Seq[*Key] { return topicKeys().all }

func (t *table) all(yield func(*Key) bool) {
	for _, key := range t.rows {
		if !yield(key) {
			return
		}
	}
}

// LookupBroker finds a broker key, including those that only a prefix knows and the per-listener forms
// listener.name.<listener>.[<mechanism>.]<key> (KIP-103, KIP-226).
func LookupBroker(name string) (*Key, bool) {
	keys := brokerKeys()
	if key := keys.byName[name]; key != nil {
		return key, true
	}
	if rest, ok := strings.CutPrefix(name, "listener.name."); ok {
		return lookupListener(keys, name, rest)
	}
	for _, p := range prefixes {
		if strings.HasPrefix(name, p.prefix) && len(name) > len(p.prefix) {
			return &Key{Name: name, Kind: KindString, effect: p.effect}, true
		}
	}
	return nil, false
}

func lookupListener(keys *table, name, rest string) (*Key, bool) {
	_, rest, ok := strings.Cut(rest, ".")
	if !ok {
		return nil, false
	}
	base := keys.byName[rest]
	if base == nil {
		if _, inner, ok := strings.Cut(rest, "."); ok { // <mechanism>.sasl.jaas.config and its like
			base = keys.byName[inner]
		}
	}
	if base == nil {
		return nil, false
	}
	effect := base.effect
	if effect == "yes" {
		effect = "listener"
	}
	return &Key{Name: name, Kind: base.Kind, Unit: base.Unit, effect: effect}, true
}

// LookupTopic finds a topic key.
func LookupTopic(name string) (*Key, bool) {
	key := topicKeys().byName[name]
	return key, key != nil
}

func parseTable(file, text string) *table {
	t := &table{byName: make(map[string]*Key, strings.Count(text, "\n"))}
	for number, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 6 || len(fields) > 7 {
			must.Failf("%s:%d: %d columns", file, number+1, len(fields))
		}
		key := parseRow(fields)
		if key == nil || t.byName[key.Name] != nil {
			must.Failf("%s:%d: bad or repeated row %q", file, number+1, line)
		}
		t.byName[key.Name] = key
		t.rows = append(t.rows, key)
	}
	sort.Slice(t.rows, func(i, j int) bool { return t.rows[i].Name < t.rows[j].Name })
	return t
}

// parseRow reads one row, or gives nil when it is wrong.
func parseRow(fields []string) *Key {
	key := &Key{Name: fields[0], Kind: kindNames[fields[1]], lower: math.Inf(-1), upper: math.Inf(1)}
	for unit, u := range units {
		if u.code == fields[2] {
			key.Unit = Unit(unit)
		}
	}
	if fields[3] != "-" {
		key.Default, key.HasDefault = fields[3], true
	}
	if !key.parseRange(fields[4]) {
		return nil
	}
	key.effect = fields[5]
	if reason, instead, ok := strings.Cut(key.effect, ":"); ok {
		key.effect, key.alternative = reason, strings.Replace(instead, "@topic", " on the topic", 1)
	}
	if len(fields) == 7 && fields[6] != "-" {
		key.broker = parseSynonyms(fields[6])
	}
	known := key.effect == "yes" || key.effect == "removed" || idle[key.effect] != ""
	if key.Kind == 0 || !known {
		return nil
	}
	return key
}

func (k *Key) parseRange(text string) bool {
	if text == "-" {
		return true
	}
	lower, upper, numbers := strings.Cut(text, "..")
	if !numbers {
		k.choices = strings.Split(text, "|")
		return true
	}
	var err error
	if k.lower, err = strconv.ParseFloat(lower, 64); err != nil {
		return false
	}
	if upper == "" {
		return true
	}
	k.upper, err = strconv.ParseFloat(upper, 64)
	return err == nil
}

func parseSynonyms(text string) []synonym {
	var list []synonym
	for part := range strings.SplitSeq(text, ">") {
		name, factor, ok := strings.Cut(part, "*")
		s := synonym{name: name, factor: 1}
		if ok {
			s.factor, _ = strconv.ParseInt(factor, 10, 64)
		}
		if s.factor < 1 {
			must.Failf("topic.table: bad factor in %q", text)
		}
		list = append(list, s)
	}
	return list
}
