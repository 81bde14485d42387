package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// segmentioMember is a Reader of a group, which joins again by itself.
type segmentioMember struct {
	reader *kafka.Reader
	stop   func()
	ended  chan struct{}
}

func (s *segmentio) join(c *command, to *notes) (member, error) {
	if c.How == "pattern" {
		return nil, errAbsent
	}
	session, heartbeat := c.session()
	m := &segmentioMember{ended: make(chan struct{}), reader: kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{s.address}, GroupID: c.Group, Topic: c.Topic, StartOffset: kafka.FirstOffset,
		MaxWait: 100 * time.Millisecond, SessionTimeout: session, HeartbeatInterval: heartbeat, RebalanceTimeout: session, JoinGroupBackoff: heartbeat})}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	go func() {
		defer close(m.ended)
		for {
			r, err := m.reader.FetchMessage(ctx)
			if err != nil {
				return
			}
			to.note(r.Topic, int32(r.Partition), r.Offset)
			_ = m.reader.CommitMessages(ctx, r) // refused where the partition has gone to another member, who reads it again
		}
	}()
	return m, nil
}

func (*segmentioMember) pause() error  { return errAbsent }
func (*segmentioMember) resume() error { return errAbsent }

func (m *segmentioMember) leave() error {
	m.stop()
	<-m.ended
	return m.reader.Close()
}

func (s *segmentio) lag(ctx context.Context, c *command) ([]int64, error) {
	var list []int64
	for p := range int(c.Partitions) {
		resp, err := s.fresh().OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: c.Group, Topics: map[string][]int{c.Topic: {p}}})
		if err == nil {
			err = resp.Error
		}
		if err != nil {
			return nil, segmentioError(err)
		}
		at := resp.Topics[c.Topic][0]
		if at.Error != nil {
			return nil, segmentioError(at.Error)
		}
		if at.CommittedOffset < 0 {
			list = append(list, -1)
			continue
		}
		ends, err := s.listOffset(ctx, c, kafka.LastOffsetOf(p))
		if err != nil {
			return nil, err
		}
		list = append(list, ends.LastOffset-at.CommittedOffset)
	}
	return list, nil
}

func (s *segmentio) groups(ctx context.Context) ([]string, error) {
	cl := s.fresh()
	if _, err := cl.Metadata(ctx, &kafka.MetadataRequest{}); err != nil { // a list asks the brokers that are known, which may be none so far
		return nil, segmentioError(err)
	}
	resp, err := cl.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err == nil {
		err = resp.Error
	}
	if err != nil {
		return nil, segmentioError(err)
	}
	var list []string
	for _, g := range resp.Groups {
		list = append(list, g.GroupID)
	}
	return list, nil
}

func (s *segmentio) describeGroup(ctx context.Context, group string) (state string, members int, err error) {
	resp, err := s.fresh().DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err == nil {
		err = resp.Groups[0].Error
	}
	if err != nil {
		return "", 0, segmentioError(err)
	}
	return resp.Groups[0].GroupState, len(resp.Groups[0].Members), nil
}

func (s *segmentio) setOffset(ctx context.Context, c *command) error {
	resp, err := s.fresh().OffsetCommit(ctx, &kafka.OffsetCommitRequest{GroupID: c.Group, GenerationID: -1,
		Topics: map[string][]kafka.OffsetCommit{c.Topic: {{Partition: int(c.Partition), Offset: c.At}}}})
	if err == nil {
		err = resp.Topics[c.Topic][0].Error
	}
	return segmentioError(err)
}

func (s *segmentio) deleteOffset(ctx context.Context, c *command) error {
	resp, err := s.fresh().OffsetDelete(ctx, &kafka.OffsetDeleteRequest{GroupID: c.Group, Topics: map[string][]int{c.Topic: {int(c.Partition)}}})
	if err == nil {
		err = resp.Error
	}
	if err == nil {
		if len(resp.Topics[c.Topic]) != 1 {
			return fmt.Errorf("answered for %v", resp.Topics)
		}
		err = resp.Topics[c.Topic][0].Error
	}
	return segmentioError(err)
}

func (s *segmentio) deleteGroup(ctx context.Context, group string) error {
	resp, err := s.fresh().DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err == nil {
		err = resp.Errors[group]
	}
	return segmentioError(err)
}
