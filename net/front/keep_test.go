package front

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/placement"
)

var keepSeed = flag.Uint64("keep.seed", 0, "seed of TestPollsGoOnFromTheLast; 0 takes one from the clock")

// history is what was sent to each partition, one record a batch: the batch at an offset is the one at that place.
type history struct {
	sync.Mutex
	batches [][][]byte
}

func (l *history) add(index int32, b []byte) {
	l.Lock()
	defer l.Unlock()
	l.batches[index] = append(l.batches[index], b)
}

// take checks what was read from an offset on and returns the next one. The last batch may be cut.
func (l *history) take(index int32, offset int64, got []byte) (int64, error) {
	l.Lock()
	defer l.Unlock()
	from := offset
	for len(got) > 0 {
		if offset >= int64(len(l.batches[index])) {
			return 0, fmt.Errorf("partition %d: %d bytes at %d, where nothing was sent", index, len(got), offset)
		}
		want := stamped(l.batches[index][offset], offset, 0)
		if n := min(len(want), len(got)); !bytes.Equal(got[:n], want[:n]) || n < len(want) && offset == from {
			return 0, fmt.Errorf("partition %d: asked from %d, what is at %d is not what was sent", index, from, offset)
		} else if n < len(want) {
			break
		}
		got, offset = got[len(want):], offset+1
	}
	return offset, nil
}

// reader polls all partitions of a topic on one connection, which it breaks off now and then, with or without a session.
type reader struct {
	rng      *rand.Rand
	addr     string
	topic    *placement.Topic
	sent     *history
	sessions bool
	c        *client
	version  int16
	id       int32
	epoch    int32
	next     []int64 // of each partition
}

func (r *reader) dial() error {
	if r.c != nil {
		r.c.conn.Close()
	}
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		return err
	}
	r.c = &client{conn: conn, form: kmsg.NewRequestFormatter(kmsg.FormatterClientID("reader"))}
	r.version = []int16{4, 11, 12, 13, 18}[r.rng.IntN(5)]
	r.id, r.epoch = 0, -1
	if r.sessions {
		r.version, r.epoch = max(r.version, 7), 0
	}
	return nil
}

// poll asks for what is next of some partitions, or of all in a session, and takes it.
func (r *reader) poll(wait time.Duration, bytesMin, bytesMax int32, indexes []int32) error {
	var parts []at
	for _, i := range indexes {
		parts = append(parts, at{topic: r.topic, index: i, offset: r.next[i], max: 1 << 20})
	}
	req := fetchRequest(wait, bytesMin, bytesMax, parts...)
	req.SessionID, req.SessionEpoch = r.id, r.epoch
	resp, err := r.c.exchange(req, r.version)
	if err != nil {
		return err
	}
	if f := resp.(*kmsg.FetchResponse); r.sessions {
		if f.ErrorCode != 0 {
			return fmt.Errorf("session: error %d", f.ErrorCode)
		}
		r.id, r.epoch = f.SessionID, r.epoch+1
	}
	for _, p := range fetched(resp) {
		if p.ErrorCode != 0 {
			return fmt.Errorf("partition %d at %d: error %d", p.Partition, r.next[p.Partition], p.ErrorCode)
		}
		if r.next[p.Partition], err = r.sent.take(p.Partition, r.next[p.Partition], p.RecordBatches); err != nil {
			return err
		}
	}
	return nil
}

// step does one of what consumers do.
func (r *reader) step() error {
	all := []int32{0, 1, 2, 3, 4, 5}
	wait := []time.Duration{0, 3 * time.Millisecond, 40 * time.Millisecond, 300 * time.Millisecond}[r.rng.IntN(4)]
	switch roll := r.rng.IntN(100); {
	case roll < 3: // gone, with or without a poll under way
		if roll == 0 {
			req := fetchRequest(time.Second, 1<<20, 1<<20, at{topic: r.topic, index: 1, offset: r.next[1], max: 1 << 20})
			req.SetVersion(12)
			if _, err := r.c.conn.Write(r.c.form.AppendRequest(nil, req, 1<<20)); err != nil {
				return err
			}
		}
		return r.dial()
	case roll < 8: // thinks, for longer than anything is kept
		time.Sleep(time.Duration(r.rng.IntN(30)) * time.Millisecond)
	case roll < 14: // seeks
		i := r.rng.IntN(len(all))
		r.next[i] = r.rng.Int64N(r.next[i] + 1)
	case roll < 20 && !r.sessions: // leaves some out
		r.rng.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
		all = all[:1+r.rng.IntN(5)]
		slices.Sort(all)
	case roll < 26:
		return r.poll(wait, 1+r.rng.Int32N(4000), 1<<20, all)
	case roll < 32:
		return r.poll(wait, 1, 1+r.rng.Int32N(4000), all)
	}
	return r.poll(wait, 1, 1<<20, all)
}

// TestPollsGoOnFromTheLast: consumers that poll, seek, wait, think and go away read every record where it is, while waiters and spans are left
// from poll to poll; and in the end nothing of theirs is left.
func TestPollsGoOnFromTheLast(t *testing.T) {
	const sends, readers, partitions = 3000, 6, 6
	seed := *keepSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-keep.seed=%d", seed)
	n := startNode(t, 3)
	topic := n.create("kept", partitions, nil)
	l := &history{batches: make([][][]byte, partitions)}
	over := make(chan struct{})
	var all sync.WaitGroup
	read := make([]*reader, readers)
	for i := range read {
		r := &reader{rng: rand.New(rand.NewPCG(seed, uint64(i))), addr: n.addr, topic: topic, sent: l, sessions: i%2 == 0, next: make([]int64, partitions)}
		read[i] = r
		if err := r.dial(); err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := r.step(); err != nil {
					t.Errorf("reader %d: %v", i, err)
					return
				}
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, readers))
	writers := []*client{n.dialHome(0), n.dialHome(1), n.dialHome(2)}
	for i := range int64(sends) {
		b := records(i, 1, 8+rng.IntN(300))
		index := rng.Int32N(partitions)
		l.add(index, b)
		writers[rng.IntN(3)].produced(at{topic: topic, index: index, records: b})
		if rng.IntN(4) == 0 { // so that polls have to wait as well as not
			time.Sleep(time.Duration(rng.IntN(2000)) * time.Microsecond)
		}
	}
	close(over)
	all.Wait()
	if t.Failed() {
		return
	}
	for i, r := range read {
		for deadline := time.Now().Add(20 * time.Second); ; {
			var behind []int32
			for p := range r.next {
				if int(r.next[p]) < len(l.batches[p]) {
					behind = append(behind, int32(p))
				}
			}
			if len(behind) == 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("reader %d: partitions %v do not come to their end: %v", i, behind, r.next)
			}
			if err := r.poll(time.Second, 1, 1<<20, []int32{0, 1, 2, 3, 4, 5}); err != nil {
				t.Fatalf("reader %d: %v", i, err)
			}
		}
	}
	until(t, "nothing is kept once nobody polls", 20*time.Second, func() bool {
		for i := range n.broker.Sets {
			if parked := n.desk(i).Parked; parked.Used() > 0 {
				return false
			}
		}
		return true
	})
	n.remove(topic)
	until(t, "what was lent is back", 20*time.Second, func() bool { // files stay open for readers
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return !slices.ContainsFunc(open, func(e os.DirEntry) bool {
			name, _ := os.Readlink("/proc/self/fd/" + e.Name()) // closed meanwhile
			return strings.Contains(name, "/kept-")
		})
	})
}
