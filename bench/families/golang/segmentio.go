package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	_ "github.com/segmentio/kafka-go/gzip" // codecs register themselves
	_ "github.com/segmentio/kafka-go/lz4"
	_ "github.com/segmentio/kafka-go/snappy"
	_ "github.com/segmentio/kafka-go/zstd"
)

// segmentio is kafka-go. Its Writer and Client negotiate versions; its Reader speaks the old ones of its Conn.
type segmentio struct{ address string }

func newSegmentio(address string) (client, error) { return &segmentio{address}, nil }

// fresh makes a client that has cached nothing: a Transport answers for metadata from what it saw last, and for it a topic that
// somebody else created or deleted a moment ago is unknown, or still there.
func (s *segmentio) fresh() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(s.address), Timeout: wait, Transport: &kafka.Transport{IdleTimeout: time.Second}}
}

func (s *segmentio) version() string {
	return "kafka-go " + moduleVersion("github.com/segmentio/kafka-go")
}

// segmentioError finds the error code of Kafka's in what kafka-go returned. A request that the broker does not advertise is sent
// all the same, and its connection closed.
func segmentioError(err error) error {
	var many kafka.WriteErrors
	if errors.As(err, &many) {
		for _, each := range many {
			if each != nil {
				return segmentioError(each)
			}
		}
	}
	var code kafka.Error
	var large kafka.MessageTooLargeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &code):
		return refusal{int(code), err.Error()}
	case errors.As(err, &large):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("connection closed: %w", err)
	}
	return err
}

// sent is what a message carries through the Writer.
type sent struct{ number, partition int }

func (s *segmentio) produce(ctx context.Context, c *command, records []record) ([]int64, error) {
	byPartition := kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(sent).partition })
	w := &kafka.Writer{
		Addr: kafka.TCP(s.address), Topic: c.Topic, Balancer: byPartition, Transport: s.fresh().Transport,
		RequiredAcks: map[string]kafka.RequiredAcks{"0": kafka.RequireNone, "1": kafka.RequireOne, "all": kafka.RequireAll}[c.Acks],
		Compression: map[string]kafka.Compression{"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4,
			"zstd": compress.Zstd}[c.Codec],
		BatchTimeout: 5 * time.Millisecond, MaxAttempts: 3, AllowAutoTopicCreation: true,
	}
	offsets := make([]int64, len(records))
	w.Completion = func(messages []kafka.Message, err error) {
		for _, m := range messages {
			if err == nil {
				offsets[m.WriterData.(sent).number] = m.Offset
			}
		}
	}
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		m := kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp), WriterData: sent{i, int(r.Partition)}}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		messages[i], offsets[i] = m, -1
	}
	err := w.WriteMessages(ctx, messages...)
	if closing := w.Close(); err == nil {
		err = closing
	}
	if c.Acks == "0" {
		for i := range offsets {
			offsets[i] = -1
		}
	}
	return offsets, segmentioError(err)
}

func (s *segmentio) consume(ctx context.Context, c *command) ([]record, error) {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{s.address}, Topic: c.Topic, Partition: int(c.Partition),
		MinBytes: 1, MaxBytes: 4 << 20, MaxWait: 100 * time.Millisecond, OffsetOutOfRangeError: true,
	})
	defer r.Close()
	var err error
	switch c.Start {
	case "earliest":
		err = r.SetOffset(kafka.FirstOffset)
	case "latest":
		err = r.SetOffset(kafka.LastOffset)
	case "offset":
		err = r.SetOffset(c.At)
	case "timestamp":
		err = r.SetOffsetAt(ctx, time.UnixMilli(c.At))
	}
	if err != nil {
		return nil, segmentioError(err)
	}
	var got []record
	for len(got) < c.Count {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return nil, segmentioError(fmt.Errorf("after %d of %d records: %w", len(got), c.Count, err))
		}
		one := record{Partition: int32(m.Partition), Offset: m.Offset, Timestamp: m.Time.UnixMilli(), Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			one.Headers = append(one.Headers, header{h.Key, h.Value})
		}
		got = append(got, one)
	}
	return got, nil
}

// take joins a group, takes some records, commits each, and leaves.
func (s *segmentio) take(ctx context.Context, c *command) ([][2]int64, error) {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{s.address}, GroupID: c.Group, Topic: c.Topic, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond, SessionTimeout: 6 * time.Second, HeartbeatInterval: 200 * time.Millisecond})
	var taken [][2]int64
	var err error
	for len(taken) < c.Count && err == nil {
		var m kafka.Message
		if m, err = r.FetchMessage(ctx); err == nil {
			if err = r.CommitMessages(ctx, m); err == nil {
				taken = append(taken, [2]int64{int64(m.Partition), m.Offset})
			}
		}
	}
	if closing := r.Close(); err == nil {
		err = closing
	}
	return taken, segmentioError(err)
}

func (s *segmentio) offsets(ctx context.Context, c *command) (offsets, error) {
	out := offsets{}
	first, err := s.listOffset(ctx, c, kafka.FirstOffsetOf(int(c.Partition)), kafka.LastOffsetOf(int(c.Partition)))
	if err != nil {
		return out, err
	}
	out.Earliest, out.Latest, out.At = first.FirstOffset, first.LastOffset, []int64{}
	for _, t := range c.Times {
		found, err := s.listOffset(ctx, c, kafka.TimeOffsetOf(int(c.Partition), time.UnixMilli(t)))
		if err != nil {
			return out, err
		}
		at := int64(-1)
		for o := range found.Offsets {
			at = o
		}
		out.At = append(out.At, at)
	}
	return out, nil
}

func (s *segmentio) listOffset(ctx context.Context, c *command, asked ...kafka.OffsetRequest) (kafka.PartitionOffsets, error) {
	resp, err := s.fresh().ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{c.Topic: asked}})
	if err != nil {
		return kafka.PartitionOffsets{}, segmentioError(err)
	}
	found := resp.Topics[c.Topic][0]
	return found, segmentioError(found.Error)
}

func (s *segmentio) create(ctx context.Context, c *command) error {
	topic := kafka.TopicConfig{Topic: c.Topic, NumPartitions: int(c.Partitions), ReplicationFactor: 1}
	for name, value := range c.Configs {
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: *value})
	}
	resp, err := s.fresh().CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}, ValidateOnly: c.Dry})
	if err == nil {
		err = resp.Errors[c.Topic]
	}
	return segmentioError(err)
}

func (s *segmentio) remove(ctx context.Context, topic string) error {
	resp, err := s.fresh().DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err == nil {
		err = resp.Errors[topic]
	}
	return segmentioError(err)
}

func (s *segmentio) metadata(ctx context.Context, topics ...string) ([]kafka.Topic, error) {
	resp, err := s.fresh().Metadata(ctx, &kafka.MetadataRequest{Topics: topics})
	if err != nil {
		return nil, segmentioError(err)
	}
	return resp.Topics, nil
}

func (s *segmentio) list(ctx context.Context) ([]string, error) {
	topics, err := s.metadata(ctx)
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	return names, err
}

func (s *segmentio) describe(ctx context.Context, topic string) ([]partition, error) {
	topics, err := s.metadata(ctx, topic)
	if err != nil {
		return nil, err
	}
	if topics[0].Error != nil {
		return nil, segmentioError(topics[0].Error)
	}
	var out []partition
	for _, p := range topics[0].Partitions {
		one := partition{ID: int32(p.ID), Leader: int32(p.Leader.ID)}
		for _, r := range p.Replicas {
			one.Replicas = append(one.Replicas, int32(r.ID))
		}
		out = append(out, one)
	}
	return out, nil
}

func (s *segmentio) grow(ctx context.Context, topic string, partitions int32) error {
	resp, err := s.fresh().CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: partitions}},
	})
	if err == nil {
		err = resp.Errors[topic]
	}
	return segmentioError(err)
}

func (s *segmentio) configs(ctx context.Context, topic string) (map[string]string, error) {
	resp, err := s.fresh().DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}},
	})
	if err == nil {
		err = resp.Resources[0].Error
	}
	if err != nil {
		return nil, segmentioError(err)
	}
	out := map[string]string{}
	for _, e := range resp.Resources[0].ConfigEntries {
		out[e.ConfigName] = e.ConfigValue
	}
	return out, nil
}

func (s *segmentio) setConfigs(ctx context.Context, c *command) error {
	if c.How == "replace" {
		return s.replaceConfigs(ctx, c)
	}
	var entries []kafka.IncrementalAlterConfigsRequestConfig
	for name, value := range c.Configs {
		entry := kafka.IncrementalAlterConfigsRequestConfig{Name: name, ConfigOperation: kafka.ConfigOperationDelete}
		if value != nil {
			entry.Value, entry.ConfigOperation = *value, kafka.ConfigOperationSet
		}
		entries = append(entries, entry)
	}
	resp, err := s.fresh().IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: c.Topic, Configs: entries}},
	})
	if err == nil {
		err = resp.Resources[0].Error
	}
	return segmentioError(err)
}

func (s *segmentio) replaceConfigs(ctx context.Context, c *command) error {
	var entries []kafka.AlterConfigRequestConfig
	for name, value := range c.Configs {
		entries = append(entries, kafka.AlterConfigRequestConfig{Name: name, Value: *value})
	}
	resp, err := s.fresh().AlterConfigs(ctx, &kafka.AlterConfigsRequest{
		Resources: []kafka.AlterConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: c.Topic, Configs: entries}},
	})
	if err != nil {
		return segmentioError(err)
	}
	for _, err := range resp.Errors {
		if err != nil {
			return segmentioError(err)
		}
	}
	return nil
}

func (s *segmentio) trim(context.Context, *command) (int64, error) { return 0, errAbsent }
