package config

import "strings"

// Source says where a described value comes from, in the numbers of DescribeConfigs (key 32) and CreateTopics (key 19).
type Source int8

// The sources of Kafka's DescribeConfigsResponse that exist here.
const (
	SourceTopic        Source = 1
	SourceStaticBroker Source = 4
	SourceDefault      Source = 5
)

// Entry is one described setting.
type Entry struct {
	Name      string
	Value     string // empty and Null for none; never the value of a password
	Null      bool
	Source    Source
	Kind      Kind
	ReadOnly  bool
	Sensitive bool
	Synonyms  []Synonym // what the value would be taken from, strongest first; the first is the one in force
}

// Synonym is one place a value can come from.
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
		e := Entry{Name: row.Name, Kind: row.Kind, Source: SourceDefault, Value: row.Default, Synonyms: b.synonyms(row)}
		if overridden {
			e.Synonyms = append([]Synonym{{Name: row.Name, Value: override, Source: SourceTopic}}, e.Synonyms...)
		}
		if len(e.Synonyms) > 0 {
			e.Value, e.Source = e.Synonyms[0].Value, e.Synonyms[0].Source
		}
		entries = append(entries, e)
	}
	return entries
}

// synonyms lists the broker's settings a topic key falls back to, in the topic key's unit, and its default last.
func (b *Broker) synonyms(row *Key) []Synonym {
	var list []Synonym
	for _, s := range row.broker {
		if set, ok := b.settings[s.name]; ok {
			list = append(list, Synonym{Name: s.name, Value: s.convert(set.Value), Source: SourceStaticBroker})
		}
	}
	for _, s := range row.broker {
		if key := brokerKeys().byName[s.name]; key.HasDefault && row.HasDefault {
			return append(list, Synonym{Name: s.name, Value: s.convert(key.Default), Source: SourceDefault})
		}
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
		e := Entry{Name: row.Name, Kind: row.Kind, ReadOnly: true, Source: SourceDefault, Value: row.Default, Null: !row.HasDefault}
		if isSet {
			e.Value, e.Null, e.Source = set.Value, false, SourceStaticBroker
		}
		if row.Kind == KindPassword {
			e.Value, e.Null, e.Sensitive = "", true, true
		}
		if !e.Null {
			e.Synonyms = []Synonym{{Name: row.Name, Value: e.Value, Source: e.Source}}
		}
		entries = append(entries, e)
	}
	return entries
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
