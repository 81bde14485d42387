package main

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
)

// saramaMember joins again whenever its session is over.
type saramaMember struct {
	group sarama.ConsumerGroup
	to    *notes
	stop  func()
	ended chan struct{}
}

func (s *saramaClient) join(c *command, to *notes) (member, error) {
	if c.How == "pattern" {
		return nil, errAbsent
	}
	config := s.config()
	config.Consumer.Return.Errors = false // they are logged, and the member goes on
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout, config.Consumer.Group.Heartbeat.Interval = c.session()
	config.Consumer.Group.Rebalance.Retry.Backoff = config.Consumer.Group.Heartbeat.Interval
	group, err := sarama.NewConsumerGroup([]string{s.address}, c.Group, config)
	if err != nil {
		return nil, saramaError(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &saramaMember{group: group, to: to, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			_ = group.Consume(ctx, []string{c.Topic}, m) // what fails is tried again
		}
	}()
	return m, nil
}

func (*saramaMember) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (*saramaMember) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, open := <-claim.Messages():
			if !open || session.Context().Err() != nil {
				return nil
			}
			m.to.note(r.Topic, r.Partition, r.Offset)
			session.MarkMessage(r, "")
			session.Commit()
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *saramaMember) pause() error {
	m.group.PauseAll()
	return nil
}

func (m *saramaMember) resume() error {
	m.group.ResumeAll()
	return nil
}

func (m *saramaMember) leave() error {
	m.stop()
	<-m.ended
	return m.group.Close()
}

func (s *saramaClient) lag(_ context.Context, c *command) ([]int64, error) {
	all := make([]int32, c.Partitions)
	for i := range all {
		all[i] = int32(i)
	}
	found, err := s.admin.ListConsumerGroupOffsets(c.Group, map[string][]int32{c.Topic: all})
	if err != nil {
		return nil, saramaError(err)
	}
	var list []int64
	for _, p := range all {
		block := found.GetBlock(c.Topic, p)
		if block == nil || block.Err != sarama.ErrNoError {
			return nil, fmt.Errorf("partition %d: %+v", p, block)
		}
		if block.Offset < 0 {
			list = append(list, -1)
			continue
		}
		end, err := s.client.GetOffset(c.Topic, p, sarama.OffsetNewest)
		if err != nil {
			return nil, saramaError(err)
		}
		list = append(list, end-block.Offset)
	}
	return list, nil
}

func (s *saramaClient) groups(context.Context) ([]string, error) {
	found, err := s.admin.ListConsumerGroups()
	var list []string
	for name := range found {
		list = append(list, name)
	}
	return list, saramaError(err)
}

func (s *saramaClient) describeGroup(_ context.Context, group string) (state string, members int, err error) {
	found, err := s.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", 0, saramaError(err)
	}
	if found[0].Err != sarama.ErrNoError {
		return "", 0, saramaError(found[0].Err)
	}
	return found[0].State, len(found[0].Members), nil
}

func (s *saramaClient) setOffset(_ context.Context, c *command) error {
	resp, err := s.admin.AlterConsumerGroupOffsets(c.Group, map[string]map[int32]sarama.OffsetAndMetadata{
		c.Topic: {c.Partition: {Offset: c.At, LeaderEpoch: -1}}}, nil)
	if err != nil {
		return saramaError(err)
	}
	for _, partitions := range resp.Errors {
		for _, code := range partitions {
			if code != sarama.ErrNoError {
				return saramaError(code)
			}
		}
	}
	return nil
}

func (s *saramaClient) deleteOffset(_ context.Context, c *command) error {
	if !s.speaks.IsAtLeast(sarama.V2_4_0_0) {
		return errAbsent // the request came with Kafka 2.4
	}
	return saramaError(s.admin.DeleteConsumerGroupOffset(c.Group, c.Topic, c.Partition))
}

func (s *saramaClient) deleteGroup(_ context.Context, group string) error {
	return saramaError(s.admin.DeleteConsumerGroup(group))
}
