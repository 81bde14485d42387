package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
)

// peer is one honest connection.
type peer struct {
	conn        net.Conn
	correlation int32
}

func dial(addr string) (*peer, error) {
	conn, err := net.DialTimeout("tcp", addr, hangMax)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &peer{conn: conn}, nil
}

// ask sends a request and reads its answer.
func (p *peer) ask(req kmsg.Request) (kmsg.Response, error) {
	p.correlation++
	_ = p.conn.SetDeadline(time.Now().Add(hangMax))
	what := kmsg.NameForKey(req.Key())
	if _, err := p.conn.Write(encode(req, p.correlation)); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	var head [8]byte
	if _, err := io.ReadFull(p.conn, head[:]); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	size := int32(binary.BigEndian.Uint32(head[:]))
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != p.correlation || size < 4 || size > answerMax {
		return nil, fmt.Errorf("%s: an answer of %d bytes with correlation id %d, not %d", what, size, got, p.correlation)
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(p.conn, body); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if resp.IsFlexible() && req.Key() != 18 {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return resp, nil
}

// witness is an honest client beside the attack. It produces a batch that it made up, fetches it, compares every byte, and measures.
type witness struct {
	peer  *peer
	stop  chan struct{}
	pause time.Duration

	times []time.Duration // of single requests
}

// witnessPause lies between two rounds: the witness measures the broker and should not be the load.
const witnessPause = time.Millisecond

func (w *witness) run() error {
	for n := uint64(0); ; n++ {
		select {
		case <-w.stop:
			return nil
		case <-time.After(w.pause):
		}
		if err := w.round(n); err != nil {
			return fmt.Errorf("honest client, round %d: %w", n, err)
		}
	}
}

func (w *witness) round(n uint64) error {
	b := batch.NewBuilder()
	b.Add(time.Now().UnixMilli(), binary.BigEndian.AppendUint64(nil, n), bytes.Repeat([]byte{byte(n)}, int(n%700)))
	records := b.Bytes()
	partition := int32(n % partitions)
	produce := kmsg.NewPtrProduceRequest()
	produce.SetVersion(9)
	produce.Acks, produce.TimeoutMillis = -1, 60_000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = topicHonest
	topic.Partitions = []kmsg.ProduceRequestTopicPartition{{Partition: partition, Records: slices.Clone(records)}}
	produce.Topics = append(produce.Topics, topic)
	began := time.Now()
	resp, err := w.peer.ask(produce)
	if err != nil {
		return err
	}
	w.times = append(w.times, time.Since(began))
	stored := &resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if stored.ErrorCode != 0 {
		return fmt.Errorf("produce is refused with %d", stored.ErrorCode)
	}
	return w.fetch(partition, stored.BaseOffset, records)
}

// fetch wants the records at an offset. A shard whose memory for polls is spent says so (78), and clients ask again.
func (w *witness) fetch(partition int32, from int64, records []byte) error {
	const offsetNotAvailable = 78
	req := kmsg.NewPtrFetchRequest()
	req.SetVersion(12)
	req.ReplicaID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, 1000, 1, 1<<12, -1
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = partition, from, 1
	part.CurrentLeaderEpoch, part.LastFetchedEpoch, part.LogStartOffset = -1, -1, -1
	req.Topics = []kmsg.FetchRequestTopic{{Topic: topicHonest, Partitions: []kmsg.FetchRequestTopicPartition{part}}}
	for {
		began := time.Now()
		resp, err := w.peer.ask(req)
		if err != nil {
			return err
		}
		w.times = append(w.times, time.Since(began))
		got := &resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if got.ErrorCode == offsetNotAvailable {
			continue
		}
		if got.ErrorCode != 0 {
			return fmt.Errorf("fetch of %d-%d is refused with %d", partition, from, got.ErrorCode)
		}
		// The broker gives a batch its offset and epoch; everything under the checksum is the client's.
		b := got.RecordBatches
		if len(b) < len(records) || int64(binary.BigEndian.Uint64(b)) != from || !bytes.Equal(b[atBatchCRC:len(records)], records[atBatchCRC:]) {
			return fmt.Errorf("%d-%d came back as %x, sent was %x", partition, from, b, records)
		}
		return nil
	}
}

// janitor deletes the topics that mutants created, so that what is left in the end is the broker's own doing. It returns how many.
func janitor(p *peer) (int, error) {
	everything := kmsg.NewPtrMetadataRequest()
	everything.SetVersion(8)
	everything.Topics = nil
	resp, err := p.ask(everything)
	if err != nil {
		return 0, fmt.Errorf("janitor: %w", err)
	}
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.SetVersion(5)
	remove.TimeoutMillis = int32(hangMax / time.Millisecond)
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		switch *t.Topic {
		case topicSource, topicSink, topicTrim, topicHonest:
		default:
			remove.TopicNames = append(remove.TopicNames, *t.Topic)
		}
	}
	if len(remove.TopicNames) == 0 {
		return 0, nil
	}
	if resp, err = p.ask(remove); err != nil {
		return 0, fmt.Errorf("janitor: %w", err)
	}
	for _, t := range resp.(*kmsg.DeleteTopicsResponse).Topics {
		if t.ErrorCode != 0 && t.ErrorCode != kerr.UnknownTopicOrPartition.Code { // a mutant may have been faster
			return 0, fmt.Errorf("janitor: delete topic %q: error %d", *t.Topic, t.ErrorCode)
		}
	}
	return len(remove.TopicNames), nil
}
