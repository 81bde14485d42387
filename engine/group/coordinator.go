package group

import (
	"encoding/hex"
	"slices"
	"time"

	"pinion/engine/clock"
	"pinion/engine/mutant"
)

// Config is what the broker's configuration says about groups.
type Config struct {
	SessionMin, SessionMax time.Duration
	InitialDelay           time.Duration // group.initial.rebalance.delay.ms
	SizeMax                int           // members of a group
	MetadataMax            int           // characters of a commit's own words
	OffsetsRetention       time.Duration
	BytesMax               int // of everything that is kept; 0: a bound that honest groups never meet
}

// newMemberPatience is how long a member that has just come may wait for the others: nobody hears of it meanwhile, and a connection that
// waits for an answer does not tell that the client is gone. Kafka's is the same.
const newMemberPatience = 5 * time.Minute

// Coordinator is the groups of one partition of __consumer_offsets. One owner at a time, who calls Do, Tick, Expire and Stored, and takes
// Answers and Appends after each.
type Coordinator struct {
	// Immutable after New.
	random func() [16]byte // no two alike: ids of members

	config    Config
	now       clock.Now // of the call under way
	groups    map[string]*group
	deadlines deadlines
	answers   handed[Request]
	appends   handed[*Append]
	appended  uint64 // appends so far
	scale     scale
	stats     Stats
}

// Stats are counters of one coordinator.
type Stats struct {
	Groups, Members, Offsets int
	ByState                  [Dead]int
	Commits, Rebalances      uint64 // offsets committed; rebalances completed
	Expired                  uint64 // offsets
}

// Add sums two coordinators' counters.
func (s *Stats) Add(other Stats) {
	s.Groups, s.Members, s.Offsets = s.Groups+other.Groups, s.Members+other.Members, s.Offsets+other.Offsets
	for i := range s.ByState {
		s.ByState[i] += other.ByState[i]
	}
	s.Commits, s.Rebalances, s.Expired = s.Commits+other.Commits, s.Rebalances+other.Rebalances, s.Expired+other.Expired
}

// Append is records that are to be stored together. Whoever stores them says through Stored what became of them.
type Append struct {
	Records []Record
	group   *group
	number  uint64
	keys    []offsetKey // of offsets that are committed,
	values  []committed // and these
	done    func(code Code)
}

// New makes a coordinator without groups. Replay fills it, Loaded starts it.
func New(config Config, random func() [16]byte) *Coordinator {
	return &Coordinator{random: random, config: config, groups: map[string]*group{}}
}

// Configure puts another configuration in force, for what happens from now on.
func (c *Coordinator) Configure(config Config) { c.config = config }

// Do takes a request in.
func (c *Coordinator) Do(now clock.Now, r Request) {
	c.now = now
	switch r := r.(type) {
	case *Join:
		c.join(r)
	case *Sync:
		c.sync(r)
	case *Heartbeat:
		c.heartbeat(r)
	case *Leave:
		c.leave(r)
	case *Commit:
		c.commit(r)
	case *Fetch:
		c.fetch(r)
	case *DeleteOffsets:
		c.deleteOffsets(r)
	case *Delete:
		c.deleteGroup(r)
	case *Describe:
		c.describe(r)
	case *List:
		c.list(r)
	}
}

// Next is when Tick may have something to do: not before.
func (c *Coordinator) Next() (clock.Mono, bool) { return c.deadlines.next() }

// Tick does what is due.
func (c *Coordinator) Tick(now clock.Now) {
	c.now = now
	for at := c.deadlines.due(c.moment()); at != nil; at = c.deadlines.due(c.moment()) {
		at.fire()
	}
}

// moment is what deadlines are counted by: never the wall clock, which steps.
func (c *Coordinator) moment() clock.Mono {
	if mutant.On(mutant.GroupSessionByWall) {
		return clock.Mono(c.now.Wall) * clock.Mono(time.Millisecond)
	}
	return c.now.Mono
}

// Answers takes the requests that are answered. The list is the caller's until the next call.
func (c *Coordinator) Answers() []Request { return c.answers.take() }

// Appends takes what is to be stored, in this order. The list is the caller's until the next call.
func (c *Coordinator) Appends() []*Append { return c.appends.take() }

// handed is a list that is taken again and again: two pieces of memory, one of which the caller looks at while the other fills.
type handed[T any] struct{ filling, taken []T }

func (h *handed[T]) take() []T {
	clear(h.taken)
	h.filling, h.taken = h.taken[:0], h.filling
	return h.taken
}

// Stored tells that the records are durable, or why they will never be. Those that are come in the order in which they were appended.
func (c *Coordinator) Stored(now clock.Now, a *Append, code Code) {
	c.now = now
	g := a.group
	g.storing = slices.DeleteFunc(g.storing, func(other *Append) bool { return other == a })
	a.done(code)
	c.letFetchesGo(g)
}

// Dismiss answers everybody who waits for other members.
func (c *Coordinator) Dismiss(code Code) {
	for _, id := range c.ids() {
		g := c.groups[id]
		for _, m := range g.members {
			c.dismiss(g, m, m.id, code)
			c.endSync(m, code)
		}
	}
}

// Abandon answers everybody who waits for anything: the coordinator is not used after it.
func (c *Coordinator) Abandon(code Code) {
	c.Dismiss(code)
	for _, id := range c.ids() {
		g := c.groups[id]
		for _, a := range g.storing {
			a.done(code)
		}
		for _, w := range g.fetches {
			c.answer(w.fetch, code)
		}
		g.storing, g.fetches = nil, nil
	}
	c.appends.take()
}

// Stats copies the counters.
func (c *Coordinator) Stats() Stats {
	st := c.stats
	for _, g := range c.groups {
		if g.state < Dead {
			st.ByState[g.state]++
		}
		st.Groups++
		st.Members += len(g.members)
		st.Offsets += len(g.offsets)
	}
	return st
}

func (c *Coordinator) answer(r Request, code Code) {
	common := r.common()
	if common.answered {
		return
	}
	common.answered, common.Code = true, code
	c.answers.filling = append(c.answers.filling, r)
}

// append has records of a group stored; done is called with what became of them.
func (c *Coordinator) append(g *group, records []Record, done func(code Code)) *Append {
	c.appended++
	a := &Append{Records: records, group: g, number: c.appended, done: done}
	g.storing = append(g.storing, a)
	c.appends.filling = append(c.appends.filling, a)
	return a
}

// create makes a group that nobody has heard of yet.
func (c *Coordinator) create(id string) *group {
	g := &group{id: id, since: int64(c.now.Wall), byID: map[string]*member{}, byInstance: map[string]*member{}, supported: map[string]int{}, pending: map[string]*newcomer{},
		offsets: map[offsetKey]committed{}}
	c.groups[id] = g
	return g
}

// forget removes a group; whatever of it is still being stored finds nothing to change.
func (c *Coordinator) forget(g *group) {
	for _, n := range g.pending {
		c.deadlines.cancel(&n.session)
	}
	c.deadlines.cancel(&g.joining)
	c.deadlines.cancel(&g.syncing)
	g.state = Dead
	if c.groups[g.id] == g {
		delete(c.groups, g.id)
	}
}

// idBytes is what makes the id of a member unique, behind what it calls itself.
const idBytes = 1 + 36

// called is what a new member calls itself.
func (r *Join) called() string {
	if r.Instance != nil {
		return *r.Instance
	}
	return r.ClientID
}

// memberID makes the id of a new member: what it calls itself, and what makes it unique.
func (c *Coordinator) memberID(r *Join) string {
	u := c.random()
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	h := hex.EncodeToString(u[:])
	return r.called() + "-" + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ids of the groups, in order.
func (c *Coordinator) ids() []string {
	ids := make([]string, 0, len(c.groups))
	for id := range c.groups {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
