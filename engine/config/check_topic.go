package config

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// InvalidTopic is a topic configuration that Kafka would refuse with INVALID_CONFIG (40). Its text is meant for clients and is
// in Kafka's words where Kafka has some, because tools show and people search for them.
type InvalidTopic struct {
	Key  string
	Text string
}

func (e *InvalidTopic) Error() string { return e.Text }

// checkTopicValue checks one override the way Kafka's ConfigDef does and gives it trimmed. Sizes and durations are not accepted
// here: the value is stored and shown as it came, and clients parse it as a number.
func checkTopicValue(name, raw string) (string, error) {
	key, ok := LookupTopic(name)
	if !ok {
		return "", &InvalidTopic{name, "Unknown topic config name: " + name}
	}
	value := strings.TrimSpace(raw)
	if key.effect == "removed" {
		return value, nil // tolerated: old tools still send them
	}
	if why := key.refuse(value); why != "" {
		return "", &InvalidTopic{name, "Invalid value " + value + " for configuration " + name + ": " + why}
	}
	if key.Kind == KindBool {
		value = strings.ToLower(value)
	}
	switch {
	case name == "remote.storage.enable" && value == "true":
		return "", &InvalidTopic{name, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."}
	}
	return value, nil
}

// refuse says in Kafka's words what is wrong with a value, or nothing.
func (k *Key) refuse(value string) string {
	switch k.Kind {
	case KindBool:
		if lower := strings.ToLower(value); lower != "true" && lower != "false" {
			return "Expected value to be either true or false"
		}
	case KindInt, KindShort, KindLong:
		return k.refuseNumber(value)
	case KindDouble:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(n) {
			return "Not a number of type DOUBLE"
		}
		return k.refuseRange(n)
	case KindList:
		return k.refuseList(value)
	default:
		if k.choices != nil && !contains(k.choices, value) {
			return "String must be one of: " + strings.Join(k.choices, ", ")
		}
	}
	return ""
}

func (k *Key) refuseNumber(value string) string {
	bits := map[Kind]int{KindInt: 32, KindShort: 16, KindLong: 64}[k.Kind]
	n, err := strconv.ParseInt(value, 10, bits)
	if err != nil {
		return "Not a number of type " + strings.ToUpper(k.Kind.String())
	}
	if k.Name == "compression.gzip.level" && n == 0 {
		return "Value must be between 1 and 9 or equal to -1"
	}
	return k.refuseRange(float64(n))
}

func (k *Key) refuseRange(n float64) string {
	switch {
	case n < k.lower:
		return "Value must be at least " + number(k.lower)
	case n > k.upper:
		return "Value must be no more than " + number(k.upper)
	}
	return ""
}

// throttledReplicas is partition:broker pairs, as kafka-reassign-partitions writes them.
var throttledReplicas = regexp.MustCompile(`^([0-9]+:[0-9]+)$`)

func (k *Key) refuseList(value string) string {
	items := splitList(value)
	for _, item := range items {
		if k.choices != nil && !contains(k.choices, item) {
			return "String must be one of: " + strings.Join(k.choices, ", ")
		}
		if k.choices == nil && !throttledReplicas.MatchString(item) && value != "*" && value != "none" {
			return "must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
		}
	}
	return ""
}
