package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A subscription to client metrics (KIP-714, Kafka's resource type 16) says which clients should push which metrics, and how often. It is
// kept and shown; no client is ever asked, because nothing here receives what it would push.

const clientMetricsText = `
interval.ms int  ms 300000 - metrics
match       list -  -      - metrics
metrics     list -  -      - metrics
`

var clientMetricsKeys = sync.OnceValue(func() *table { return parseTable("client metrics", clientMetricsText) })

// LookupClientMetrics finds a key of a subscription.
func LookupClientMetrics(name string) (*Key, bool) {
	key := clientMetricsKeys().byName[name]
	return key, key != nil
}

// Kafka's bounds of interval.ms, and what match may look at.
const pushIntervalMin, pushIntervalMax = 100, 3_600_000

var matchable = []string{"client_instance_id", "client_id", "client_software_name", "client_software_version", "client_source_address", "client_source_port"}

// CheckClientMetrics says whether a subscription could be configured so, in Kafka's words.
func CheckClientMetrics(overrides map[string]string) error {
	for _, name := range sortedKeys(overrides) {
		key, known := LookupClientMetrics(name)
		if !known {
			return &InvalidBroker{"Unknown client metrics configuration: " + name}
		}
		value := strings.TrimSpace(overrides[name])
		if key.Kind == KindList {
			if err := checkSubscribed(name, value); err != nil {
				return err
			}
			continue
		}
		n, err := strconv.ParseInt(value, 10, 32)
		switch {
		case err != nil:
			return &InvalidTopic{name, "Invalid value " + value + " for configuration " + name + ": Not a number of type INT"}
		case n < pushIntervalMin || n > pushIntervalMax:
			return &InvalidBroker{fmt.Sprintf("Invalid value %d for %s, interval must be between 100 and 3600000 (1 hour)", n, name)}
		}
	}
	return nil
}

func checkSubscribed(name, value string) error {
	items := splitList(value)
	for i, item := range items {
		switch {
		case item == "":
			return &InvalidTopic{name, "Configuration '" + name + "' values must not be empty."}
		case slices.Contains(items[:i], item):
			return &InvalidTopic{name, "Configuration '" + name + "' values must not be duplicated."}
		case name == "match" && !matches(item):
			return &InvalidTopic{name, "Illegal client matching pattern: " + item}
		}
	}
	return nil
}

// matches reports whether an item of match can be read. The expressions are Java's; those of Go are close enough to find what is none.
func matches(item string) bool {
	param, pattern, found := strings.Cut(item, "=")
	if !found || pattern == "" || strings.Contains(pattern, "=") || !slices.Contains(matchable, strings.TrimSpace(param)) {
		return false
	}
	_, err := regexp.Compile(strings.TrimSpace(pattern))
	return err == nil
}

// DescribeClientMetrics lists every key of a subscription.
func DescribeClientMetrics(overrides map[string]string) []Entry {
	entries := make([]Entry, 0, len(clientMetricsKeys().rows))
	for _, row := range clientMetricsKeys().rows {
		e := Entry{Name: row.Name, Kind: row.Kind, Value: row.Default, Source: SourceDefault, key: row}
		if override, overridden := overrides[row.Name]; overridden {
			e.Value, e.Source = override, SourceClientMetrics
			e.Synonyms = []Synonym{{Name: row.Name, Value: override, Source: SourceClientMetrics}}
		}
		entries = append(entries, e)
	}
	return entries
}
