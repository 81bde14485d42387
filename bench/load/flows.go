package load

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"pinion/disk/batch"
)

// kafkaError is a protocol's error code as an error.
func kafkaError(code int16) error { return kerr.ErrorForCode(code) }

// coalesceMax is how many bytes of small requests leave in one write.
const coalesceMax = 16 << 10

// producing sends one frame again and again. It belongs to one connection.
type producing struct {
	l          *loop
	frame      *produceFrame
	partitions []int32
	sequences  []int32 // next one of each partition
	turn       int
	payload    int64
	buffer     []byte
}

func (p *producing) fill(c *conn, now int64) []byte {
	if len(p.frame.bytes) > coalesceMax/2 {
		p.next(c, now)
		return p.frame.bytes
	}
	p.buffer = p.buffer[:0]
	for c.owed.len() > 0 && len(p.buffer) < coalesceMax {
		p.next(c, now)
		p.buffer = append(p.buffer, p.frame.bytes...)
	}
	return p.buffer
}

// next turns the frame into the next request and marks it as sent.
func (p *producing) next(c *conn, now int64) {
	f := c.owed.pop()
	i := p.turn % len(p.partitions)
	p.turn++
	f.sent, f.partition = now, p.partitions[i]
	p.frame.patch(c.correlation, f.partition, p.sequences[i], f.intended)
	p.sequences[i] += p.frame.records
	c.correlation++
	if p.l.open && p.l.measured(f.intended) {
		Record(&p.l.current.Delay, now-f.intended)
	}
	c.flying.push(f)
}

func (p *producing) answer(c *conn, f flight, frame []byte, now int64) error {
	code, err := produceError(frame)
	if err != nil {
		return err
	}
	if code != 0 {
		return fmt.Errorf("produce to partition %d: %w", f.partition, kafkaError(code))
	}
	from, counts := f.sent, p.l.measured(now)
	if counts { // in an open loop, too: what is answered later was not done in the time that it would be divided by
		p.l.current.Sent.add(Count{1, int64(p.frame.records), p.payload})
	}
	if p.l.open {
		from, counts = f.intended, p.l.measured(f.intended)
	}
	if counts {
		Record(&p.l.current.Latency, now-from)
	}
	if !p.l.open {
		p.l.again(c, now)
	}
	return nil
}

// fetching reads one partition from start to end, over and over, one request at a time. It belongs to one connection.
type fetching struct {
	l          *loop
	topic      string
	partition  int32
	start, end int64
	offset     int64
	bytesMax   int32
	waitMs     int32
	once       bool // stop at the end
	buffer     []byte
}

func (r *fetching) fill(c *conn, now int64) []byte {
	f := c.owed.pop()
	f.sent, f.partition = now, r.partition
	r.buffer = appendFetch(r.buffer[:0], c.correlation, r.topic, []want{{r.partition, r.offset}}, r.waitMs, 1, r.bytesMax, r.bytesMax)
	c.correlation++
	c.flying.push(f)
	return r.buffer
}

func (r *fetching) answer(c *conn, f flight, frame []byte, now int64) error {
	walk, err := openFetched(frame)
	if err != nil {
		return err
	}
	ok, err := walk.next()
	switch {
	case err != nil:
		return err
	case !ok:
		return errors.New("a Fetch response without the partition")
	case walk.code != 0:
		return fmt.Errorf("fetch partition %d at %d: %w", r.partition, r.offset, kafkaError(walk.code))
	}
	next, records, bytes, err := eachBatch(walk.records, r.offset, nil)
	if err != nil {
		return fmt.Errorf("fetch partition %d at %d: %w", r.partition, r.offset, err)
	}
	if r.l.measured(now) {
		r.l.current.Received.add(Count{1, records, bytes})
		Record(&r.l.current.Fetch, now-f.sent)
	}
	if next == r.offset && r.offset < r.end {
		return fmt.Errorf("fetch partition %d at %d of %d: no whole batch in %d bytes", r.partition, r.offset, r.end, walk.size)
	}
	r.offset = next
	if r.offset >= r.end {
		if r.once {
			return nil
		}
		r.offset = r.start
	}
	r.l.again(c, now)
	return nil
}

// tailing waits for records of several partitions and reads their stamps. It belongs to one connection.
type tailing struct {
	l        *loop
	topic    string
	wants    []want
	value    int // of a stamped record, in bytes; 0: no stamps
	received int64
	buffer   []byte
}

// Of a tail's fetch: how long the broker may wait, and how much it may give.
const (
	tailWaitMs   = 500
	tailBytesMax = 8 << 20
)

func (r *tailing) fill(c *conn, now int64) []byte {
	f := c.owed.pop()
	f.sent = now
	r.buffer = appendFetch(r.buffer[:0], c.correlation, r.topic, r.wants, tailWaitMs, 1, tailBytesMax, tailBytesMax)
	c.correlation++
	c.flying.push(f)
	return r.buffer
}

func (r *tailing) answer(c *conn, _ flight, frame []byte, now int64) error {
	walk, err := openFetched(frame)
	if err != nil {
		return err
	}
	for {
		ok, err := walk.next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := r.partition(&walk, now); err != nil {
			return err
		}
	}
	c.owed.push(flight{intended: now})
	return nil
}

func (r *tailing) partition(walk *fetched, now int64) error {
	w := r.find(walk.index)
	if w == nil {
		return fmt.Errorf("partition %d was not asked for", walk.index)
	}
	if walk.code != 0 {
		return fmt.Errorf("fetch partition %d at %d: %w", w.index, w.offset, kafkaError(walk.code))
	}
	next, records, bytes, err := eachBatch(walk.records, w.offset, func(b []byte) {
		if r.value == 0 || len(b) < batch.HeaderSize+r.value {
			return
		}
		stamp := int64(binary.BigEndian.Uint64(b[len(b)-1-r.value:]))
		if r.l.measured(stamp) {
			Record(&r.l.current.EndToEnd, now-stamp)
		}
	})
	if err != nil {
		return fmt.Errorf("fetch partition %d at %d: %w", w.index, w.offset, err)
	}
	w.offset = next
	r.received += records
	if records > 0 && r.l.measured(now) {
		r.l.current.Received.add(Count{1, records, bytes})
	}
	return nil
}

func (r *tailing) find(index int32) *want {
	for i := range r.wants {
		if r.wants[i].index == index {
			return &r.wants[i]
		}
	}
	return nil
}

// Of a batch header; see the picture in disk/batch.
const (
	atBatchLength = 8
	atBatchLast   = 23
	atBatchCount  = 57
)

// eachBatch walks the whole batches of a fetch that asked for an offset: it checks that they lie in order and gives the offset
// behind the last one. A batch that was cut off at the end is left out.
func eachBatch(b []byte, from int64, visit func([]byte)) (next, records, bytes int64, err error) {
	next = from
	for len(b) >= batch.HeaderSize {
		size := batch.Overhead + int(int32(binary.BigEndian.Uint32(b[atBatchLength:])))
		if size < batch.HeaderSize {
			return next, records, bytes, fmt.Errorf("a batch of %d bytes", size)
		}
		if size > len(b) {
			break
		}
		first := int64(binary.BigEndian.Uint64(b))
		last := first + int64(int32(binary.BigEndian.Uint32(b[atBatchLast:])))
		if last < next {
			return next, records, bytes, fmt.Errorf("a batch of [%d, %d] where %d was due", first, last, next)
		}
		records += int64(int32(binary.BigEndian.Uint32(b[atBatchCount:])))
		bytes += int64(size)
		next = last + 1
		if visit != nil {
			visit(b[:size])
		}
		b = b[size:]
	}
	return next, records, bytes, nil
}
