package measure

import (
	"context"
	"fmt"
	"sort"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config is one setting of a broker as DescribeConfigs gives it.
type Config struct {
	Key     string `json:"key"`
	Value   string `json:"value"`
	Default bool   `json:"default"`
}

// Configs asks one broker for its effective configuration. Values that are secret are left out.
func Configs(ctx context.Context, admin *kadm.Client) ([]Config, error) {
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("brokers: %w", err)
	}
	if len(metadata.Brokers) == 0 {
		return nil, fmt.Errorf("brokers: none")
	}
	all, err := admin.DescribeBrokerConfigs(ctx, metadata.Brokers[0].NodeID)
	if err != nil {
		return nil, fmt.Errorf("configuration of the broker: %w", err)
	}
	list, err := listed(all)
	if err != nil {
		return nil, fmt.Errorf("configuration of the broker: %w", err)
	}
	return list, nil
}

// TopicConfigs asks for the effective configuration of a topic.
func TopicConfigs(ctx context.Context, admin *kadm.Client, topic string) ([]Config, error) {
	all, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("configuration of topic %s: %w", topic, err)
	}
	list, err := listed(all)
	if err != nil {
		return nil, fmt.Errorf("configuration of topic %s: %w", topic, err)
	}
	return list, nil
}

func listed(all kadm.ResourceConfigs) (list []Config, err error) {
	for _, r := range all {
		if r.Err != nil {
			return nil, r.Err
		}
		for _, c := range r.Configs {
			if !c.Sensitive {
				list = append(list, Config{c.Key, c.MaybeValue(), c.Source == kmsg.ConfigSourceDefaultConfig})
			}
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Key < list[j].Key })
	return list, nil
}

// durability are the keys that decide what is on the disk when a record is acknowledged.
var durability = map[string]bool{"pinion.durability": true, "log.flush.interval.messages": true, "log.flush.interval.ms": true,
	"min.insync.replicas": true, "default.replication.factor": true}

// Telling picks the settings a result needs beside it: those that are not defaults, and those that decide durability.
func Telling(list []Config) (lines []string) {
	for _, c := range list {
		if !c.Default || durability[c.Key] {
			lines = append(lines, c.Key+"="+c.Value)
		}
	}
	return lines
}

// Synced says what is on the disk when a record is acknowledged, as far as the configurations of the broker and the topic tell.
func Synced(broker, topic []Config) string {
	values := map[string]string{}
	for _, c := range broker {
		values[c.Key] = c.Value
	}
	for _, c := range topic {
		if c.Key == "flush.messages" { // Kafka's name for a topic's
			c.Key = "log.flush.interval.messages"
		}
		values[c.Key] = c.Value
	}
	if d, ok := values["pinion.durability"]; ok {
		return map[string]string{
			"memory": "nothing: an acknowledged record is in the page cache (pinion.durability=memory)",
			"fsync":  "acks=all is acknowledged after fdatasync (pinion.durability=fsync)",
		}[d]
	}
	switch values["log.flush.interval.messages"] {
	case "":
		return "unknown: the broker does not say"
	case "9223372036854775807":
		return "nothing: an acknowledged record is in the page cache (log.flush.interval.messages is at its default)"
	}
	return "every " + values["log.flush.interval.messages"] + " records (log.flush.interval.messages)"
}
