package group

import (
	"bytes"
	"slices"
	"time"

	"pinion/engine/clock"
	"pinion/engine/must"
)

// group is one group, in the classic protocol or without members of any.
type group struct {
	id              string
	state, previous State
	since           int64 // wall time of the last change of state; -1 unknown (an old record)
	generation      int32
	kind            string  // protocol type; empty: none yet
	protocol        *string // of this generation
	leader          *member
	members         []*member // in the order they came
	byID            map[string]*member
	byInstance      map[string]*member
	supported       map[string]int       // members that speak a protocol
	pending         map[string]*newcomer // were given an id and have not come back with it
	joining         deadline             // the end of Preparing
	syncing         deadline             // by which every member has to have sent its Sync
	awaiting        int                  // members with a Join that waits
	owing           int                  // members that owe a Sync
	came            bool                 // somebody new did during the first delay
	assigning       bool                 // the assignment of this generation is being stored
	topics          map[string]bool      // that its consumers read; nil: not known
	offsets         map[offsetKey]committed
	storing         []*Append      // under way, in the order of the log
	fetches         []waitingFetch // that wait for some of them
	recorded        bool           // the log may hold a record of the group itself
}

// waitingFetch waits for all appends up to a number.
type waitingFetch struct {
	fetch *Fetch
	after uint64
}

// newcomer is a member that was told its id and has to join with it.
type newcomer struct{ session deadline }

// member is one member of a group.
type member struct {
	id                 string
	instance           *string
	client, host       string
	rebalance, session time.Duration
	protocols          []Protocol
	assignment         []byte
	alive              deadline
	join               *Join // that waits
	sync               *Sync
	fresh              bool // has never been told that it is a member
	owes               bool // a Sync of this generation
}

// is changes the state.
func (g *group) is(state State, now clock.Now) {
	g.previous, g.state, g.since = g.state, state, int64(now.Wall)
}

func (g *group) add(m *member) {
	if len(g.members) == 0 && m.join != nil {
		g.kind = m.join.Type
	}
	if m.instance != nil {
		if g.byInstance[*m.instance] != nil {
			must.Failf("group %s has two members of instance %s", g.id, *m.instance)
		}
		g.byInstance[*m.instance] = m
	}
	if g.leader == nil {
		g.leader = m
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	g.count(m, 1)
	if m.join != nil {
		g.awaiting++
	}
}

// count adds what the member speaks to what the group does, or takes it away.
func (g *group) count(m *member, n int) {
	for i := range m.protocols {
		name := m.protocols[i].Name
		if named := func(p Protocol) bool { return p.Name == name }; slices.IndexFunc(m.protocols, named) != i {
			continue // said twice
		}
		if g.supported[name] += n; g.supported[name] == 0 {
			delete(g.supported, name)
		}
	}
}

// remove takes a member out. If it waits for an answer, that is that it is none.
func (c *Coordinator) remove(g *group, m *member) {
	c.deadlines.cancel(&m.alive)
	c.dismiss(g, m, "", UnknownMember)
	c.endSync(m, UnknownMember)
	if i := slices.Index(g.members, m); i >= 0 {
		g.members = slices.Delete(g.members, i, i+1)
	}
	delete(g.byID, m.id)
	if m.instance != nil && g.byInstance[*m.instance] == m {
		delete(g.byInstance, *m.instance)
	}
	g.count(m, -1)
	g.paid(m)
	if g.leader == m {
		g.leader = nil
		if len(g.members) > 0 {
			g.leader = g.members[0]
		}
	}
}

// drop forgets a newcomer.
func (c *Coordinator) drop(g *group, id string) {
	if n := g.pending[id]; n != nil {
		c.deadlines.cancel(&n.session)
		delete(g.pending, id)
	}
}

// paid notes that a member owes no Sync any more.
func (g *group) paid(m *member) {
	if m.owes {
		m.owes = false
		g.owing--
	}
}

// everybodyJoined reports whether nobody is waited for any more.
func (g *group) everybodyJoined() bool { return len(g.members) == g.awaiting && len(g.pending) == 0 }

// rebalanceTimeout is that of the most patient member.
func (g *group) rebalanceTimeout() time.Duration {
	longest := time.Duration(0)
	for _, m := range g.members {
		longest = max(longest, m.rebalance)
	}
	return longest
}

// speaks reports whether a member that joins has a protocol in common with all who are there.
func (g *group) speaks(kind string, protocols []Protocol) bool {
	if g.state == Empty {
		return kind != "" && len(protocols) > 0
	}
	if g.kind != kind || kind == "" {
		return false
	}
	for i := range protocols {
		if g.supported[protocols[i].Name] == len(g.members) {
			return true
		}
	}
	return false
}

// vote chooses the protocol most members like best of those that all speak. Between equals the one the earlier member likes wins.
func (g *group) vote() string {
	votes := map[string]int{}
	best := ""
	for _, m := range g.members {
		for i := range m.protocols {
			if name := m.protocols[i].Name; g.supported[name] == len(g.members) {
				votes[name]++
				break
			}
		}
	}
	for _, m := range g.members {
		for i := range m.protocols {
			if name := m.protocols[i].Name; votes[name] > votes[best] {
				best = name
			}
		}
	}
	return best
}

// readTopics notes what the group's consumers subscribe to, as far as they say so.
func (g *group) readTopics() {
	g.topics = nil
	if g.kind != consumers {
		return
	}
	topics := map[string]bool{}
	for _, m := range g.members {
		if g.protocol == nil || !subscribed(m.metadata(g.protocol), topics) {
			return
		}
	}
	g.topics = topics
}

// consumers is the protocol type of consumers.
const consumers = "consumer"

// reads reports whether the group is, or may be, subscribed to a topic.
func (g *group) reads(topic string) bool {
	if g.topics != nil {
		return g.topics[topic]
	}
	return g.kind == consumers
}

// metadata is what the member says under a protocol; nil if it does not speak it.
func (m *member) metadata(protocol *string) []byte {
	if protocol == nil {
		return nil
	}
	for i := range m.protocols {
		if p := &m.protocols[i]; p.Name == *protocol {
			if p.Metadata == nil {
				return []byte{}
			}
			return p.Metadata
		}
	}
	return nil
}

// same reports whether the member says what it said before.
func (m *member) same(protocols []Protocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// validate says why somebody is not the member it says it is.
func (g *group) validate(id string, instance *string) (*member, Code) {
	if instance != nil {
		switch holder := g.byInstance[*instance]; {
		case holder == nil:
			return nil, UnknownMember
		case holder.id != id:
			return nil, FencedInstance
		}
	}
	m := g.byID[id]
	if m == nil {
		return nil, UnknownMember
	}
	return m, OK
}

// chosen is the protocol of the generation, for answers.
func (g *group) chosen() *Chosen { return &Chosen{Type: g.kind, Name: g.protocol} }

// subscribers are the members as the leader sees them.
func (g *group) subscribers() []Subscriber {
	list := make([]Subscriber, 0, len(g.members))
	for _, m := range g.members {
		list = append(list, Subscriber{Member: m.id, Instance: m.instance, Metadata: m.metadata(g.protocol)})
	}
	return list
}

// record is the group with an assignment for each member, as it is stored.
func (g *group) record(assignment func(m *member) []byte) Record {
	r := groupRecord{kind: g.kind, generation: g.generation, protocol: g.protocol, since: g.since}
	if g.leader != nil {
		r.leader = &g.leader.id
	}
	for _, m := range g.members {
		r.members = append(r.members, memberRecord{
			id: m.id, instance: m.instance, client: m.client, host: m.host, rebalance: int32(m.rebalance.Milliseconds()),
			session: int32(m.session.Milliseconds()), subscription: m.metadata(g.protocol), assignment: assignment(m),
		})
	}
	g.recorded = true
	return Record{Key: appendGroupKey(nil, g.id), Value: r.append(nil)}
}
