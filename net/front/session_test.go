package front

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/placement"
	"pinion/net/kafka/wire"
)

// follower is a consumer with a fetch session: it names what changed and is told what is new.
type follower struct {
	c       *client
	version int16
	id      int32
	epoch   int32
}

const followWait = 40 * time.Millisecond // long enough to see that nothing comes, short enough to do it often

// follow makes a session over the partitions, and returns its first answer too.
func (n *node) follow(c *client, version int16, parts ...at) (*follower, []kmsg.FetchResponseTopicPartition) {
	n.tb.Helper()
	req := fetchRequest(followWait, 1, 8<<20, parts...)
	req.SessionEpoch = 0
	resp := c.call(req, version).(*kmsg.FetchResponse)
	if resp.ErrorCode != 0 || resp.SessionID == 0 {
		n.tb.Fatalf("a full fetch: error %d, session %d", resp.ErrorCode, resp.SessionID)
	}
	return &follower{c: c, version: version, id: resp.SessionID, epoch: 1}, fetched(resp)
}

// request is the session's next request, naming parts.
func (f *follower) request(bytesMax int32, parts ...at) *kmsg.FetchRequest {
	req := fetchRequest(followWait, 1, bytesMax, parts...)
	req.SessionID, req.SessionEpoch = f.id, f.epoch
	return req
}

// next sends it and counts the epoch on unless it was refused.
func (f *follower) next(req *kmsg.FetchRequest) *kmsg.FetchResponse {
	f.c.tb.Helper()
	resp := f.c.call(req, f.version).(*kmsg.FetchResponse)
	if resp.ErrorCode == 0 {
		f.epoch++
		if resp.SessionID != f.id {
			f.c.tb.Fatalf("session %d answers as %d", f.id, resp.SessionID)
		}
	}
	return resp
}

// forget asks the session to drop a partition.
func forget(req *kmsg.FetchRequest, topic *placement.Topic, indexes ...int32) *kmsg.FetchRequest {
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.TopicID, f.Partitions = topic.Name, topic.ID, indexes
	req.ForgottenTopics = append(req.ForgottenTopics, f)
	return req
}

func indexes(parts []kmsg.FetchResponseTopicPartition) (list []int32) {
	for _, p := range parts {
		list = append(list, p.Partition)
	}
	slices.Sort(list)
	return list
}

// TestFetchSessionsTellOnlyWhatIsNew walks one session, over two owners, through news, silence, a partition that is forgotten
// and one that joins, by topic name and by topic id.
func TestFetchSessionsTellOnlyWhatIsNew(t *testing.T) {
	n := startNode(t, 2)
	for _, version := range []int16{7, 12, 13, 18} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			n.tb = t
			topic := n.create(fmt.Sprint("session-", version), 4, nil)
			b := records(1, 2, 100)
			writer := n.dial()
			part := func(index int32, offset int64) at {
				return at{topic: topic, index: index, offset: offset, max: 1 << 20}
			}
			f, parts := n.follow(n.dialHome(1), version, part(0, 0), part(1, 0), part(2, 0))
			if !slices.Equal(indexes(parts), []int32{0, 1, 2}) {
				t.Fatalf("the first answer names %v, want all", indexes(parts))
			}
			check := func(what string, resp *kmsg.FetchResponse, want ...int32) {
				t.Helper()
				got := fetched(resp)
				if resp.ErrorCode != 0 || !slices.Equal(indexes(got), want) {
					t.Fatalf("%s: error %d, partitions %v, want %v", what, resp.ErrorCode, indexes(got), want)
				}
				for _, p := range got {
					if p.ErrorCode != 0 || !bytes.Equal(p.RecordBatches, stamped(b, p.HighWatermark-2, 0)) {
						t.Fatalf("%s: partition %d: error %d, %d bytes", what, p.Partition, p.ErrorCode, len(p.RecordBatches))
					}
				}
			}
			check("nothing new", f.next(f.request(8<<20)))
			writer.produced(at{topic: topic, index: 1, records: b})
			check("news of one", f.next(f.request(8<<20)), 1)
			check("what was not taken is told again", f.next(f.request(8<<20)), 1)
			check("it was taken", f.next(f.request(8<<20, part(1, 2))))
			writer.produced(at{topic: topic, index: 0, records: b})
			writer.produced(at{topic: topic, index: 2, records: b})
			check("a forgotten one is silent", f.next(forget(f.request(8<<20), topic, 0)), 2)
			writer.produced(at{topic: topic, index: 3, records: b})
			check("one joins", f.next(f.request(8<<20, part(2, 2), part(3, 0))), 3)
			check("silence", f.next(f.request(8<<20, part(3, 2))))
			// A parked incremental poll is woken by a partition it did not name.
			req := f.request(8 << 20)
			req.MaxWaitMillis = 20_000
			corr := n.waiting(f.c, req, version)
			writer.produced(at{topic: topic, index: 2, records: b})
			check("woken", f.c.receive(corr, req).(*kmsg.FetchResponse), 2)
			f.epoch++
			closing := f.request(8 << 20)
			closing.SessionEpoch = -1
			if resp := f.c.call(closing, version).(*kmsg.FetchResponse); resp.ErrorCode != 0 || resp.SessionID != 0 {
				t.Fatalf("closing: error %d, session %d", resp.ErrorCode, resp.SessionID)
			}
			if resp := f.next(f.request(8 << 20)); resp.ErrorCode != int16(wire.CodeFetchSessionIDNotFound) {
				t.Fatalf("after closing: error %d", resp.ErrorCode)
			}
		})
	}
}

// TestFetchSessionsRefuse: what does not fit a session is refused as a whole, with Kafka's codes, and leaves the session as it was.
func TestFetchSessionsRefuse(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("refuse", 2, nil)
	part := at{topic: topic, index: 0, max: 1 << 20}
	f, _ := n.follow(n.dialHome(0), 12, part)
	refused := func(what string, c *client, req *kmsg.FetchRequest, version int16, want wire.ErrorCode) {
		t.Helper()
		resp := c.call(req, version).(*kmsg.FetchResponse)
		if resp.ErrorCode != int16(want) || resp.SessionID != 0 || len(resp.Topics) != 0 {
			t.Errorf("%s: error %d, session %d, %d topics; want error %d and nothing else", what, resp.ErrorCode, resp.SessionID, len(resp.Topics), want)
		}
	}
	at := func(id, epoch int32) *kmsg.FetchRequest {
		req := fetchRequest(followWait, 1, 1<<20, part)
		req.SessionID, req.SessionEpoch = id, epoch
		return req
	}
	refused("an unknown id", f.c, at(f.id+1000, 1), 12, wire.CodeFetchSessionIDNotFound)
	refused("no id", f.c, at(0, 1), 12, wire.CodeFetchSessionIDNotFound)
	refused("an epoch to come", f.c, at(f.id, 2), 12, wire.CodeInvalidFetchSessionEpoch)
	refused("a senseless epoch", f.c, at(f.id, -2), 12, wire.CodeInvalidFetchSessionEpoch)
	refused("topic ids in a session of names", f.c, at(f.id, 1), 13, wire.CodeFetchSessionTopicIDError)
	refused("the other shard", n.dialHome(1), at(f.id, 1), 12, wire.CodeFetchSessionIDNotFound)
	if resp := f.next(f.request(1 << 20)); resp.ErrorCode != 0 {
		t.Fatalf("the session did not survive: error %d", resp.ErrorCode)
	}
	refused("an epoch gone by", f.c, at(f.id, 1), 12, wire.CodeInvalidFetchSessionEpoch)
	byID, _ := n.follow(f.c, 15, part)
	refused("names in a session of topic ids", f.c, at(byID.id, 1), 12, wire.CodeFetchSessionTopicIDError)
	// A new full fetch with the id of an old session replaces it.
	again := at(f.id, 0)
	resp := f.c.call(again, 12).(*kmsg.FetchResponse)
	if resp.ErrorCode != 0 || resp.SessionID == 0 || resp.SessionID == f.id {
		t.Fatalf("starting over: error %d, session %d after %d", resp.ErrorCode, resp.SessionID, f.id)
	}
	refused("the replaced session", f.c, at(f.id, f.epoch), 12, wire.CodeFetchSessionIDNotFound)
}

// TestFetchSessionsAreAsManyAsThereIsRoomFor: with two slots, the third client goes without a session and the two keep theirs; with none, everyone
// goes without.
func TestFetchSessionsAreAsManyAsThereIsRoomFor(t *testing.T) {
	n := startNode(t, 1, "max.incremental.fetch.session.cache.slots=2")
	topic := n.create("room", 1, nil)
	part := at{topic: topic, index: 0, max: 1 << 20}
	a, _ := n.follow(n.dial(), 12, part)
	b, _ := n.follow(n.dial(), 12, part)
	third := fetchRequest(0, 0, 1<<20, part)
	third.SessionEpoch = 0
	if resp := n.dial().call(third, 12).(*kmsg.FetchResponse); resp.ErrorCode != 0 || resp.SessionID != 0 || len(resp.Topics) != 1 {
		t.Errorf("the third: error %d, session %d, %d topics", resp.ErrorCode, resp.SessionID, len(resp.Topics))
	}
	for _, f := range []*follower{a, b} {
		if resp := f.next(f.request(1 << 20)); resp.ErrorCode != 0 {
			t.Errorf("session %d: error %d, want it kept", f.id, resp.ErrorCode)
		}
	}
	if got := n.desk(0).Sessions; got != 2 {
		t.Errorf("%d sessions, want 2", got)
	}
	none := startNode(t, 1, "max.incremental.fetch.session.cache.slots=0")
	lone := none.create("room", 1, nil)
	req := fetchRequest(0, 0, 1<<20, at{topic: lone, index: 0, max: 1 << 20})
	req.SessionEpoch = 0
	if resp := none.dial().call(req, 12).(*kmsg.FetchResponse); resp.ErrorCode != 0 || resp.SessionID != 0 || len(resp.Topics) != 1 {
		t.Errorf("without slots: error %d, session %d, %d topics", resp.ErrorCode, resp.SessionID, len(resp.Topics))
	}
}

// TestFetchSessionsOfATopicMadeAnew: a session of names goes on with the new topic of the name; one of ids is told, once per answer,
// that its topic is gone, and goes on when the client names the new id.
func TestFetchSessionsOfATopicMadeAnew(t *testing.T) {
	n := startNode(t, 2)
	old := n.create("anew", 1, nil)
	writer := n.dial()
	writer.produced(at{topic: old, index: 0, records: records(1, 3, 50)})
	named, _ := n.follow(n.dial(), 12, at{topic: old, index: 0, offset: 3, max: 1 << 20})
	byID, _ := n.follow(n.dial(), 17, at{topic: old, index: 0, offset: 3, max: 1 << 20})
	n.remove(old)
	gone := fetched(byID.next(byID.request(1 << 20)))
	if len(gone) != 1 || gone[0].ErrorCode != int16(wire.CodeUnknownTopicID) {
		t.Fatalf("by id, deleted: %d partitions, %+v", len(gone), gone)
	}
	topic := n.create("anew", 1, nil)
	b := records(2, 1, 60)
	writer.produced(at{topic: topic, index: 0, records: b})
	// The offset of before lies beyond the new topic's end.
	parts := fetched(named.next(named.request(1 << 20)))
	if len(parts) != 1 || parts[0].ErrorCode != int16(wire.CodeOffsetOutOfRange) {
		t.Fatalf("by name: %+v", parts)
	}
	parts = fetched(named.next(named.request(1<<20, at{topic: topic, index: 0, max: 1 << 20})))
	if len(parts) != 1 || !bytes.Equal(parts[0].RecordBatches, stamped(b, 0, 0)) {
		t.Fatalf("by name, from its start: %+v", parts)
	}
	if parts = fetched(byID.next(byID.request(1 << 20))); len(parts) != 1 || parts[0].ErrorCode != int16(wire.CodeUnknownTopicID) {
		t.Fatalf("by the old id: %+v", parts)
	}
	parts = fetched(byID.next(forget(byID.request(1<<20, at{topic: topic, index: 0, max: 1 << 20}), old, 0)))
	if len(parts) != 1 || parts[0].ErrorCode != 0 || !bytes.Equal(parts[0].RecordBatches, stamped(b, 0, 0)) {
		t.Fatalf("by the new id: %+v", parts)
	}
}

// TestFetchSessionsMove: a session goes with its connection to the shard that the connection asks, and on from there; one that several connections
// use stays.
func TestFetchSessionsMove(t *testing.T) {
	n := startNodeWith(t, 2, func(*Front) {})
	topic := n.create("along", 4, nil)
	part := at{topic: topic, index: n.on(topic, 1), max: 1 << 20}
	// moves follows until the connection has gone from shard 0.
	moves := func(f *follower) {
		t.Helper()
		before := n.hub(0).Moved
		for deadline := time.Now().Add(20 * time.Second); n.hub(0).Moved == before; {
			if time.Now().After(deadline) {
				t.Fatal("the connection stays")
			}
			if resp := f.next(f.request(8 << 20)); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
				t.Fatalf("before it moves: error %d, %d topics", resp.ErrorCode, len(resp.Topics))
			}
		}
	}
	f, _ := n.follow(n.dialHome(0), 13, part)
	moves(f)
	b := records(1, 2, 100)
	n.dialHome(1).produced(at{topic: topic, index: part.index, records: b})
	resp := f.next(f.request(8 << 20))
	if got := fetched(resp); resp.ErrorCode != 0 || len(got) != 1 || !bytes.Equal(got[0].RecordBatches, stamped(b, 0, 0)) {
		t.Fatalf("after the move: error %d, %d partitions", resp.ErrorCode, len(got))
	}
	if here, there := n.desk(0), n.desk(1); here.Sessions != 0 || there.Sessions != 1 {
		t.Errorf("%d and %d sessions, want it on the second shard", here.Sessions, there.Sessions)
	}
	shared, _ := n.follow(n.dialHome(0), 13, at{topic: topic, index: part.index, offset: 2, max: 1 << 20})
	other := &follower{c: n.dialHome(0), version: 13, id: shared.id, epoch: shared.epoch}
	if resp := other.next(other.request(8 << 20)); resp.ErrorCode != 0 {
		t.Fatalf("another connection with the session: error %d", resp.ErrorCode)
	}
	shared.epoch = other.epoch
	moves(shared)
	if resp := shared.next(shared.request(8 << 20)); resp.ErrorCode != int16(wire.CodeFetchSessionIDNotFound) {
		t.Errorf("a shared session after the move: error %d", resp.ErrorCode)
	}
	if got := n.desk(0).Sessions; got != 1 {
		t.Errorf("%d sessions stayed, want the shared one", got)
	}
}

// TestFetchSessionsTakeTurns: when an answer has room for one partition only, the others come first next time.
func TestFetchSessionsTakeTurns(t *testing.T) {
	n := startNode(t, 3)
	topic := n.create("turns", 6, nil)
	writer := n.dial()
	var parts []at
	for index := range topic.Partitions() {
		writer.produced(at{topic: topic, index: index, records: records(int64(index), 1, 5000)})
		parts = append(parts, at{topic: topic, index: index, max: 1 << 20})
	}
	f, _ := n.follow(n.dial(), 12, parts...)
	got := make(map[int32]int)
	for range 3 * len(parts) {
		answered := fetched(f.next(f.request(100))) // room for the first batch alone
		for _, p := range answered {
			if len(p.RecordBatches) > 0 {
				got[p.Partition]++
			}
		}
	}
	for index := range topic.Partitions() {
		if got[index] != 3 {
			t.Errorf("partition %d had %d turns of %d, want 3", index, got[index], 3*len(parts))
		}
	}
}
