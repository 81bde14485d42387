package versus

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// longName is as long as a name can be: its length has two bytes, with a sign.
var longName = strings.Repeat("n", 1<<15-1)

// coordinator waits until both know who coordinates groups: the topic they are kept in is made when somebody asks first.
func (s *script) coordinator() {
	s.prepare("who coordinates groups", func(*party) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = "any"
		return versioned(req, 2)
	}, func(resp kmsg.Response) error {
		if code := resp.(*kmsg.FindCoordinatorResponse).ErrorCode; code != 0 {
			return fmt.Errorf("%s", codeName(code))
		}
		return nil
	})
	s.prepare("groups are loaded", func(*party) kmsg.Request { return versioned(kmsg.NewPtrListGroupsRequest(), 4) }, func(resp kmsg.Response) error {
		if code := resp.(*kmsg.ListGroupsResponse).ErrorCode; code != 0 {
			return fmt.Errorf("%s", codeName(code))
		}
		return nil
	})
}

// subscribing is what a consumer of topics says of itself.
func subscribing(topics ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, topic := range topics {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(topic))), topic...)
	}
	b = binary.BigEndian.AppendUint32(b, 1<<32-1) // no user data
	return binary.BigEndian.AppendUint32(b, 0)    // owns nothing
}

const (
	sessionMs = 30_000
	// joinAs is the version in which scenes about other keys join: new members are taken at once.
	joinAs = 3
	// joinStaticAs is the first version with static members.
	joinStaticAs = 5
)

// joining is a consumer's JoinGroup. The member is one that was kept under a name, or nobody for "".
func joining(p *party, v int16, group, member string, change func(req *kmsg.JoinGroupRequest), protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = group, p.memberID(member), "consumer", sessionMs, sessionMs
	if len(protocols) == 0 {
		protocols = []string{"range"}
	}
	for _, name := range protocols {
		proto := kmsg.NewJoinGroupRequestProtocol()
		proto.Name, proto.Metadata = name, subscribing("subscribed")
		req.Protocols = append(req.Protocols, proto)
	}
	if change != nil {
		change(req)
	}
	return versioned(req, v)
}

// memberID is the id a member was given; a name nobody has is taken for an id.
func (p *party) memberID(name string) string {
	if id, ok := p.said[name]; ok {
		return id
	}
	return name
}

// member has both sides take a member of a group in, keeps its id and generation under a name, and gives it its assignment.
func (s *script) member(group, name string, change func(req *kmsg.JoinGroupRequest)) {
	s.join(group, name, change)
	s.prepare("assign "+name, func(p *party) kmsg.Request {
		return syncing(p, 3, group, name, nil)
	}, func(resp kmsg.Response) error {
		if r := resp.(*kmsg.SyncGroupResponse); r.ErrorCode != 0 {
			return fmt.Errorf("%s", codeName(r.ErrorCode))
		}
		return nil
	})
}

// join is member without an assignment.
func (s *script) join(group, name string, change func(req *kmsg.JoinGroupRequest)) {
	for _, p := range s.parties() {
		v := int16(joinAs)
		probe := joining(p, joinAs, group, "", change)
		if probe.InstanceID != nil {
			v = joinStaticAs
		}
		s.prepareOne(p, "join as "+name, versioned(probe, v), func(resp kmsg.Response) error {
			r := resp.(*kmsg.JoinGroupResponse)
			if r.ErrorCode != 0 {
				return fmt.Errorf("%s", codeName(r.ErrorCode))
			}
			p.said[name], p.kept[name] = r.MemberID, int64(r.Generation)
			return nil
		})
	}
}

// syncing is the SyncGroup of a leader that is alone.
func syncing(p *party, v int16, group, member string, change func(req *kmsg.SyncGroupRequest)) *kmsg.SyncGroupRequest {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = group, p.memberID(member), int32(p.kept[member])
	kind, name := "consumer", "range"
	req.ProtocolType, req.Protocol = &kind, &name
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = req.MemberID, []byte("its part")
	req.GroupAssignment = append(req.GroupAssignment, a)
	if change != nil {
		change(req)
	}
	return versioned(req, v)
}

// as makes a join, sync or heartbeat that of a static member.
func as(instance string) func(req *kmsg.JoinGroupRequest) {
	return func(req *kmsg.JoinGroupRequest) { req.InstanceID = &instance }
}

func sceneFindCoordinator(s *script, v int16) {
	ask := func(step string, kind int8, keys ...string) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType, req.CoordinatorKeys = kind, keys
			if len(keys) > 0 {
				req.CoordinatorKey = keys[0]
			}
			return versioned(req, v)
		})
	}
	ask("of a group", 0, "group")
	ask("of several", 0, "group", "another", "")
	ask("of nothing", 0)
	// Nobody coordinates transactions here yet; Kafka would make a topic for them, which all later lists would show.
	if v >= 1 {
		ask("of a kind that is not there", 9, "group")
		ask("of a negative kind", -1, "group")
	}
	ask("of shares, badly named", 2, "group")
	ask("of a group with a long name", 0, longName)
}

func sceneJoinGroup(s *script, v int16) {
	group := fmt.Sprintf("join-%d", v)
	do := func(step, group, member string, change func(req *kmsg.JoinGroupRequest), protocols ...string) {
		s.do(step, func(p *party) kmsg.Request { return joining(p, v, group, member, change, protocols...) })
	}
	session := func(ms int32) func(req *kmsg.JoinGroupRequest) {
		return func(req *kmsg.JoinGroupRequest) { req.SessionTimeoutMillis = ms }
	}
	do("no group", "", "", nil)
	do("a short session", group, "", session(5999))
	do("a long session", group, "", session(1_800_001))
	do("a negative session", group, "", session(-1))
	do("a member of no group", group+"-missing", "somebody", nil)
	do("no protocol type", group+"-typeless", "", func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "" })
	do("no protocols", group+"-mute", "", func(req *kmsg.JoinGroupRequest) { req.Protocols = nil })
	do("a new member", group, "", nil, "range", "sticky")
	s.member(group+"-known", group, nil)
	do("an unknown member", group+"-known", "somebody", nil)
	do("another type", group+"-known", "", func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "connect" })
	do("other protocols", group+"-known", "", nil, "other")
	do("the leader again", group+"-known", group, nil)
	do("the leader, before it assigned", group+"-known", group, nil)
	do("the leader, with more to say", group+"-known", group, nil, "range", "sticky")
	do("the leader, with nothing in common", group+"-known", group, nil, "other")
	if v >= joinStaticAs {
		s.member(group+"-static", group+"-one", as("one"))
		do("a static member that comes back", group+"-static", "", as("one"))
		do("with the id it had", group+"-static", group+"-one", as("one"))
		do("with an instance nobody has", group+"-static", group+"-one", as("two"))
		do("a new static member", group+"-static-new", "", as("one"))
		do("an instance with the longest id", group+"-longest", "", as(longName[37:]))
	}
	do("a group with a long name", longName[:len(longName)-1]+fmt.Sprint(v), "", nil)
	do("a protocol with a long name", group+"-protocol", "", nil, longName)
	do("much to say", group+"-much", "", func(req *kmsg.JoinGroupRequest) {
		req.Protocols[0].Metadata = append(subscribing("subscribed"), make([]byte, 900_000)...)
	})
	s.ask("what became of them", describing(6, group, group+"-typeless", group+"-mute", group+"-missing", group+"-known", group+"-static"))
}

func describing(v int16, groups ...string) maker {
	return func(*party) kmsg.Request {
		req := kmsg.NewPtrDescribeGroupsRequest()
		req.Groups, req.IncludeAuthorizedOperations = groups, true
		return versioned(req, v)
	}
}

func sceneSyncGroup(s *script, v int16) {
	group := fmt.Sprintf("sync-%d", v)
	s.join(group, group, nil)
	do := func(step, group, member string, change func(req *kmsg.SyncGroupRequest)) {
		s.do(step, func(p *party) kmsg.Request { return syncing(p, v, group, member, change) })
	}
	other := "other"
	do("no group", "", group, nil)
	do("an unknown group", group+"-missing", group, nil)
	do("an unknown member", group, "somebody", nil)
	do("another generation", group, group, func(req *kmsg.SyncGroupRequest) { req.Generation++ })
	do("an old generation", group, group, func(req *kmsg.SyncGroupRequest) { req.Generation-- })
	do("another type", group, group, func(req *kmsg.SyncGroupRequest) { req.ProtocolType = &other })
	do("another protocol", group, group, func(req *kmsg.SyncGroupRequest) { req.Protocol = &other })
	do("no protocol", group, group, func(req *kmsg.SyncGroupRequest) { req.Protocol = nil })
	do("an instance nobody has", group, group, func(req *kmsg.SyncGroupRequest) { req.InstanceID = &other })
	do("an assignment for somebody else", group, group, func(req *kmsg.SyncGroupRequest) { req.GroupAssignment[0].MemberID = "somebody" })
	do("again", group, group, nil)
	s.ask("what is stable", describing(5, group))
	s.join(group+"-two", group+"-two", nil)
	do("its part", group+"-two", group+"-two", nil)
	s.ask("what is stable then", describing(5, group+"-two"))
	s.join(group+"-large", group+"-large", nil)
	do("a part too large to be stored", group+"-large", group+"-large", func(req *kmsg.SyncGroupRequest) {
		req.GroupAssignment[0].MemberAssignment = make([]byte, 1_100_000)
	})
	s.ask("what became of it", describing(5, group+"-large"))
	s.join(group+"-wide", group+"-wide", nil)
	do("a large part", group+"-wide", group+"-wide", func(req *kmsg.SyncGroupRequest) {
		req.GroupAssignment[0].MemberAssignment = make([]byte, 1_000_000)
	})
	do("a group with a long name", longName, group, nil)
}

func sceneHeartbeat(s *script, v int16) {
	group := fmt.Sprintf("beat-%d", v)
	do := func(step, group, member string, change func(req *kmsg.HeartbeatRequest)) {
		s.do(step, func(p *party) kmsg.Request {
			req := kmsg.NewPtrHeartbeatRequest()
			req.Group, req.MemberID, req.Generation = group, p.memberID(member), int32(p.kept[member])
			if change != nil {
				change(req)
			}
			return versioned(req, v)
		})
	}
	instance := func(name string) func(req *kmsg.HeartbeatRequest) {
		return func(req *kmsg.HeartbeatRequest) { req.InstanceID = &name }
	}
	s.join(group, group, nil)
	do("before the assignment", group, group, nil)
	s.member(group+"-stable", group+"-stable", nil)
	do("a member", group+"-stable", group+"-stable", nil)
	do("no group", "", group, nil)
	do("an unknown group", group+"-missing", group, nil)
	do("an unknown member", group+"-stable", "somebody", nil)
	do("nobody", group+"-stable", "", nil)
	do("a group with a long name", longName, group, nil)
	do("a member with a long name", group+"-stable", longName, nil)
	do("another generation", group+"-stable", group+"-stable", func(req *kmsg.HeartbeatRequest) { req.Generation++ })
	do("no generation", group+"-stable", group+"-stable", func(req *kmsg.HeartbeatRequest) { req.Generation = -1 })
	do("an instance nobody has", group+"-stable", group+"-stable", instance("two"))
	s.member(group+"-static", group+"-one", as("one"))
	do("a static member", group+"-static", group+"-one", instance("one"))
	do("a static member under another id", group+"-static", "somebody", instance("one"))
	s.join(group+"-static", group+"-again", as("one"))
	do("the id before", group+"-static", group+"-one", instance("one"))
	do("the id since", group+"-static", group+"-again", instance("one"))
}

func sceneLeaveGroup(s *script, v int16) {
	group := fmt.Sprintf("leave-%d", v)
	do := func(step, group string, leavers ...[2]string) {
		s.do(step, func(p *party) kmsg.Request {
			req := kmsg.NewPtrLeaveGroupRequest()
			req.Group = group
			for i, l := range leavers {
				if i == 0 {
					req.MemberID = p.memberID(l[0])
				}
				m := kmsg.NewLeaveGroupRequestMember()
				m.MemberID = p.memberID(l[0])
				if l[1] != "" {
					m.InstanceID = &leavers[i][1]
				}
				req.Members = append(req.Members, m)
			}
			return versioned(req, v)
		})
	}
	s.member(group, group, nil)
	do("no group", "", [2]string{group})
	do("an unknown group", group+"-missing", [2]string{group})
	do("an unknown member", group, [2]string{"somebody"})
	do("a group with a long name", longName, [2]string{group})
	do("a member", group, [2]string{group})
	do("again", group, [2]string{group})
	s.ask("what is empty", describing(5, group))
	if v >= 3 {
		s.member(group+"-static", group+"-one", as("one"))
		do("nobody", group+"-static")
		do("a member and somebody else's instance", group+"-static", [2]string{group, "one"})
		do("an instance nobody has", group+"-static", [2]string{"", "two"})
		do("no name at all", group+"-static", [2]string{"", ""})
		do("by its instance, and another", group+"-static", [2]string{"", "one"}, [2]string{"somebody", ""})
		s.ask("what is left", describing(5, group+"-static"))
	}
}

func sceneDescribeGroups(s *script, v int16) {
	group := fmt.Sprintf("describe-%d", v)
	s.member(group, group, nil)
	s.join(group+"-begun", group+"-begun", nil)
	s.ask("stable", describing(v, group))
	s.ask("begun", describing(v, group+"-begun"))
	s.ask("unknown among others", describing(v, group+"-missing", group))
	s.ask("no name", describing(v, ""))
	s.ask("a long name", describing(v, longName[100:])) // with room for the words that it is not there
	s.ask("nothing", describing(v))
	s.ask("without operations", func(p *party) kmsg.Request {
		req := describing(v, group)(p).(*kmsg.DescribeGroupsRequest)
		req.IncludeAuthorizedOperations = false
		return req
	})
}

func sceneListGroups(s *script, v int16) {
	s.member(fmt.Sprintf("list-%d", v), fmt.Sprintf("list-%d", v), nil)
	ask := func(step string, states, types []string) {
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrListGroupsRequest()
			req.StatesFilter, req.TypesFilter = states, types
			return versioned(req, v)
		})
	}
	ask("all", nil, nil)
	if v >= 4 {
		ask("stable ones", []string{"Stable"}, nil)
		ask("empty or rebalancing ones", []string{"empty", "PREPARINGREBALANCE", "CompletingRebalance"}, nil)
		ask("of a state that is not there", []string{"Nonsense"}, nil)
	}
	if v >= 5 {
		ask("classic ones", nil, []string{"classic"})
		ask("newer ones", nil, []string{"consumer"})
	}
}
