package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTLSAndHTTPOnTheKafkaPortAreExplained(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	for range 3 {
		conn := tls.Client(v.dial().Conn, &tls.Config{InsecureSkipVerify: true})
		if err := conn.Handshake(); err == nil {
			t.Error("a TLS handshake succeeded on a plaintext listener")
		}
		conn.Close()
	}
	client := http.Client{Timeout: answerMax}
	for range 3 {
		resp, err := client.Get("http://" + v.addr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), v.admin) {
			t.Errorf("HTTP is answered with %d %q, want 400 and the admin address %s", resp.StatusCode, body, v.admin)
		}
		client.CloseIdleConnections()
	}
	for what, want := range map[string]string{"TLS": "security.protocol", "HTTP": "admin"} {
		var lines []string
		for line := range strings.Lines(v.lines.String()) {
			if strings.Contains(line, "spoke "+what) {
				lines = append(lines, line)
			}
		}
		// Connections may land on both shards, each of which says it once.
		if len(lines) < 1 || len(lines) > 2 {
			t.Errorf("%d lines tell of %s, want one (for each shard that met it)", len(lines), what)
			continue
		}
		if !strings.Contains(lines[0], "127.0.0.1:") || !strings.Contains(lines[0], "PLAINTEXT://"+v.addr) || !strings.Contains(lines[0], want) {
			t.Errorf("the line does not name peer, listener and remedy: %s", lines[0])
		}
	}
	if tls, http := v.metric("pinion_listener_rejects_total", `reason="tls"`), v.metric("pinion_listener_rejects_total", `reason="http"`); tls != 3 || http != 3 {
		t.Errorf("rejects counted: %.0f TLS, %.0f HTTP, want 3 and 3", tls, http)
	}
}

// crowd is many connections of an attack.
type crowd []*peer

func (v *victim) crowd(n int) crowd {
	v.t.Helper()
	c := make(crowd, n)
	for i := range c {
		c[i] = v.dial()
	}
	return c
}

func (c crowd) leave() {
	for _, p := range c {
		if p != nil {
			p.Close()
		}
	}
}

// claim is the beginning of a Produce frame of n bytes that never comes.
func claim(n int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	return append(b, 0, 0, 0, 9, 0, 0, 0, 1)
}

func TestFramesThatAreOnlyClaimed(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
	}{{"100 MiB", 100 << 20}, {"1 MiB", 1<<20 - 4}, {"64 KiB", 64 << 10}} {
		t.Run(c.name, func(t *testing.T) {
			v := startVictim(t, 0)
			v.topic("probe", probePartitions)
			before := v.rss()
			v.under(t, "1,000 claims of "+c.name, func() {
				crowd := v.crowd(1000)
				t.Cleanup(crowd.leave)
				for _, p := range crowd {
					if err := p.send(claim(c.n)); err != nil {
						t.Fatal(err)
					}
				}
			})
			v.grewAtMost(before, 64<<20)
			v.withinBudgets()
		})
	}
}

// TestClaimsOfAllSizesDoNotKeepOthersWaiting fills a request budget with claims of every size, large first, so that no block is left:
// a frame that has to have one of its own, 300 kB, must get it all the same.
func TestClaimsOfAllSizesDoNotKeepOthersWaiting(t *testing.T) {
	v := startVictim(t, 0)
	v.topic("t", 1)
	crowd := v.crowd(1000)
	defer crowd.leave()
	for i, p := range crowd {
		size := 1 << 20
		if i >= len(crowd)/2 {
			size = 256 << 10 >> (i % 7)
		}
		if err := p.send(claim(size - 4)); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 { // so that both shards are met
		p := v.dial()
		defer p.Close()
		began := time.Now()
		p.ask(produceRequest("t", 0, aBatch(1, 300_000)))
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a produce of 300 kB took %s", took)
		}
	}
}

// TestPeersThatNeverRead ask for more than they take: for records, and for answers that live on the heap.
func TestPeersThatNeverRead(t *testing.T) {
	const peers = 500
	t.Run("records", func(t *testing.T) {
		v := startVictim(t, 0)
		v.topic("probe", probePartitions)
		v.topic("bulk", 1)
		p := v.dial()
		defer p.Close()
		for range 20 {
			p.ask(produceRequest("bulk", 0, aBatch(9, 100_000)))
		}
		before := v.rss()
		v.under(t, "readers of records that do not read", func() {
			v.neverRead(t, peers, encode(fetchRequest("bulk", 0, 0, 50<<20), 1))
		})
		// What they have sent and is not served yet draws on the request budget of both shards.
		v.grewAtMost(before, 288<<20)
		v.withinBudgets()
	})
	t.Run("metadata", func(t *testing.T) {
		v := startVictim(t, 0)
		v.topic("probe", probePartitions)
		v.topic("wide", 9000)
		before := v.rss()
		all := kmsg.NewPtrMetadataRequest()
		all.SetVersion(9)
		v.under(t, "askers of metadata that do not read", func() {
			v.neverRead(t, peers, encode(all, 1))
		})
		// Three attempts at most; what cannot leave may hold the response budget of both shards, and garbage as much again.
		v.grewAtMost(before, 384<<20)
		v.withinBudgets()
	})
	t.Run("refusals", func(t *testing.T) {
		v := startVictim(t, 0)
		v.topic("probe", probePartitions)
		req := produceRequest("nothing", 0, nil)
		req.Topics[0].Partitions = slices.Repeat(req.Topics[0].Partitions, 90_000)
		before := v.rss()
		v.under(t, "producers to nowhere that do not read", func() {
			v.neverRead(t, peers/5, encode(req, 1))
		})
		// The budgets of both shards together, and what the collector has not looked at yet; a second attempt leaves the first one's
		// peers where they are.
		v.grewAtMost(before, 1<<30)
		v.withinBudgets()
	})
}

// neverRead opens connections that send a request over and over, until the broker takes no more, and read nothing.
func (v *victim) neverRead(t *testing.T, peers int, frame []byte) {
	crowd := v.crowd(peers)
	t.Cleanup(crowd.leave)
	burst := slices.Repeat(frame, max(1, 60_000/len(frame)))
	var sent sync.WaitGroup
	for _, p := range crowd {
		_ = p.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		sent.Go(func() {
			_ = p.SetWriteDeadline(time.Now().Add(time.Second))
			for range 20 {
				if _, err := p.Write(burst); err != nil {
					return
				}
			}
		})
	}
	sent.Wait()
}

// TestPeersThatSendAByteASecond hold frames open as slowly as they can. They lose their connections.
func TestPeersThatSendAByteASecond(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	v.topic("probe", probePartitions)
	frame := encode(produceRequest("probe", 0, aBatch(1, 900_000)), 1)
	crowd := v.crowd(300)
	defer crowd.leave()
	for i, p := range crowd {
		// Some stop inside the length, some inside the header, most inside the body.
		if err := p.send(frame[:1+i*i%200]); err != nil {
			t.Fatal(err)
		}
	}
	idle := v.dial() // has begun nothing, so it may stay
	defer idle.Close()
	var best time.Duration
	began := time.Now()
	measured := make(chan struct{})
	go func() {
		defer close(measured)
		for attempt := range 3 {
			p := startProbe(v, "probe")
			p.waitRounds(roundsMin)
			p99, worst, n := p.end()
			t.Logf("a byte a second: p99 %s, worst %s of %d rounds", p99, worst, n)
			if attempt == 0 || p99 < best {
				best = p99
			}
		}
	}()
	left := len(crowd)
	for ; left > 0 && time.Since(began) < 50*time.Second; time.Sleep(time.Second) {
		left = 0
		for i, p := range crowd {
			if p == nil {
				continue
			}
			if err := p.send(frame[200:201]); err != nil {
				p.Close()
				crowd[i] = nil
				continue
			}
			left++
		}
		if left == 0 {
			break
		}
		if time.Since(began) < 25*time.Second && left < len(crowd)/2 {
			t.Fatalf("%d of %d are gone after %s, which is no time", len(crowd)-left, len(crowd), time.Since(began))
		}
	}
	<-measured
	t.Logf("the last was turned away after %s; the log says so of %d", time.Since(began), v.lines.count("too slowly"))
	crowd = slices.DeleteFunc(crowd, func(p *peer) bool { return p == nil })
	if left > 0 {
		t.Errorf("%d of 300 peers that send a byte a second are still there", left)
	}
	if best > latencyMax && slowdown == 1 {
		t.Errorf("an honest client's p99 is %s, at most %s is promised", best, latencyMax)
	}
	if _, err := idle.try(aRequest(3, 12, "probe", [16]byte{})); err != nil {
		t.Errorf("an idle connection: %v", err)
	}
	if used := v.metric("pinion_shard_budget_used_bytes", `budget="request"`); used > 4<<20 {
		t.Errorf("%.0f bytes of request memory are still held", used)
	}
}

func TestGiantProduceRequests(t *testing.T) {
	giant := encode(produceRequest("giant", 0, aBatch(100, 1<<20-200)), 1)
	if len(giant) < 99<<20 || len(giant) > 100<<20 {
		t.Fatalf("the request has %d bytes", len(giant))
	}
	for _, c := range []struct {
		name  string
		limit string
		want  int16
	}{{"legal", "104857600", okNone}, {"illegal", "1048588", messageTooLarge}} {
		t.Run(c.name, func(t *testing.T) {
			v := startVictim(t, 0)
			v.topic("probe", probePartitions)
			v.topic("giant", 1, "max.message.bytes="+c.limit)
			before := v.rss()
			v.under(t, "100 MiB, "+c.name, func() {
				var clients sync.WaitGroup
				for range 3 {
					clients.Go(func() {
						p := v.dial()
						defer p.Close()
						if err := p.send(giant); err != nil {
							t.Error(err)
							return
						}
						frame, err := p.frame()
						if err != nil {
							t.Error(err)
							return
						}
						resp := kmsg.NewPtrProduceResponse()
						resp.SetVersion(9)
						if err := resp.ReadFrom(frame[5:]); err != nil || resp.Topics[0].Partitions[0].ErrorCode != c.want {
							t.Errorf("answer %+v, %v; want error %d", resp, err, c.want)
						}
					})
				}
				clients.Wait()
			})
			v.grewAtMost(before, 280<<20)
			end := v.end("giant", 0)
			if c.want != okNone && end != 0 || c.want == okNone && (end == 0 || end%300 != 0) {
				t.Errorf("log end is %d", end)
			}
			v.withinBudgets()
		})
	}
}

// TestDescriptorsRunOut lets clients take every descriptor there is: who is connected is served, newcomers are told, storage lives,
// and afterwards all is as before.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 400)
	v.topic("probe", probePartitions)
	v.topic("fresh", 8)
	early := v.dial()
	defer early.Close()
	var crowd crowd
	defer func() { crowd.leave() }()
	v.under(t, "out of descriptors", func() {
		for len(crowd) < 500 {
			crowd = append(crowd, v.dial())
		}
	})
	// A partition that nobody has written to yet needs files of its own.
	for partition := range int32(8) {
		resp, err := early.try(produceRequest("fresh", partition, aBatch(1, 10)))
		if err != nil {
			t.Fatalf("produce without descriptors: %v", err)
		}
		if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != okNone {
			t.Errorf("first produce to fresh-%d without descriptors: error %d", partition, code)
		}
	}
	if v.lines.count("out of file descriptors") == 0 {
		t.Error("the log does not say that descriptors ran out")
	}
	if v.lines.count("partition offline") > 0 {
		t.Errorf("a partition was lost:\n%s", tail(v.lines.String(), 2000))
	}
	crowd.leave()
	crowd = nil
	v.eventually("a connection after the crowd has left", func() bool {
		p := v.dial()
		defer p.Close()
		_, err := p.try(produceRequest("fresh", 0, aBatch(1, 10)))
		return err == nil
	})
}

func TestConnectionLimitsAct(t *testing.T) {
	t.Parallel()
	ask := aRequest(18, 3, "", [16]byte{})
	t.Run("max.connections.per.ip", func(t *testing.T) {
		v := startVictim(t, 0, "max.connections.per.ip=3")
		crowd := v.crowd(3)
		for _, p := range crowd {
			p.ask(ask)
		}
		fourth := v.dial()
		if _, err := fourth.try(ask); err == nil || timeout(err) {
			t.Errorf("a fourth connection of a peer that may have three: %v", err)
		}
		crowd[0].Close()
		v.eventually("a connection after one of three has left", func() bool {
			p := v.dial()
			defer p.Close()
			_, err := p.try(ask)
			return err == nil
		})
		crowd.leave()
		if n := v.metric("pinion_connections_refused_total", "max.connections.per.ip"); n < 1 {
			t.Errorf("pinion_connections_refused_total is %v", n)
		}
	})
	t.Run("max.connections.per.ip.overrides", func(t *testing.T) {
		v := startVictim(t, 0, "max.connections.per.ip=1", "max.connections.per.ip.overrides=127.0.0.1:2")
		crowd := v.crowd(2)
		defer crowd.leave()
		for _, p := range crowd {
			p.ask(ask)
		}
		third := v.dial()
		if _, err := third.try(ask); err == nil || timeout(err) {
			t.Errorf("a third connection of a peer that may have two: %v", err)
		}
	})
	t.Run("max.connections", func(t *testing.T) {
		v := startVictim(t, 0, "max.connections=3")
		crowd := v.crowd(3)
		for _, p := range crowd {
			p.ask(ask)
		}
		// As in Kafka, a fourth waits in the kernel's queue until there is room.
		fourth := v.dial()
		defer fourth.Close()
		if err := fourth.send(encode(ask, 1)); err != nil {
			t.Fatal(err)
		}
		_ = fourth.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if n, err := fourth.Read(make([]byte, 1)); n > 0 || !timeout(err) {
			t.Errorf("a fourth connection where three are allowed: %d bytes, %v", n, err)
		}
		crowd[1].Close()
		if _, err := fourth.frame(); err != nil {
			t.Errorf("it is not served when one of three has left: %v", err)
		}
		crowd.leave()
	})
	t.Run("connections.max.idle.ms", func(t *testing.T) {
		v := startVictim(t, 0, "connections.max.idle.ms=1000")
		v.topic("t", 1)
		idle, busy := v.dial(), v.dial()
		defer busy.Close()
		idle.ask(ask)
		poll := fetchRequest("t", 0, 0, 1000)
		poll.MaxWaitMillis, poll.MinBytes = 4000, 1
		began := time.Now()
		if err := busy.send(encode(poll, 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := idle.frame(); !errors.Is(err, io.EOF) {
			t.Errorf("an idle connection: %v, want it closed", err)
		}
		if took := time.Since(began); took < 900*time.Millisecond || took > 5*time.Second {
			t.Errorf("an idle connection is closed after %s, want about 1 s", took)
		}
		if _, err := busy.frame(); err != nil {
			t.Errorf("a connection that waits for an answer is not idle: %v", err)
		}
	})
}

// eventually waits for a condition.
func (v *victim) eventually(what string, ok func() bool) {
	v.t.Helper()
	deadline := time.Now().Add(answerMax)
	for !ok() {
		v.alive()
		if time.Now().After(deadline) {
			v.t.Fatalf("%s: not within %s", what, answerMax)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
