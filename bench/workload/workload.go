// Package workload runs the workloads of OpenMessaging Benchmark, as its YAML files describe them, with ordinary clients: franz-go
// producers and consumers, one for each that the file asks for. The load is an open loop: each record has an intended time that
// nobody waits for, its latency counts from there, and a nanosecond stamp in its payload gives the end to end latency.
//
// A run's clients, topics and counts belong to Run. Consumers of a subscription share its partitions by a fixed assignment and
// commit nothing, so that every broker that serves Produce and Fetch can be measured; results say so.
package workload

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"

	"pinion/bench/load"
	"pinion/engine/config"
)

// Workload is one file, with OpenMessaging Benchmark's keys.
type Workload struct {
	Name                      string  `yaml:"name"`
	Topics                    int     `yaml:"topics"`
	PartitionsPerTopic        int     `yaml:"partitionsPerTopic"`
	KeyDistributor            string  `yaml:"keyDistributor"` // NO_KEY, KEY_ROUND_ROBIN, RANDOM_NANO
	MessageSize               int     `yaml:"messageSize"`
	UseRandomizedPayloads     bool    `yaml:"useRandomizedPayloads"`
	RandomBytesRatio          float64 `yaml:"randomBytesRatio"`
	RandomizedPayloadPoolSize int     `yaml:"randomizedPayloadPoolSize"`
	PayloadFile               string  `yaml:"payloadFile"` // relative to the workload's folder or its parent
	SubscriptionsPerTopic     int     `yaml:"subscriptionsPerTopic"`
	ProducersPerTopic         int     `yaml:"producersPerTopic"`
	ConsumerPerSubscription   int     `yaml:"consumerPerSubscription"`
	ProducerRate              float64 `yaml:"producerRate"` // records a second over all producers; 0 searches the largest sustainable one
	ConsumerBacklogSizeGB     float64 `yaml:"consumerBacklogSizeGB"`
	BacklogDrainRatio         float64 `yaml:"backlogDrainRatio"`
	TestDurationMinutes       float64 `yaml:"testDurationMinutes"`
	WarmupDurationMinutes     float64 `yaml:"warmupDurationMinutes"`

	payload []byte // of PayloadFile
}

// Bounds of a workload; beyond them a file has a mistake rather than a wish.
const (
	fileMax      = 1 << 20
	topicsMax    = 1_000_000
	messageMax   = 64 << 20
	clientsMax   = 100_000
	poolDefault  = 1000
	poolBytesMax = 256 << 20
)

// Load reads a workload file. What override changes counts as if the file said so, and is checked as that; nil changes nothing.
func Load(path string, override func(*Workload)) (*Workload, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	w, err := Parse(text, override)
	if err != nil {
		return nil, fmt.Errorf("workload %s: %w", path, err)
	}
	if w.PayloadFile != "" && !w.UseRandomizedPayloads {
		if err := w.readPayload(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("workload %s: %w", path, err)
		}
	}
	return w, nil
}

// Parse reads a workload. A key that is not known is a mistake, and so is one that is missing.
func Parse(text []byte, override func(*Workload)) (*Workload, error) {
	if len(text) > fileMax {
		return nil, fmt.Errorf("larger than %d bytes; not a workload", fileMax)
	}
	w := &Workload{KeyDistributor: "NO_KEY", SubscriptionsPerTopic: 1, WarmupDurationMinutes: 1, BacklogDrainRatio: 1}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(w); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, suggest(err)
	}
	if override != nil {
		override(w)
	}
	return w, w.valid()
}

// unknownKey is how the decoder says that a struct has no such field.
var unknownKey = regexp.MustCompile(`field (.+) not found in type .+`)

// suggest says of keys that are not known which ones may have been meant.
func suggest(err error) error {
	var mistakes *yaml.TypeError
	if !errors.As(err, &mistakes) {
		return err
	}
	known, marshalErr := (&Workload{}).values()
	if marshalErr != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(known))
	var list []error
	for _, mistake := range mistakes.Errors {
		if m := unknownKey.FindStringSubmatchIndex(mistake); m != nil {
			key := mistake[m[2]:m[3]]
			mistake = fmt.Sprintf("%sunknown key %q", mistake[:m[0]], key)
			if near := config.Nearest(key, keys); near != "" {
				mistake += "\n  did you mean: " + near
			}
		}
		list = append(list, errors.New(mistake))
	}
	return errors.Join(list...)
}

func (w *Workload) valid() error {
	var list []error
	between := func(key string, value, low, high float64) {
		if !(value >= low && value <= high) {
			list = append(list, fmt.Errorf("%s is %v; want %v to %v", key, value, low, high))
		}
	}
	between("topics", float64(w.Topics), 1, topicsMax)
	between("partitionsPerTopic", float64(w.PartitionsPerTopic), 1, topicsMax)
	between("messageSize", float64(w.MessageSize), 1, messageMax)
	between("producersPerTopic", float64(w.ProducersPerTopic), 1, clientsMax)
	between("subscriptionsPerTopic", float64(w.SubscriptionsPerTopic), 0, 1000)
	between("consumerPerSubscription", float64(w.ConsumerPerSubscription), 0, clientsMax)
	between("producerRate", w.ProducerRate, 0, load.RateMax)
	between("testDurationMinutes", w.TestDurationMinutes, 0, 1e6)
	if w.TestDurationMinutes == 0 {
		list = append(list, errors.New("testDurationMinutes is missing or 0; want how long to measure"))
	}
	between("warmupDurationMinutes", w.WarmupDurationMinutes, 0, 1e6)
	between("consumerBacklogSizeGB", w.ConsumerBacklogSizeGB, 0, 1e6)
	between("backlogDrainRatio", w.BacklogDrainRatio, 0, 1)
	between("randomBytesRatio", w.RandomBytesRatio, 0, 1)
	between("topics x (producersPerTopic + consumers)", float64(w.Topics)*float64(w.ProducersPerTopic+w.SubscriptionsPerTopic*w.ConsumerPerSubscription), 1, clientsMax)
	between("randomizedPayloadPoolSize", float64(w.RandomizedPayloadPoolSize), 0, 1e6)
	switch w.KeyDistributor {
	case "NO_KEY", "KEY_ROUND_ROBIN", "RANDOM_NANO":
	default:
		list = append(list, fmt.Errorf("keyDistributor is %q; want NO_KEY, KEY_ROUND_ROBIN or RANDOM_NANO", w.KeyDistributor))
	}
	if w.ConsumerBacklogSizeGB > 0 && w.ProducerRate == 0 {
		list = append(list, errors.New("consumerBacklogSizeGB needs a producerRate: a rate cannot be searched for while a backlog grows"))
	}
	if w.ConsumerBacklogSizeGB > 0 && w.Consumers() == 0 {
		list = append(list, errors.New("consumerBacklogSizeGB needs consumers"))
	}
	return errors.Join(list...)
}

// Settings are the values of all keys but those that results have fields of their own for.
func (w *Workload) Settings() (map[string]string, error) {
	settings, err := w.values()
	for _, key := range []string{"name", "messageSize", "topics", "partitionsPerTopic", "producersPerTopic", "consumerPerSubscription"} {
		delete(settings, key)
	}
	return settings, err
}

// values are those of all keys.
func (w *Workload) values() (map[string]string, error) {
	text, err := yaml.Marshal(w)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	return values, yaml.Unmarshal(text, values)
}

// Consumers is how many consumers there are for a topic.
func (w *Workload) Consumers() int { return w.SubscriptionsPerTopic * w.ConsumerPerSubscription }

// readPayload reads the payload. Upstream names files from the folder that holds both workloads and payloads.
func (w *Workload) readPayload(dir string) error {
	var err error
	for _, at := range []string{w.PayloadFile, filepath.Join(dir, w.PayloadFile), filepath.Join(filepath.Dir(dir), w.PayloadFile)} {
		if w.payload, err = os.ReadFile(at); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("payloadFile: %w", err)
	}
	if len(w.payload) != w.MessageSize {
		return fmt.Errorf("payloadFile %s has %d bytes, messageSize says %d", w.PayloadFile, len(w.payload), w.MessageSize)
	}
	return nil
}
