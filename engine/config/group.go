package config

import (
	_ "embed"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

//go:embed group.table
var groupText string

var groupKeys = sync.OnceValue(func() *table { return parseTable("group.table", groupText) })

// GroupKeys yields every key of a group in order of name.
func GroupKeys() iter.Seq[*Key] { return groupKeys().all }

// LookupGroup finds a key of a group.
func LookupGroup(name string) (*Key, bool) {
	key := groupKeys().byName[name]
	return key, key != nil
}

// kinds are the kinds of groups that have settings of their own.
var kinds = []string{"consumer", "share", "streams"}

// limits are the broker keys that hold a group's key to a range, empty where there is none.
func (k *Key) limits() (least, most string) {
	kind, rest, _ := strings.Cut(k.Name, ".")
	rest = strings.TrimPrefix(rest, "num.")
	least, most = "group."+kind+".min."+rest, "group."+kind+".max."+rest
	if brokerKeys().byName[least] == nil {
		least = ""
	}
	if brokerKeys().byName[most] == nil {
		most = ""
	}
	return least, most
}

// CheckGroup says whether a group could be configured so. The error is an *InvalidTopic, in Kafka's words.
func (b *Broker) CheckGroup(overrides map[string]string) error {
	for _, name := range sortedKeys(overrides) {
		key, known := LookupGroup(name)
		if !known {
			return &InvalidTopic{name, "Unknown group config name: " + name}
		}
		value := strings.TrimSpace(overrides[name])
		why := key.refuse(value)
		if name == "share.auto.offset.reset" && !offsetReset.MatchString(value) {
			why = "Invalid value " + value + ". The value must be earliest, latest, or of the format by_duration:<PnDTnHnMn.nS.>"
		}
		if why != "" {
			return &InvalidTopic{name, "Invalid value " + value + " for configuration " + name + ": " + why}
		}
	}
	for row := range GroupKeys() {
		if err := b.checkBounds(row, overrides); err != nil {
			return err
		}
	}
	for _, kind := range kinds {
		session, heartbeat := kind+".session.timeout.ms", kind+".heartbeat.interval.ms"
		if b.groupNumber(session, overrides) <= b.groupNumber(heartbeat, overrides) {
			return &InvalidTopic{session, session + " must be greater than " + heartbeat}
		}
	}
	return nil
}

// offsetReset is what a share group may begin at: one end, or an ISO 8601 duration ago.
var offsetReset = regexp.MustCompile(`^(earliest|latest|by_duration:(?i:P(\d+D(T(\d+H)?(\d+M)?(\d+(\.\d{0,9})?S)?)?|T(\d+H(\d+M)?(\d+(\.\d{0,9})?S)?|\d+M(\d+(\.\d{0,9})?S)?|\d+(\.\d{0,9})?S))))$`)

// checkBounds holds a group's value to what the broker allows. An interval of assignments is held to it only where the group has its own, as in
// Kafka.
func (b *Broker) checkBounds(row *Key, overrides map[string]string) error {
	if _, overridden := overrides[row.Name]; !overridden && strings.HasSuffix(row.Name, ".assignment.interval.ms") {
		return nil
	}
	least, most := row.limits()
	n := b.groupNumber(row.Name, overrides)
	switch {
	case least != "" && n < b.number(least):
		return &InvalidTopic{row.Name, fmt.Sprintf("%s must be greater than or equal to %s", row.Name, least)}
	case most != "" && n > b.number(most):
		return &InvalidTopic{row.Name, fmt.Sprintf("%s must be less than or equal to %s", row.Name, most)}
	}
	return nil
}

// groupNumber is a checked number of a group; 0 for what is none.
func (b *Broker) groupNumber(name string, overrides map[string]string) int64 {
	text, overridden := overrides[name]
	if !overridden {
		text, _ = groupKeys().byName[name].resolve(b)
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n
}

// number is a broker's number, as set or by default.
func (b *Broker) number(name string) int64 {
	text := brokerKeys().byName[name].Default
	if set, ok := b.settings[name]; ok {
		text = set.Value
	}
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// DescribeGroup lists every key of a group in order of name with the value it has under these overrides.
func (b *Broker) DescribeGroup(overrides map[string]string) []Entry {
	entries := make([]Entry, 0, len(groupKeys().rows))
	for _, row := range groupKeys().rows {
		e := Entry{Name: row.Name, Kind: row.Kind, key: row}
		e.Value, _ = row.resolve(b)
		if len(row.broker) > 0 {
			e.Synonyms = b.synonyms([]string{row.broker[0].name})
		} else {
			e.Synonyms = []Synonym{{Name: row.Name, Value: row.Default, Source: SourceDefault}}
		}
		if override, overridden := overrides[row.Name]; overridden {
			e.Value = override
			e.Synonyms = append([]Synonym{{Name: row.Name, Value: override, Source: SourceGroup}}, e.Synonyms...)
		}
		e.Source = e.Synonyms[0].Source
		entries = append(entries, e)
	}
	return entries
}
