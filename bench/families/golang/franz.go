package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go, with kgo for members and kadm for the rest. The tests themselves write and read records with it, so that here it has groups alone.
type franz struct {
	groupsOnly
	address string
	admin   *kadm.Client
}

func newFranz(address string) (client, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return nil, err
	}
	return &franz{address: address, admin: kadm.NewClient(cl)}, nil
}

func (*franz) version() string { return "franz-go " + moduleVersion("github.com/twmb/franz-go") }

func franzError(err error) error {
	var code *kerr.Error
	if errors.As(err, &code) {
		return refusal{int(code.Code), err.Error()}
	}
	return err
}

type franzMember struct {
	client *kgo.Client
	topic  string
	stop   func()
	ended  chan struct{}
}

func (f *franz) join(c *command, to *notes) (member, error) {
	session, heartbeat := c.session()
	opts := []kgo.Opt{kgo.SeedBrokers(f.address), kgo.ConsumerGroup(c.Group), kgo.ConsumeTopics(c.Topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100 * time.Millisecond), kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(heartbeat), kgo.MetadataMinAge(100 * time.Millisecond), kgo.MetadataMaxAge(500 * time.Millisecond)}
	if c.How == "pattern" {
		opts = append(opts, kgo.ConsumeRegex())
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	m := &franzMember{client: cl, topic: c.Topic, ended: make(chan struct{})}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			records := cl.PollFetches(ctx).Records()
			for _, r := range records {
				to.note(r.Topic, r.Partition, r.Offset)
			}
			if len(records) > 0 {
				_ = cl.CommitRecords(context.Background(), records...) // refused where they have gone to another member, who reads them again
			}
			cl.AllowRebalance()
		}
	}()
	return m, nil
}

func (m *franzMember) pause() error {
	m.client.PauseFetchTopics(m.topic)
	return nil
}

func (m *franzMember) resume() error {
	m.client.ResumeFetchTopics(m.topic)
	return nil
}

func (m *franzMember) leave() error {
	m.stop()
	<-m.ended
	m.client.CloseAllowingRebalance()
	return nil
}

func (f *franz) lag(ctx context.Context, c *command) ([]int64, error) {
	found, err := f.admin.Lag(ctx, c.Group)
	if err == nil {
		err = found.Error()
	}
	if err != nil {
		return nil, franzError(err)
	}
	list := make([]int64, c.Partitions)
	for p := range list {
		list[p] = -1
		if at, ok := found[c.Group].Lag.Lookup(c.Topic, int32(p)); ok && at.Commit.At >= 0 {
			list[p] = at.Lag
		}
	}
	return list, nil
}

func (f *franz) groups(ctx context.Context) ([]string, error) {
	found, err := f.admin.ListGroups(ctx)
	return found.Groups(), franzError(err)
}

func (f *franz) describeGroup(ctx context.Context, group string) (state string, members int, err error) {
	found, err := f.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = found.Error()
	}
	return found[group].State, len(found[group].Members), franzError(err)
}

func (f *franz) setOffset(ctx context.Context, c *command) error {
	var to kadm.Offsets
	to.AddOffset(c.Topic, c.Partition, c.At, -1)
	done, err := f.admin.CommitOffsets(ctx, c.Group, to)
	if err == nil {
		err = done.Error()
	}
	return franzError(err)
}

func (f *franz) deleteOffset(ctx context.Context, c *command) error {
	var set kadm.TopicsSet
	set.Add(c.Topic, c.Partition)
	done, err := f.admin.DeleteOffsets(ctx, c.Group, set)
	if err == nil {
		err = done.Error()
	}
	return franzError(err)
}

func (f *franz) deleteGroup(ctx context.Context, group string) error {
	done, err := f.admin.DeleteGroup(ctx, group)
	if err == nil {
		err = done.Err
	}
	return franzError(err)
}

// groupsOnly has no way to do anything else.
type groupsOnly struct{}

func (groupsOnly) produce(context.Context, *command, []record) ([]int64, error) {
	return nil, errAbsent
}
func (groupsOnly) consume(context.Context, *command) ([]record, error)        { return nil, errAbsent }
func (groupsOnly) offsets(context.Context, *command) (offsets, error)         { return offsets{}, errAbsent }
func (groupsOnly) create(context.Context, *command) error                     { return errAbsent }
func (groupsOnly) take(context.Context, *command) ([][2]int64, error)         { return nil, errAbsent }
func (groupsOnly) remove(context.Context, string) error                       { return errAbsent }
func (groupsOnly) list(context.Context) ([]string, error)                     { return nil, errAbsent }
func (groupsOnly) describe(context.Context, string) ([]partition, error)      { return nil, errAbsent }
func (groupsOnly) grow(context.Context, string, int32) error                  { return errAbsent }
func (groupsOnly) configs(context.Context, string) (map[string]string, error) { return nil, errAbsent }
func (groupsOnly) setConfigs(context.Context, *command) error                 { return errAbsent }
func (groupsOnly) trim(context.Context, *command) (int64, error)              { return 0, errAbsent }
