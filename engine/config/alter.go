package config

import (
	"fmt"
	"slices"
	"strings"
)

// Operation is what a change does to a key, in the numbers of IncrementalAlterConfigs (key 44, KIP-339).
type Operation int8

// The operations; the last two are for lists.
const (
	Set Operation = iota
	Delete
	Append
	Subtract
)

// Change is one key to be altered.
type Change struct {
	Key       string
	Value     string
	Operation Operation
}

// valueBytesMax is Kafka's: the length of a string on the wire and in its metadata log.
const valueBytesMax = 1<<15 - 1

// Alter gives the overrides of a topic, or of a broker, after some changes, the value of each key not yet judged. lookup finds the keys of
// the resource. The error, an *InvalidTopic in Kafka's words, is what Kafka answers with INVALID_CONFIG.
func Alter(values map[string]string, changes []Change, lookup func(string) (*Key, bool)) (map[string]string, error) {
	next := make(map[string]string, len(values)+len(changes))
	for key, value := range values {
		next[key] = value
	}
	for _, c := range changes {
		switch c.Operation {
		case Set:
			next[c.Key] = c.Value
		case Delete:
			delete(next, c.Key)
		case Append, Subtract:
			key, known := lookup(c.Key)
			if !known || key.Kind != KindList {
				return nil, &InvalidTopic{c.Key, fmt.Sprintf("Can't %s to key %s because its type is not LIST.", c.Operation, c.Key)}
			}
			next[c.Key] = alterList(values, key, c)
		default:
			return nil, &InvalidTopic{c.Key, fmt.Sprintf("Unknown operations type %d", c.Operation)}
		}
		if len(next[c.Key]) > valueBytesMax {
			return nil, &InvalidTopic{c.Key, fmt.Sprintf(
				"The configuration value cannot be added because it exceeds the maximum value size of %d bytes.", valueBytesMax)}
		}
	}
	return next, nil
}

// alterList adds or removes items; a list that is not overridden starts from Kafka's default, whatever the broker's is, as in Kafka.
func alterList(values map[string]string, key *Key, c Change) string {
	now, overridden := values[key.Name]
	if !overridden {
		now = key.Default
	}
	items := strings.FieldsFunc(now, func(r rune) bool { return r == ',' })
	for item := range strings.SplitSeq(c.Value, ",") {
		at := slices.Index(items, item)
		switch {
		case c.Operation == Append && at < 0:
			items = append(items, item)
		case c.Operation == Subtract && at >= 0:
			items = slices.Delete(items, at, at+1)
		}
	}
	return strings.Join(items, ",")
}

func (o Operation) String() string {
	switch o {
	case Set:
		return "SET"
	case Delete:
		return "DELETE"
	case Append:
		return "APPEND"
	case Subtract:
		return "SUBTRACT"
	}
	return fmt.Sprintf("operation %d", int8(o))
}
