package group

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"pinion/engine/clock"
)

// rig is a coordinator whose records are stored when the test says so, by default at once.
type rig struct {
	t      *testing.T
	c      *Coordinator
	clock  clock.Hand
	log    []Record // what is durable
	held   []*Append
	hold   bool // appends wait for settle
	ids    uint64
	refuse Code // of what is appended; OK: it is stored
}

var plain = Config{SessionMin: 6 * time.Second, SessionMax: 30 * time.Minute, SizeMax: 1 << 20, MetadataMax: 4096, OffsetsRetention: 7 * 24 * time.Hour}

func newRig(t *testing.T) *rig {
	r := &rig{t: t}
	r.clock.SetWall(1_700_000_000_000)
	r.c = New(plain, r.random)
	r.c.Loaded(r.clock.Now())
	return r
}

// random is a counter: ids tell the order in which they were given.
func (r *rig) random() (id [16]byte) {
	r.ids++
	binary.BigEndian.PutUint64(id[:], r.ids)
	return id
}

// do takes a request in and stores what that calls for.
func (r *rig) do(req Request) {
	r.c.Do(r.clock.Now(), req)
	r.settle()
}

// settle stores what waits, unless it is held.
func (r *rig) settle() {
	r.held = append(r.held, r.c.Appends()...)
	for !r.hold && len(r.held) > 0 {
		a := r.held[0]
		r.held = r.held[1:]
		if r.refuse == OK {
			r.log = append(r.log, a.Records...)
		}
		r.c.Stored(r.clock.Now(), a, r.refuse)
		r.held = append(r.held, r.c.Appends()...)
	}
	r.c.Answers()
}

// release stores what was held.
func (r *rig) release() {
	r.hold = false
	r.settle()
}

// pass lets time go by, deadline after deadline.
func (r *rig) pass(d time.Duration) {
	end := r.clock.Now().Mono.Add(d)
	for {
		when, ok := r.c.Next()
		if !ok || when > end {
			break
		}
		r.clock.Advance(max(0, when.Sub(r.clock.Now().Mono)))
		r.c.Tick(r.clock.Now())
		r.settle()
	}
	r.clock.Advance(end.Sub(r.clock.Now().Mono))
}

// restart is another coordinator with what is durable.
func (r *rig) restart() {
	r.c = New(r.c.config, r.random)
	for _, record := range r.log {
		if known, err := r.c.Replay(record.Key, record.Value); err != nil || !known {
			r.t.Fatalf("replay: known %v, %v", known, err)
		}
	}
	r.c.Loaded(r.clock.Now())
	r.settle()
}

func answered(r Request) bool { return r.common().answered }

// expect wants a request to be answered with a code.
func (r *rig) expect(what string, req Request, code Code) {
	r.t.Helper()
	if !answered(req) {
		r.t.Fatalf("%s is not answered", what)
	}
	if got := CodeOf(req); got != code {
		r.t.Fatalf("%s: code %d, want %d", what, got, code)
	}
}

func (r *rig) waits(what string, req Request) {
	r.t.Helper()
	if answered(req) {
		r.t.Fatalf("%s is answered with code %d and should wait", what, CodeOf(req))
	}
}

// subscription is what a consumer of these topics says of itself.
func subscription(topics ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, topic := range topics {
		b = appendShortText(b, topic)
	}
	return binary.BigEndian.AppendUint32(b, 1<<32-1)
}

// joinOf is the join of a consumer of a topic.
func joinOf(member string, protocols ...string) *Join {
	j := &Join{Common: Common{Group: "g"}, Member: member, ClientID: "client", ClientHost: "/host", Type: consumers, Session: 10 * time.Second, Rebalance: time.Minute}
	if len(protocols) == 0 {
		protocols = []string{"range"}
	}
	for _, p := range protocols {
		j.Protocols = append(j.Protocols, Protocol{Name: p, Metadata: subscription("topic")})
	}
	return j
}

// static makes a join that of a static member.
func (r *Join) static(instance string) *Join {
	r.Instance = &instance
	return r
}

func syncOf(j *Join, assign ...*Join) *Sync {
	s := &Sync{Common: Common{Group: "g"}, Member: j.Assigned, Instance: j.Instance, Generation: j.Generation}
	for i, to := range assign {
		s.Assignments = append(s.Assignments, Assignment{Member: to.Assigned, Bytes: fmt.Appendf(nil, "part %d", i)})
	}
	return s
}

func beatOf(j *Join) *Heartbeat {
	return &Heartbeat{Common: Common{Group: "g"}, Member: j.Assigned, Instance: j.Instance, Generation: j.Generation}
}

func commitOf(j *Join, offset int64) *Commit {
	c := &Commit{Common: Common{Group: "g"}, Generation: -1, Retention: -1, Topics: []CommitTopic{{Topic: "topic", Partitions: []CommitPartition{{Offset: offset, Epoch: -1}}}}}
	if j != nil {
		c.Member, c.Instance, c.Generation = j.Assigned, j.Instance, j.Generation
	}
	return c
}

// offset is what is committed for the one partition the tests use.
func (r *rig) offset() int64 {
	f := &Fetch{Common: Common{Group: "g"}, Topics: []FetchTopic{{Topic: "topic", Partitions: make([]FetchPartition, 1)}}}
	r.do(f)
	return f.Topics[0].Partitions[0].Offset
}

func (r *rig) describe() *Describe {
	d := &Describe{Common: Common{Group: "g"}}
	r.do(d)
	return d
}

// stable is a group whose members have their parts, the leader first.
func (r *rig) stable(members ...*Join) {
	r.t.Helper()
	for _, m := range members {
		r.do(m)
	}
	r.pass(0) // the first delay
	for _, m := range members {
		r.expect("join", m, OK)
	}
	for i := len(members) - 1; i >= 0; i-- {
		var assign []*Join
		if i == 0 {
			assign = members
		}
		s := syncOf(members[i], assign...)
		r.do(s)
		if i == 0 {
			r.expect("sync of the leader", s, OK)
		}
	}
	if d := r.describe(); d.State != Stable || len(d.Members) != len(members) {
		r.t.Fatalf("the group is %s with %d members", d.State, len(d.Members))
	}
}
