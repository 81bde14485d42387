package front

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/placement"
	"pinion/net/kafka/wire"
)

var cutSeed = flag.Uint64("cut.seed", 0, "seed of TestFetchesAreCutLikeThePlainModel; 0 takes one from the clock")

// shelf is the plain model of one partition: its batches as they are stored, and the first offset of each.
type shelf struct {
	topic *placement.Topic
	index int32
	bytes []byte
	bases []int64 // ascending; one more for the end
	at    []int   // byte position of each; one more for the end
}

// find is the batch that holds an offset below the end.
func (s *shelf) find(offset int64) int {
	i := len(s.bases) - 2
	for s.bases[i] > offset {
		i--
	}
	return i
}

func (s *shelf) end() int64 { return s.bases[len(s.bases)-1] }

// wantPart is what KIP-74 says one partition of the answer is.
type wantPart struct {
	code  wire.ErrorCode
	bytes []byte
}

// cutModel is ReplicaManager.readFromLog and LogSegment.read in ten lines: partitions in request order share max bytes; the first
// batch of the first partition that has any comes whole; elsewhere a first batch that does not fit leaves nothing.
func cutModel(shelves []*shelf, parts []at, bytesMax int32) (want []wantPart) {
	left, first := int(bytesMax), true
	for i, p := range parts {
		s := shelves[i]
		switch {
		case s == nil:
			want = append(want, wantPart{code: wire.CodeUnknownTopicOrPartition})
			continue
		case p.offset < 0 || p.offset > s.end():
			want = append(want, wantPart{code: wire.CodeOffsetOutOfRange})
			continue
		case p.offset == s.end():
			want = append(want, wantPart{})
			continue
		}
		k := s.find(p.offset)
		size := s.at[k+1] - s.at[k]
		length := min(int(max(p.max, 0)), left, len(s.bytes)-s.at[k])
		if length < size {
			length = 0
			if first {
				length = size
			}
		}
		if length > 0 {
			first = false
		}
		left = max(0, left-length)
		want = append(want, wantPart{bytes: s.bytes[s.at[k] : s.at[k]+length]})
	}
	return want
}

// stock fills a topic's partitions with random batches, some with none.
func stock(n *node, rng *rand.Rand, topic *placement.Topic) (shelves []*shelf) {
	c := n.dial()
	defer c.conn.Close()
	for index := range topic.Partitions() {
		s := &shelf{topic: topic, index: index, bases: []int64{0}, at: []int{0}}
		for range rng.IntN(7) {
			count := 1 + rng.IntN(5)
			b := records(rng.Int64N(1<<30), count, []int{0, 10, 300, 3000, 20_000, 70_000}[rng.IntN(6)])
			base := c.produced(at{topic: topic, index: index, records: b})
			s.bytes = append(s.bytes, stamped(b, base, 0)...)
			s.bases = append(s.bases, base+int64(count))
			s.at = append(s.at, len(s.bytes))
		}
		shelves = append(shelves, s)
	}
	return shelves
}

// TestFetchesAreCutLikeThePlainModel: random partitions, sizes, offsets and limits over three owners, byte for byte.
func TestFetchesAreCutLikeThePlainModel(t *testing.T) {
	seed := *cutSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("-cut.seed=%d: %s", seed, fmt.Sprintf(format, args...))
	}
	n := startNode(t, 3)
	var all []*shelf
	for i := range 3 {
		all = append(all, stock(n, rng, n.create(fmt.Sprint("cut-", i), 7, nil))...)
	}
	clients := []*client{n.dialHome(0), n.dialHome(1), n.dialHome(2)}
	sizes := []int32{0, 1, 60, 61, 100, 400, 1000, 4000, 20_000, 21_000, 100_000, 1 << 20, 1 << 30}
	waits := 0
	for trial := range 600 {
		var parts []at
		var shelves []*shelf
		for range 1 + rng.IntN(8) {
			s := all[rng.IntN(len(all))]
			p := at{topic: s.topic, index: s.index, max: sizes[rng.IntN(len(sizes))]}
			switch rng.IntN(12) {
			case 0:
				p.offset = s.end()
			case 1:
				p.offset = s.end() + 1 + rng.Int64N(3)
			case 2:
				p.index, s = 99, nil
			default:
				p.offset = rng.Int64N(s.end() + 1)
			}
			parts, shelves = append(parts, p), append(shelves, s)
		}
		bytesMax := sizes[rng.IntN(len(sizes))]
		want := cutModel(shelves, parts, bytesMax)
		sum, failed := 0, false
		for _, w := range want {
			sum += len(w.bytes)
			failed = failed || w.code != wire.CodeNone
		}
		// Min bytes: within reach, just reached, or (now and then, since it costs time) out of reach until the deadline.
		wait, bytesMin := 20*time.Second, int32(sum)
		switch {
		case sum > 0 && rng.IntN(2) == 0:
			bytesMin = 1 + rng.Int32N(int32(sum))
		case failed:
			bytesMin = 1 << 30
		case sum == 0 || waits < 25 && rng.IntN(8) == 0:
			wait, bytesMin = 20*time.Millisecond, 1<<30
			waits++
		}
		if sum == 0 && !failed && waits >= 60 {
			wait, bytesMin = 0, 0
		}
		version := int16(4 + rng.IntN(15))
		c := clients[rng.IntN(3)]
		began := time.Now()
		resp := c.call(fetchRequest(wait, bytesMin, bytesMax, parts...), version).(*kmsg.FetchResponse)
		took := time.Since(began)
		got := fetched(resp)
		if len(got) != len(want) || resp.ErrorCode != 0 {
			fail("trial %d: %d partitions, error %d; want %d", trial, len(got), resp.ErrorCode, len(want))
		}
		for i, w := range want {
			g := got[i]
			if g.Partition != parts[i].index || g.ErrorCode != int16(w.code) || !bytes.Equal(g.RecordBatches, w.bytes) {
				fail("trial %d, version %d, max bytes %d, min bytes %d: part %d (%s-%d from %d, max %d): error %d with %d bytes, want %d with %d",
					trial, version, bytesMax, bytesMin, i, parts[i].topic.Name, parts[i].index, parts[i].offset, parts[i].max,
					g.ErrorCode, len(g.RecordBatches), w.code, len(w.bytes))
			}
			if w.code == wire.CodeNone && (g.HighWatermark != shelves[i].end() || g.LogStartOffset > 0) {
				fail("trial %d: part %d: high watermark %d, want %d", trial, i, g.HighWatermark, shelves[i].end())
			}
		}
		reachable := sum > 0 && bytesMax < bytesMin || bytesMax == 0 // min bytes are max bytes at most, and what is cut off counts
		if wait == 20*time.Millisecond && took < wait && !failed && !reachable {
			fail("trial %d: answered after %v with less than min bytes", trial, took)
		}
		if took > 10*time.Second {
			fail("trial %d: answered after %v: %d bytes were there, min bytes %d", trial, took, sum, bytesMin)
		}
	}
}
