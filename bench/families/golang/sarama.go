package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// Sarama speaks as the Kafka version it is told. The newest makes it ask for the newest versions of everything; 2.1 is the oldest
// that Apache Kafka 4 serves.
var (
	saramaNewest = sarama.MaxVersion
	saramaOldest = sarama.V2_1_0_0
)

type saramaClient struct {
	address string
	speaks  sarama.KafkaVersion
	client  sarama.Client
	admin   sarama.ClusterAdmin
}

func newSarama(address string, speaks sarama.KafkaVersion) (client, error) {
	s := &saramaClient{address: address, speaks: speaks}
	var err error
	if s.client, err = sarama.NewClient([]string{address}, s.config()); err != nil {
		return nil, err
	}
	s.admin, err = sarama.NewClusterAdminFromClient(s.client)
	return s, err
}

func (s *saramaClient) config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = s.speaks
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Consumer.Return.Errors = true
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Metadata.Retry.Backoff = 50 * time.Millisecond
	return c
}

func (s *saramaClient) version() string {
	return fmt.Sprintf("sarama %s speaking %s", moduleVersion("github.com/IBM/sarama"), s.speaks)
}

// moduleVersion is the version of a library in this binary.
func moduleVersion(path string) string {
	info, _ := debug.ReadBuildInfo()
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}

// saramaError finds the error code of Kafka's in what sarama returned.
func saramaError(err error) error {
	var code sarama.KError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, sarama.ErrUnsupportedVersion):
		return unsupported{err}
	case errors.As(err, &code):
		return refusal{int(code), err.Error()}
	}
	return err
}

func (s *saramaClient) produce(ctx context.Context, c *command, records []record) ([]int64, error) {
	config := s.config()
	config.Producer.RequiredAcks = map[string]sarama.RequiredAcks{"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}[c.Acks]
	config.Producer.Compression = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}[c.Codec]
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	if config.Producer.Idempotent = c.Idempotent; c.Idempotent {
		config.Net.MaxOpenRequests = 1
	}
	p, err := sarama.NewSyncProducer([]string{s.address}, config)
	if err != nil {
		return nil, saramaError(err)
	}
	defer p.Close()
	messages := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		m := &sarama.ProducerMessage{Topic: c.Topic, Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp)}
		if r.Key != nil {
			m.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			m.Value = sarama.ByteEncoder(r.Value)
		}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		messages[i] = m
	}
	if err := p.SendMessages(messages); err != nil {
		var each sarama.ProducerErrors
		if errors.As(err, &each) && len(each) > 0 {
			return nil, saramaError(each[0].Err)
		}
		return nil, saramaError(err)
	}
	offsets := make([]int64, len(messages))
	for i, m := range messages {
		if offsets[i] = m.Offset; c.Acks == "0" {
			offsets[i] = -1
		}
	}
	return offsets, nil
}

func (s *saramaClient) consume(ctx context.Context, c *command) ([]record, error) {
	consumer, err := sarama.NewConsumerFromClient(s.client)
	if err != nil {
		return nil, saramaError(err)
	}
	defer consumer.Close()
	at := c.At
	switch c.Start {
	case "earliest":
		at = sarama.OffsetOldest
	case "latest":
		at = sarama.OffsetNewest
	case "timestamp":
		if at, err = s.client.GetOffset(c.Topic, c.Partition, c.At); err != nil {
			return nil, saramaError(err)
		}
	}
	pc, err := consumer.ConsumePartition(c.Topic, c.Partition, at)
	if err != nil {
		return nil, saramaError(err)
	}
	defer pc.AsyncClose()
	var got []record
	for len(got) < c.Count {
		select {
		case m := <-pc.Messages():
			r := record{Partition: m.Partition, Offset: m.Offset, Timestamp: m.Timestamp.UnixMilli(), Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				r.Headers = append(r.Headers, header{string(h.Key), h.Value})
			}
			got = append(got, r)
		case e := <-pc.Errors():
			return nil, saramaError(e.Err)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d records: %w", len(got), c.Count, ctx.Err())
		}
	}
	return got, nil
}

// take joins a group, takes some records, commits each, and leaves.
func (s *saramaClient) take(ctx context.Context, c *command) ([][2]int64, error) {
	config := s.config()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout, config.Consumer.Group.Heartbeat.Interval = 6*time.Second, 200*time.Millisecond
	member, err := sarama.NewConsumerGroup([]string{s.address}, c.Group, config)
	if err != nil {
		return nil, saramaError(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &saramaTaker{count: c.Count, enough: cancel}
	for len(t.taken) < c.Count && err == nil {
		if err = member.Consume(ctx, []string{c.Topic}, t); err == nil && len(t.taken) < c.Count {
			err = ctx.Err()
		}
	}
	if len(t.taken) >= c.Count {
		err = nil
	}
	if closing := member.Close(); err == nil {
		err = closing
	}
	return t.taken, saramaError(err)
}

// saramaTaker takes what a member is handed. Each partition has a goroutine of its own.
type saramaTaker struct {
	mu     sync.Mutex
	taken  [][2]int64
	count  int
	enough func()
}

func (*saramaTaker) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*saramaTaker) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (t *saramaTaker) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok || !t.take(session, m) {
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (t *saramaTaker) take(session sarama.ConsumerGroupSession, m *sarama.ConsumerMessage) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.taken) >= t.count || session.Context().Err() != nil {
		return false
	}
	session.MarkMessage(m, "")
	session.Commit()
	t.taken = append(t.taken, [2]int64{int64(m.Partition), m.Offset})
	if len(t.taken) == t.count {
		t.enough()
	}
	return true
}

func (s *saramaClient) offsets(_ context.Context, c *command) (offsets, error) {
	out := offsets{At: []int64{}}
	for _, t := range append([]int64{sarama.OffsetOldest, sarama.OffsetNewest}, c.Times...) {
		o, err := s.client.GetOffset(c.Topic, c.Partition, t)
		if err != nil {
			return out, saramaError(err)
		}
		out.At = append(out.At, o)
	}
	out.Earliest, out.Latest, out.At = out.At[0], out.At[1], out.At[2:]
	return out, nil
}

func (s *saramaClient) create(_ context.Context, c *command) error {
	detail := &sarama.TopicDetail{NumPartitions: c.Partitions, ReplicationFactor: 1, ConfigEntries: c.Configs}
	err := s.admin.CreateTopic(c.Topic, detail, c.Dry)
	var refused *sarama.TopicError
	if errors.As(err, &refused) {
		return saramaError(refused.Err)
	}
	return saramaError(err)
}

func (s *saramaClient) remove(_ context.Context, topic string) error {
	return saramaError(s.admin.DeleteTopic(topic))
}

func (s *saramaClient) list(context.Context) ([]string, error) {
	// ListTopics of the admin also describes every topic's configuration; the client's own list asks for metadata alone.
	if err := s.client.RefreshMetadata(); err != nil {
		return nil, saramaError(err)
	}
	topics, err := s.client.Topics()
	return topics, saramaError(err)
}

func (s *saramaClient) describe(_ context.Context, topic string) ([]partition, error) {
	list, err := s.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, saramaError(err)
	}
	if list[0].Err != sarama.ErrNoError {
		return nil, saramaError(list[0].Err)
	}
	var out []partition
	for _, p := range list[0].Partitions {
		out = append(out, partition{p.ID, p.Leader, p.Replicas})
	}
	return out, nil
}

func (s *saramaClient) grow(_ context.Context, topic string, partitions int32) error {
	err := s.admin.CreatePartitions(topic, partitions, nil, false)
	var refused *sarama.TopicPartitionError
	if errors.As(err, &refused) {
		return saramaError(refused.Err)
	}
	return saramaError(err)
}

func (s *saramaClient) configs(_ context.Context, topic string) (map[string]string, error) {
	entries, err := s.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	if err != nil {
		return nil, saramaError(err)
	}
	out := map[string]string{}
	for _, e := range entries {
		out[e.Name] = e.Value
	}
	return out, nil
}

func (s *saramaClient) setConfigs(_ context.Context, c *command) error {
	if c.How == "replace" {
		return saramaError(s.admin.AlterConfig(sarama.TopicResource, c.Topic, c.Configs, false))
	}
	if !s.speaks.IsAtLeast(sarama.V2_3_0_0) {
		return errAbsent // the request came with Kafka 2.3
	}
	entries := map[string]sarama.IncrementalAlterConfigsEntry{}
	for name, value := range c.Configs {
		entry := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: value}
		if value == nil {
			entry.Operation = sarama.IncrementalAlterConfigsOperationDelete
		}
		entries[name] = entry
	}
	return saramaError(s.admin.IncrementalAlterConfig(sarama.TopicResource, c.Topic, entries, false))
}

func (s *saramaClient) trim(_ context.Context, c *command) (int64, error) {
	if err := s.admin.DeleteRecords(c.Topic, map[int32]int64{c.Partition: c.At}); err != nil {
		return 0, saramaError(err)
	}
	earliest, err := s.client.GetOffset(c.Topic, c.Partition, sarama.OffsetOldest)
	return earliest, saramaError(err)
}
