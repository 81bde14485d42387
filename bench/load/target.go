package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Target is a topic and who leads its partitions.
type Target struct {
	Topic   string
	Leaders []string // address of each partition's leader
}

// readyMax bounds the wait for a new topic to have leaders.
const readyMax = 60 * time.Second

// removeMax bounds the removal of a topic whose creation was cut short.
const removeMax = 5 * time.Second

// Create makes a topic and waits until every partition has a leader. With an error, also that of a context that ended, it leaves none behind.
func Create(ctx context.Context, client *kgo.Client, topic string, partitions int, configs map[string]*string) (target Target, err error) {
	admin := kadm.NewClient(client)
	reply, err := admin.CreateTopic(ctx, int32(partitions), -1, configs, topic)
	made := err == nil || reply.Err == nil && ctx.Err() != nil // of one that was interrupted nobody knows
	defer func() {
		if err == nil || !made {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeMax)
		defer cancel()
		_, _ = admin.DeleteTopic(ctx, topic) // best effort: the broker may be gone, or may not have made it
	}()
	if err != nil {
		if reply.ErrMessage != "" {
			return Target{}, fmt.Errorf("create topic %s: %w: %s", topic, err, reply.ErrMessage)
		}
		return Target{}, fmt.Errorf("create topic %s: %w", topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, readyMax)
	defer cancel()
	for {
		target, err := Find(ctx, client, topic)
		if err == nil && len(target.Leaders) == partitions {
			// A leader that metadata names may not know it yet; it answers for offsets only once it does.
			if _, _, err = Ends(ctx, client, target); err == nil {
				return target, nil
			}
		}
		if err != nil && !kerr.IsRetriable(err) && !errors.Is(err, errNoLeader) {
			return Target{}, err
		}
		select {
		case <-ctx.Done():
			return Target{}, fmt.Errorf("topic %s is not ready after %v: %w", topic, readyMax, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond): // between two looks at the metadata
		}
	}
}

var errNoLeader = errors.New("no leader")

// Find asks who leads the partitions of a topic. One that does not exist is kerr.UnknownTopicOrPartition.
func Find(ctx context.Context, client *kgo.Client, topic string) (Target, error) {
	request := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = kmsg.StringPtr(topic)
	request.Topics = append(request.Topics, one)
	reply, err := request.RequestWith(ctx, client)
	if err != nil {
		return Target{}, fmt.Errorf("metadata of topic %s: %w", topic, err)
	}
	addresses := map[int32]string{}
	for _, b := range reply.Brokers {
		addresses[b.NodeID] = fmt.Sprintf("%s:%d", b.Host, b.Port)
		if strings.Contains(b.Host, ":") {
			addresses[b.NodeID] = fmt.Sprintf("[%s]:%d", b.Host, b.Port)
		}
	}
	if len(reply.Topics) != 1 {
		return Target{}, fmt.Errorf("metadata of topic %s: %d topics", topic, len(reply.Topics))
	}
	t := reply.Topics[0]
	if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
		return Target{}, fmt.Errorf("topic %s: %w", topic, err)
	}
	target := Target{Topic: topic, Leaders: make([]string, len(t.Partitions))}
	for _, p := range t.Partitions {
		if int(p.Partition) >= len(t.Partitions) {
			return Target{}, fmt.Errorf("topic %s has partition %d of %d", topic, p.Partition, len(t.Partitions))
		}
		address, ok := addresses[p.Leader]
		if p.ErrorCode != 0 || !ok {
			return Target{}, fmt.Errorf("topic %s, partition %d: %w", topic, p.Partition, errNoLeader)
		}
		target.Leaders[p.Partition] = address
	}
	return target, nil
}

// Ends gives the first offsets and the ends of all partitions.
func Ends(ctx context.Context, client *kgo.Client, target Target) (starts, ends []int64, err error) {
	admin := kadm.NewClient(client)
	starts, err = listed(admin.ListStartOffsets(ctx, target.Topic))(target)
	if err != nil {
		return nil, nil, err
	}
	ends, err = listed(admin.ListEndOffsets(ctx, target.Topic))(target)
	return starts, ends, err
}

func listed(offsets kadm.ListedOffsets, err error) func(Target) ([]int64, error) {
	return func(target Target) ([]int64, error) {
		if err == nil {
			err = offsets.Error()
		}
		if err != nil {
			return nil, fmt.Errorf("offsets of topic %s: %w", target.Topic, err)
		}
		list := make([]int64, len(target.Leaders))
		for i := range list {
			o, ok := offsets.Lookup(target.Topic, int32(i))
			if !ok {
				return nil, fmt.Errorf("offsets of topic %s: none of partition %d", target.Topic, i)
			}
			list[i] = o.Offset
		}
		return list, nil
	}
}

// newProducer gets the identity of an idempotent producer.
func newProducer(ctx context.Context, client *kgo.Client) (producer, error) {
	request := kmsg.NewPtrInitProducerIDRequest()
	request.ProducerID, request.ProducerEpoch = -1, -1
	reply, err := request.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(reply.ErrorCode)
	}
	if err != nil {
		return producer{}, fmt.Errorf("producer id: %w", err)
	}
	return producer{true, reply.ProducerID, reply.ProducerEpoch}, nil
}

// seat is one connection: where it goes and which partitions it is for.
type seat struct {
	address    string
	partitions []int32
}

// seats deals partitions to connections: each connection goes to one leader, and for partitions that leader has. With more
// connections than partitions several share one; with fewer, each goes round its own.
func (t Target) seats(connections int) []seat {
	var addresses []string
	byLeader := map[string][]int32{}
	for i, address := range t.Leaders {
		if _, known := byLeader[address]; !known {
			addresses = append(addresses, address)
		}
		byLeader[address] = append(byLeader[address], int32(i))
	}
	connections = max(connections, len(addresses)) // a leader without a connection would have idle partitions
	list := make([]seat, connections)
	for i := range list {
		address := addresses[i%len(addresses)]
		own := byLeader[address]
		mine, of := i/len(addresses), (connections-i%len(addresses)+len(addresses)-1)/len(addresses)
		list[i] = seat{address: address}
		if of >= len(own) {
			list[i].partitions = []int32{own[mine%len(own)]}
			continue
		}
		for k := mine; k < len(own); k += of {
			list[i].partitions = append(list[i].partitions, own[k])
		}
	}
	return list
}
