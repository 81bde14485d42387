package main

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	mutantFrames  = 100_000
	mutantTimeMax = 15 * time.Second // whichever comes first
	mutantWorkers = 16
	mutantSeed    = 20260501
	// mutantWait is how long a mutant may keep its connection: long polls may have been told to wait for days.
	mutantWait = 30 * time.Millisecond
	markerCorr = 0x7ead5afe
)

// mutate changes a frame in one to four ways. The length field says the truth nine times of ten.
func mutate(r *rand.Rand, frame []byte) []byte {
	b := append([]byte(nil), frame...)
	for range 1 + r.IntN(4) {
		at := 4 + r.IntN(len(b)-4)
		switch r.IntN(8) {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			b[at] = [...]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}[r.IntN(6)]
		case 3: // a count or a length, as a number
			if at+4 <= len(b) {
				binary.BigEndian.PutUint32(b[at:], [...]uint32{0, 1, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, r.Uint32()}[r.IntN(8)])
			}
		case 4: // the same as a varint
			if at+5 <= len(b) {
				copy(b[at:], []byte{0xff, 0xff, 0xff, 0xff, [...]byte{0x07, 0x0f, 0x7f, 0xff}[r.IntN(4)]})
			}
		case 5: // the end is missing
			b = b[:max(12, at)]
		case 6: // a part is there twice
			to := min(len(b), at+1+r.IntN(40))
			b = append(b[:to:to], b[at:]...)
		case 7: // a part is missing
			to := min(len(b), at+1+r.IntN(8))
			b = append(b[:at:at], b[to:]...)
		}
		if len(b) < 16 {
			break
		}
	}
	n := uint32(len(b) - 4)
	if r.IntN(10) == 0 {
		n = uint32(int(n) + r.IntN(64) - 32)
	}
	binary.BigEndian.PutUint32(b, n)
	return b
}

// mutant is one connection's worth of an attack; it makes another connection when the broker has had enough of this one.
type mutant struct {
	v      *victim
	r      *rand.Rand
	conn   *peer
	marker []byte
	sent   *atomic.Int64
	counts struct{ answered, closed, hung int }
}

// run sends mutants of the frames until there have been enough.
func (m *mutant) run(frames [][]byte, deadline time.Time) error {
	defer m.drop()
	for m.sent.Add(1) <= mutantFrames && time.Now().Before(deadline) {
		if m.conn == nil {
			c, err := m.v.maybeDial()
			if err != nil {
				return err
			}
			m.conn = c
		}
		m.send(mutate(m.r, frames[m.r.IntN(len(frames))]))
	}
	return nil
}

// send sends one mutant with an honest request behind it and reads up to the answer to that.
func (m *mutant) send(frame []byte) {
	_ = m.conn.SetDeadline(time.Now().Add(mutantWait))
	if _, err := m.conn.Write(append(frame, m.marker...)); err != nil {
		m.counts.closed++
		m.drop()
		return
	}
	for {
		var head [8]byte
		if err := m.fill(head[:]); err != nil {
			return
		}
		size, corr := int32(binary.BigEndian.Uint32(head[:])), binary.BigEndian.Uint32(head[4:])
		if size < 4 || size > 64<<20 {
			m.v.t.Errorf("an answer of %d bytes", size)
			m.drop()
			return
		}
		if err := m.fill(make([]byte, size-4)); err != nil {
			return
		}
		if corr == markerCorr {
			m.counts.answered++
			return
		}
	}
}

func (m *mutant) fill(b []byte) error {
	for at := 0; at < len(b); {
		n, err := m.conn.Read(b[at:])
		if at += n; err != nil && at < len(b) {
			if timeout(err) {
				m.counts.hung++
			} else {
				m.counts.closed++
			}
			m.drop()
			return err
		}
	}
	return nil
}

// drop ends the connection with a reset, so that it leaves no port behind.
func (m *mutant) drop() {
	if m.conn != nil {
		_ = m.conn.Conn.(*net.TCPConn).SetLinger(0)
		m.conn.Close()
		m.conn = nil
	}
}

// TestMutantsOfEveryRequest sends mutants of valid frames of every key and version while an honest client works. Nothing may crash,
// hang or stay behind.
func TestMutantsOfEveryRequest(t *testing.T) {
	v := startVictim(t, 0, "auto.create.topics.enable=false")
	id := v.topic("t", 2)
	v.topic("probe", probePartitions)
	var frames [][]byte
	for _, req := range everyRequest("t", id) {
		frames = append(frames, encode(req, 1))
	}
	marker := kmsg.NewPtrApiVersionsRequest()
	before := v.rss()
	honest := startProbe(v, "probe")
	var sent atomic.Int64
	var workers sync.WaitGroup
	mutants := make([]mutant, mutantWorkers)
	deadline := time.Now().Add(mutantTimeMax)
	for i := range mutants {
		m := &mutants[i]
		m.v, m.sent, m.r, m.marker = v, &sent, rand.New(rand.NewPCG(mutantSeed, uint64(i))), encode(marker, markerCorr)
		workers.Go(func() {
			if err := m.run(frames, deadline); err != nil {
				t.Errorf("seed %d, worker %d: %v", mutantSeed, i, err)
			}
		})
	}
	workers.Wait()
	honest.waitRounds(roundsMin)
	p99, worst, n := honest.end()
	v.alive()
	answered, closed, hung := 0, 0, 0
	for i := range mutants {
		c := &mutants[i].counts
		answered, closed, hung = answered+c.answered, closed+c.closed, hung+c.hung
	}
	t.Logf("%d mutants: %d answered, %d closed upon, %d left waiting; honest client: p99 %s, worst %s of %d rounds",
		min(sent.Load(), mutantFrames), answered, closed, hung, p99, worst, n)
	if t.Failed() {
		t.Logf("seed %d", mutantSeed)
	}
	if answered == 0 || closed == 0 {
		t.Error("the mutants are all alike")
	}
	if p99 > latencyMax && slowdown == 1 {
		t.Errorf("an honest client's p99 is %s, at most %s is promised", p99, latencyMax)
	}
	v.grewAtMost(before, 192<<20)
	defer func() { t.Logf("%v connections are left", v.metric("pinion_shard_connections")) }()
	v.eventually("every connection of the mutants is gone", func() bool { return v.metric("pinion_shard_connections") == 0 })
	for budget, most := range map[string]float64{"request": 2 << 20, "response": 0, "parked": 0} {
		v.eventually("the "+budget+" budget is given back", func() bool {
			return v.metric("pinion_shard_budget_used_bytes", `budget="`+budget+`"`) <= most
		})
	}
	if n := v.lines.count("panic"); n > 0 {
		t.Errorf("%d lines of the log say panic", n)
	}
}
