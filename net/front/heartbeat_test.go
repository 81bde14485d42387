package front

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/coordinator"
)

// joined makes the connection's client the only member of a group and returns its heartbeat.
func (n *node) joined(c *client, group string) *kmsg.HeartbeatRequest {
	n.tb.Helper()
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKey = group
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = group, "consumer", 10_000, 10_000
	protocol := kmsg.NewJoinGroupRequestProtocol()
	protocol.Name = "range"
	join.Protocols = append(join.Protocols, protocol)
	for end := time.Now().Add(replyMax); ; time.Sleep(10 * time.Millisecond) { // until the offsets topic is there and read
		if found := c.call(find, 3).(*kmsg.FindCoordinatorResponse); found.ErrorCode == 0 {
			if resp := c.call(join, 3).(*kmsg.JoinGroupResponse); resp.ErrorCode == 0 {
				sync := kmsg.NewPtrSyncGroupRequest()
				sync.Group, sync.MemberID, sync.Generation = group, resp.MemberID, resp.Generation
				a := kmsg.NewSyncGroupRequestGroupAssignment()
				a.MemberID, a.MemberAssignment = resp.MemberID, []byte("all")
				sync.GroupAssignment = append(sync.GroupAssignment, a)
				if synced := c.call(sync, 2).(*kmsg.SyncGroupResponse); synced.ErrorCode != 0 {
					n.tb.Fatalf("sync: %v", kerr.ErrorForCode(synced.ErrorCode))
				}
				beat := kmsg.NewPtrHeartbeatRequest()
				beat.Group, beat.MemberID, beat.Generation = group, resp.MemberID, resp.Generation
				return beat
			}
		}
		if time.Now().After(end) {
			n.tb.Fatalf("nobody coordinates %s", group)
		}
	}
}

// Heartbeats that are said again are answered as the first time, and those that differ from the last in anything by what they say themselves: two members on one
// connection, another generation, each version, and several at once.
func TestHeartbeatsSaidAgain(t *testing.T) {
	n := startNode(t, 2, "group.initial.rebalance.delay.ms=0")
	c := n.dial()
	one, other := n.joined(c, "one"), n.joined(c, "other")
	beat := func(what string, req *kmsg.HeartbeatRequest, version int16, want error) {
		t.Helper()
		if got := kerr.ErrorForCode(c.call(req, version).(*kmsg.HeartbeatResponse).ErrorCode); got != want {
			t.Errorf("%s, version %d: %v, want %v", what, version, got, want)
		}
	}
	for version := int16(0); version <= 4; version++ {
		for range 2 {
			beat("the first", one, version, nil)
			beat("said again", one, version, nil)
			beat("another member", other, version, nil)
			late := *one
			late.Generation--
			beat("another generation", &late, version, kerr.IllegalGeneration)
			beat("another generation, said again", &late, version, kerr.IllegalGeneration)
		}
	}
	instance := "nobody"
	static := *one
	static.InstanceID = &instance
	for range 2 {
		beat("as a static member", &static, 4, kerr.UnknownMemberID)
	}
	beat("as before", one, 4, nil)
	// Too long to be kept: decoded each time, and what was said before is not taken for it.
	endless := *one
	endless.MemberID = strings.Repeat("m", 20_000)
	for range 2 {
		beat("of an endless name", &endless, 4, kerr.UnknownMemberID)
		beat("after an endless name", one, 4, nil)
	}
	// Sent together: the first ones are still on their way when the next are begun.
	const together = 20
	var frames []byte
	first := c.corr + 1
	for i := range together {
		req := one
		if i%3 == 2 {
			req = other
		}
		req.SetVersion(int16(i % 5))
		c.corr++
		frames = append(frames, c.form.AppendRequest(nil, req, c.corr)...)
	}
	if _, err := c.conn.Write(frames); err != nil {
		t.Fatal(err)
	}
	for i := range together {
		one.SetVersion(int16(i % 5))
		if resp := c.receive(first+int32(i), one).(*kmsg.HeartbeatResponse); resp.ErrorCode != 0 {
			t.Errorf("number %d of many: %v", i, kerr.ErrorForCode(resp.ErrorCode))
		}
	}
	// What was good is not any more.
	leave := kmsg.NewPtrLeaveGroupRequest()
	leave.Group, leave.MemberID = one.Group, one.MemberID
	beat("before leaving", one, 4, nil)
	if resp := c.call(leave, 1).(*kmsg.LeaveGroupResponse); resp.ErrorCode != 0 {
		t.Fatalf("leave: %v", kerr.ErrorForCode(resp.ErrorCode))
	}
	beat("after leaving", one, 4, kerr.UnknownMemberID)
	beat("after leaving, said again", one, 4, kerr.UnknownMemberID)
}

// heartbeatAllocations is a member's steady state, with a coordinator on the connection's shard and on the other. Every few heartbeats its connection says
// something else, or each of them would wait for others (conn.Calm).
func heartbeatAllocations(t *testing.T, n *node) {
	topic := n.create("alloc-beat", 1, nil)
	produce := n.canned(0, produceRequest(1, at{topic: topic, index: 0, records: records(1, 1, 100)}), 12)
	n.joined(produce.c, "makes the topic of offsets")
	offsets := n.broker.Control.Image().TopicCalled(coordinator.Topic)
	for home := range 2 {
		group := "a"
		for n.owner(offsets, coordinator.Place(group, offsets.Partitions())) != home {
			group += "a"
		}
		beat := n.joined(produce.c, group)
		beat.SetVersion(4)
		k := &canned{c: produce.c, frame: produce.c.form.AppendRequest(nil, beat, 7), in: produce.in}
		checkAllocations(t, n, func() error {
			if _, err := produce.round(); err != nil {
				return err
			}
			for range 3 {
				if _, err := k.round(); err != nil {
					return err
				}
			}
			return nil
		})
	}
}
