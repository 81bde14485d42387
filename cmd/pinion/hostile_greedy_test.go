package main

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestRequestsThatAskForMoreThanTheySay sends legal requests whose decoding or whose answer would be many times their size: names said
// over and over, partitions by the hundred thousand. Each must cost about what it weighs.
func TestRequestsThatAskForMoreThanTheySay(t *testing.T) {
	v := startVictim(t, 0, "auto.create.topics.enable=false")
	v.topic("t", 1)
	v.topic("wide", 5000)
	v.topic("probe", probePartitions)
	metadata := func(names int, name func(i int) string) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		req.SetVersion(9)
		for i := range names {
			entry := kmsg.NewMetadataRequestTopic()
			entry.Topic = new(name(i))
			req.Topics = append(req.Topics, entry)
		}
		return req
	}
	for _, c := range []struct {
		name string
		most int // bytes of the answer
		make func() kmsg.Request
	}{
		{"metadata of one topic 100,000 times", 1 << 20, func() kmsg.Request {
			return metadata(100_000, func(int) string { return "wide" })
		}},
		{"metadata of 300,000 topics", 16 << 20, func() kmsg.Request {
			return metadata(300_000, func(i int) string { return fmt.Sprint("x", i) })
		}},
		{"metadata of names of 30,000 bytes", 20 << 20, func() kmsg.Request {
			return metadata(500, func(i int) string { return fmt.Sprint(i, strings.Repeat("x", 30_000)) })
		}},
		{"offsets of one partition 500,000 times", 32 << 20, func() kmsg.Request {
			req := offsetsRequest("t", 0, 1)
			for range 500_000 {
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
			}
			return req
		}},
		{"epoch ends of one partition 500,000 times", 32 << 20, func() kmsg.Request {
			req := aRequest(23, 4, "t", [16]byte{}).(*kmsg.OffsetForLeaderEpochRequest)
			for range 500_000 {
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
			}
			return req
		}},
		{"100,000 topics validated", 32 << 20, func() kmsg.Request {
			req := aRequest(19, 7, "new", [16]byte{}).(*kmsg.CreateTopicsRequest)
			first := req.Topics[0]
			first.Configs = nil
			req.Topics = nil
			for i := range 100_000 {
				first.Topic = fmt.Sprint("n", i)
				req.Topics = append(req.Topics, first)
			}
			return req
		}},
		{"5,000 topics validated", 8 << 20, func() kmsg.Request {
			req := aRequest(19, 7, "new", [16]byte{}).(*kmsg.CreateTopicsRequest)
			first := req.Topics[0]
			first.Configs = nil
			req.Topics = nil
			for i := range 5_000 {
				first.Topic = fmt.Sprint("n", i)
				req.Topics = append(req.Topics, first)
			}
			return req
		}},
		{"40,000 topics deleted", 16 << 20, func() kmsg.Request {
			req := kmsg.NewPtrDeleteTopicsRequest()
			req.SetVersion(5)
			for i := range 40_000 {
				req.TopicNames = append(req.TopicNames, fmt.Sprint("n", i))
			}
			return req
		}},
		{"produce to one partition 90,000 times", 32 << 20, func() kmsg.Request {
			req := produceRequest("t", 0, nil)
			for range 90_000 {
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
			}
			return req
		}},
		{"produce to 10,000,000 topics without partitions", 0, func() kmsg.Request {
			req := produceRequest("", 0, nil)
			req.Topics[0].Partitions = nil
			req.Topics = slices.Repeat(req.Topics, 10_000_000)
			return req
		}},
		{"fetch of 5,000,000 topics without partitions", 80 << 20, func() kmsg.Request {
			req := fetchRequest("", 0, 0, 1)
			req.Topics[0].Partitions = nil
			req.Topics = slices.Repeat(req.Topics, 5_000_000)
			return req
		}},
		{"fetch of one partition 100,000 times", 32 << 20, func() kmsg.Request {
			req := fetchRequest("t", 0, 0, 1<<20)
			for range 100_000 {
				req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
			}
			return req
		}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			frame := encode(c.make(), 1)
			honest := startProbe(v, "probe")
			var peak atomic.Int64
			stop, stopped := make(chan struct{}), make(chan struct{})
			before := v.rss()
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
						peak.Store(max(peak.Load(), v.rss()))
					}
				}
			}()
			began := time.Now()
			p := v.dial()
			defer p.Close()
			var answer int
			if err := p.send(frame); err != nil {
				t.Logf("not taken: %v", err)
			} else if resp, err := p.frame(); err != nil {
				if timeout(err) {
					t.Error("neither answered nor closed")
				}
				t.Logf("closed: %v", err)
			} else {
				answer = len(resp)
			}
			took := time.Since(began)
			close(stop)
			<-stopped
			_, worst, _ := honest.end()
			grown := peak.Load() - before
			t.Logf("%d bytes are answered with %d in %s; memory grew by up to %d MiB; the worst for an honest client was %s",
				len(frame), answer, took.Round(time.Millisecond), max(0, grown)>>20, worst)
			v.alive()
			if answer > c.most {
				t.Errorf("an answer of %d bytes, at most %d", answer, c.most)
			}
			if grown > slowdown*256<<20 {
				t.Errorf("memory grew by %d MiB", grown>>20)
			}
		})
	}
	v.withinBudgets()
}

// TestFetchSessionsStayWithinMemory opens sessions that remember as much as a request can say.
func TestFetchSessionsStayWithinMemory(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	for _, c := range []struct {
		name          string
		topics, parts int
		bytes         int
		sessions      int
	}{{"long names", 500, 1, 30_000, 20}, {"many partitions", 1, 20_000, 10, 50}} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			before := v.rss()
			p := v.dial()
			defer p.Close()
			for i := range c.sessions {
				req := fetchRequest("", 0, 0, 1<<10)
				req.SessionEpoch = 0
				first := req.Topics[0]
				req.Topics = nil
				for j := range c.topics {
					topic := first
					topic.Topic = fmt.Sprint(i, "-", j, strings.Repeat("n", c.bytes))
					topic.Partitions = nil
					for k := range c.parts {
						part := first.Partitions[0]
						part.Partition = int32(k)
						topic.Partitions = append(topic.Partitions, part)
					}
					req.Topics = append(req.Topics, topic)
				}
				p.ask(req)
			}
			v.grewAtMost(before, 192<<20)
		})
	}
	// Who asks for little still gets a session.
	v.topic("t", 1)
	p := v.dial()
	defer p.Close()
	req := fetchRequest("t", 0, 0, 1<<10)
	req.SessionEpoch = 0
	if resp := p.ask(req).(*kmsg.FetchResponse); resp.SessionID == 0 {
		t.Error("a small fetch gets no session")
	}
}
