package api

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/net/kafka/wire"
)

// The ring and what was last told, against a plain list: requests that add, change and forget partitions, answers with and without news. An
// incremental answer holds exactly the partitions with bytes, an error, or a mark that moved; those that gave bytes go to the back.
func TestSessionAgainstPlainList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSession()
		d := &Desk{}
		initSessions(&d.sessions, 10, 0, 1)
		var list []*entryModel
		rt.Repeat(map[string]func(*rapid.T){
			"update": func(rt *rapid.T) {
				asked, forgotten := draw(rt, "asked"), draw(rt, "forgotten")
				d.sessionUpdate(s, request(rt, asked, forgotten))
				for _, k := range asked {
					if e := find(list, k.index); e != nil {
						e.offset = k.offset
					} else {
						list = append(list, &entryModel{index: k.index, offset: k.offset, high: -1, start: -1})
					}
				}
				for _, k := range forgotten {
					list = slices.DeleteFunc(list, func(e *entryModel) bool { return e.index == k.index })
				}
			},
			"answer": func(rt *rapid.T) { list = checkAnswer(rt, s, list) },
			"": func(rt *rapid.T) {
				checkRing(rt, s, list)
				if want := int64(len(list)) * sessionPartBytes; s.bytes != want || d.sessions.bytes != want {
					rt.Fatalf("%d partitions are charged %d and %d bytes", len(list), s.bytes, d.sessions.bytes)
				}
			},
		})
	})
}

// entryModel is one remembered partition.
type entryModel struct {
	index       int32
	offset      model.Offset
	high, start model.Offset
}

func find(list []*entryModel, index int32) *entryModel {
	for _, e := range list {
		if e.index == index {
			return e
		}
	}
	return nil
}

type asked struct {
	index  int32
	offset model.Offset
}

func draw(rt *rapid.T, what string) []asked {
	return rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) asked {
		return asked{rapid.Int32Range(0, 7).Draw(rt, "index"), model.Offset(rapid.Int64Range(0, 99).Draw(rt, "offset"))}
	}), 0, 4).Draw(rt, what)
}

// initSessions makes room for sessions of any size.
func initSessions(s *sessions, slots int, id model.ShardID, shards int) {
	s.init(slots, 1<<20, id, shards)
}

func newSession() *session {
	s := &session{id: 5, epoch: 1, fresh: true, parts: map[sessionKey]*sessionPart{}}
	s.ring.next, s.ring.prev = &s.ring, &s.ring
	return s
}

// request is the view of an incremental fetch in version 13, encoded by kmsg.
func request(rt *rapid.T, add, forget []asked) *wire.FetchView {
	r := kmsg.NewPtrFetchRequest()
	r.Version = 13
	topic := kmsg.NewFetchRequestTopic()
	topic.TopicID = model.TopicID{1}
	for _, a := range add {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = a.index, int64(a.offset), 1000
		topic.Partitions = append(topic.Partitions, p)
	}
	r.Topics = append(r.Topics, topic)
	gone := kmsg.NewFetchRequestForgottenTopic()
	gone.TopicID = model.TopicID{1}
	for _, a := range forget {
		gone.Partitions = append(gone.Partitions, a.index)
	}
	r.ForgottenTopics = append(r.ForgottenTopics, gone)
	v := &wire.FetchView{}
	if err := v.Reset(13, r.AppendTo(nil)); err != nil {
		rt.Fatal(err)
	}
	if _, _, err := v.Check(); err != nil {
		rt.Fatal(err)
	}
	return v
}

// inOrder lists the ring.
func (s *session) inOrder() []*sessionPart {
	var parts []*sessionPart
	for p := s.ring.next; p != &s.ring; p = p.next {
		parts = append(parts, p)
	}
	return parts
}

func checkRing(rt *rapid.T, s *session, list []*entryModel) {
	ring := s.inOrder()
	if len(ring) != len(list) || len(s.parts) != len(list) {
		rt.Fatalf("%d in the ring, %d in the map, want %d", len(ring), len(s.parts), len(list))
	}
	for i, e := range list {
		if p := ring[i]; p.key.index != e.index || p.ask.Offset != e.offset || s.parts[p.key] != p {
			rt.Fatalf("place %d: partition %d from %d, want %d from %d", i, p.key.index, p.ask.Offset, e.index, e.offset)
		}
	}
}

// checkAnswer answers every partition at random and compares what is shown.
func checkAnswer(rt *rapid.T, s *session, list []*entryModel) []*entryModel {
	c := &fetchCall{session: s, bytesMax: math.MaxInt32, legs: []*fetchLeg{{state: legHeld}}}
	leg := c.legs[0]
	full := s.fresh
	shown := make([]bool, len(list))
	var first, moved []*entryModel
	for i, entry := range s.inOrder() {
		e := list[i]
		a := partition.FetchFound{High: model.Offset(rapid.Int64Range(0, 2).Draw(rt, "high")), LogStart: model.Offset(rapid.Int64Range(0, 1).Draw(rt, "start"))}
		part := fetchPart{index: entry.key.index, entry: entry, at: int32(len(leg.ask.Parts))}
		outcome := rapid.SampledFrom([]string{"nothing", "nothing", "bytes", "error", "diverges", "silent", "refused"}).Draw(rt, "outcome")
		shown[i] = full || outcome != "nothing" && outcome != "silent" || outcome == "nothing" && (a.High != e.high || a.LogStart != e.start)
		switch outcome {
		case "bytes":
			part.bytes = 10
		case "error":
			a.Code, a.High = partition.OutOfRange, -1
		case "diverges":
			a.Diverging = true
		case "silent": // the owner did not answer in time
			part.leg = -1
		case "refused":
			part.leg, part.code = -1, wire.CodeUnknownTopicOrPartition
			a.High, a.LogStart = -1, -1
		}
		if outcome != "silent" {
			e.high, e.start = a.High, a.LogStart
		}
		if outcome == "bytes" {
			moved = append(moved, e)
		} else {
			first = append(first, e)
		}
		leg.ask.Parts = append(leg.ask.Parts, partition.FetchPart{FetchFound: a})
		c.parts = append(c.parts, part)
	}
	s.answer(c)
	for i := range c.parts {
		if c.parts[i].mute == shown[i] {
			rt.Fatalf("partition %d left out: %v, want %v", c.parts[i].index, c.parts[i].mute, !shown[i])
		}
	}
	return append(first, moved...)
}

// A partition the session forgets while its answer is under way is in the answer and no longer in the ring.
func TestForgottenPartitionIsAnsweredOnceMore(t *testing.T) {
	s := newSession()
	p := &sessionPart{key: sessionKey{id: model.TopicID{1}}, high: -1, logStart: -1}
	s.parts[p.key] = p
	s.append(p)
	c := &fetchCall{session: s, legs: []*fetchLeg{{state: legHeld}}, parts: []fetchPart{{entry: p, bytes: 10}}}
	c.legs[0].ask.Parts = []partition.FetchPart{{FetchFound: partition.FetchFound{High: 1}}}
	delete(s.parts, p.key)
	p.unlink()
	s.answer(c)
	if c.parts[0].mute || s.ring.next != &s.ring {
		t.Errorf("left out %v, ring empty %v", c.parts[0].mute, s.ring.next == &s.ring)
	}
}

// Ids of different shards never meet, none is given twice while it is in use, none is 0 or negative, also where they wrap.
func TestSessionIDsOfShardsNeverMeet(t *testing.T) {
	const shards = 3
	owners := map[int32]int{}
	for shard := range shards {
		var s sessions
		initSessions(&s, 10, model.ShardID(shard), shards)
		give := func(n int) {
			for range n {
				id := s.nextID()
				if id <= 0 {
					t.Fatalf("shard %d gave out %d", shard, id)
				}
				if owner, taken := owners[id]; taken {
					t.Fatalf("shards %d and %d gave out %d", owner, shard, id)
				}
				owners[id] = shard
				s.byID[id] = &session{id: id}
			}
		}
		give(1000)
		s.last = s.first + (math.MaxInt32-s.first)/s.step*s.step - 7*s.step // it wraps soon
		give(1000)
	}
}

// After a restart clients come back with the ids and epochs they had. They must not meet another client's new session there.
func TestSessionIDsOfTwoStartsHardlyMeet(t *testing.T) {
	given := map[int32]bool{}
	for range 50 {
		var s sessions
		initSessions(&s, 1000, 0, 2)
		id := s.nextID()
		if given[id] {
			t.Fatalf("two starts gave out %d first", id)
		}
		given[id] = true
	}
}

// Of sessions that are in use none makes room for another: they would take each other's places for ever.
func TestEvictionTakesTheSessionNotUsedForLongest(t *testing.T) {
	var s sessions
	initSessions(&s, 3, 0, 1)
	for id := range int32(3) {
		s.now++
		s.byID[id] = &session{id: id}
		s.touch(s.byID[id])
	}
	s.now++
	s.touch(s.byID[0])
	if s.evict() {
		t.Error("evicted a session in use")
	}
	s.now = s.now.Add(sessionRest)
	if !s.evict() || s.byID[1] != nil || len(s.byID) != 2 {
		t.Errorf("left: %v", fmt.Sprint(s.byID))
	}
	s.evict()
	s.evict()
	if s.evict() {
		t.Error("evicted from nothing")
	}
}

func TestSessionEpochsWrapPastTheirReservedValues(t *testing.T) {
	for from, want := range map[int32]int32{1: 2, math.MaxInt32 - 1: math.MaxInt32, math.MaxInt32: 1} {
		if got := nextEpoch(from); got != want {
			t.Errorf("after %d comes %d, want %d", from, got, want)
		}
	}
}
