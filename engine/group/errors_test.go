package group

import (
	"testing"
	"time"
)

// What each request gets from a group in each state, where it is not what the state is for: unknown, stale, fenced, out of order, out of bounds.
// The codes are Kafka's, by the names in doc.go; the differential test in bench/versus holds the protocol's answers against Kafka itself.
func TestWrongRequests(t *testing.T) {
	type rows = []struct {
		what string
		req  func(m *Join) Request // m is the member, a static one, of a group that has one
		want Code
	}
	instance := func(name string) *string { return &name }
	beat := func(change func(r *Heartbeat)) func(m *Join) Request {
		return func(m *Join) Request { r := beatOf(m); change(r); return r }
	}
	sync := func(change func(r *Sync)) func(m *Join) Request {
		return func(m *Join) Request { r := syncOf(m); change(r); return r }
	}
	commit := func(change func(r *Commit)) func(m *Join) Request {
		return func(m *Join) Request { r := commitOf(m, 5); change(r); return r }
	}
	join := func(change func(r *Join)) func(m *Join) Request {
		return func(*Join) Request { r := joinOf(""); change(r); return r }
	}
	simple := func(r Request) func(m *Join) Request { return func(*Join) Request { return r } }
	common := Common{Group: "g"}
	everywhere := rows{
		{"join: no group", join(func(r *Join) { r.Group = "" }), InvalidGroup},
		{"join: session too short", join(func(r *Join) { r.Session = plain.SessionMin - 1 }), InvalidSession},
		{"join: session too long", join(func(r *Join) { r.Session = plain.SessionMax + 1 }), InvalidSession},
		{"join: unknown member", join(func(r *Join) { r.Member = "x" }), UnknownMember},
		{"join: no protocols", join(func(r *Join) { r.Protocols = nil }), InconsistentProtocol},
		{"join: no type", join(func(r *Join) { r.Type = "" }), InconsistentProtocol},
		{"sync: no group", simple(&Sync{}), InvalidGroup},
		{"sync: unknown member", simple(&Sync{Common: common, Member: "x"}), UnknownMember},
		{"heartbeat: no group", simple(&Heartbeat{}), InvalidGroup},
		{"heartbeat: unknown member", simple(&Heartbeat{Common: common, Member: "x"}), UnknownMember},
		{"heartbeat: unknown instance", simple(&Heartbeat{Common: common, Member: "x", Instance: instance("x")}), UnknownMember},
		{"leave: no group", simple(&Leave{}), InvalidGroup},
		{"commit: unknown member", simple(&Commit{Common: common, Member: "x", Generation: 1}), UnknownMember},
		{"delete offsets: no group", simple(&DeleteOffsets{}), InvalidGroup},
	}
	member := rows{
		{"join: another type", join(func(r *Join) { r.Type = "connect" }), InconsistentProtocol},
		{"join: nothing in common", join(func(r *Join) { r.Protocols[0].Name = "other" }), InconsistentProtocol},
		{"join: instance of another", func(m *Join) Request { r := joinOf("x"); r.Instance = m.Instance; return r }, FencedInstance},
		{"join: instance nobody has", func(m *Join) Request { r := joinOf(m.Assigned); r.Instance = instance("x"); return r }, UnknownMember},
		{"sync: later generation", sync(func(r *Sync) { r.Generation++ }), IllegalGeneration},
		{"sync: earlier generation", sync(func(r *Sync) { r.Generation-- }), IllegalGeneration},
		{"sync: another id", sync(func(r *Sync) { r.Member = "x" }), FencedInstance},
		{"sync: another type", sync(func(r *Sync) { r.Type = instance("connect") }), InconsistentProtocol},
		{"sync: another protocol", sync(func(r *Sync) { r.Name = instance("other") }), InconsistentProtocol},
		{"heartbeat: later generation", beat(func(r *Heartbeat) { r.Generation++ }), IllegalGeneration},
		{"heartbeat: earlier generation", beat(func(r *Heartbeat) { r.Generation-- }), IllegalGeneration},
		{"heartbeat: another id", beat(func(r *Heartbeat) { r.Member = "x" }), FencedInstance},
		{"commit: later generation", commit(func(r *Commit) { r.Generation++ }), IllegalGeneration},
		{"commit: earlier generation", commit(func(r *Commit) { r.Generation-- }), IllegalGeneration},
		{"commit: no generation", commit(func(r *Commit) { r.Generation = -1 }), IllegalGeneration},
		{"commit: another id", commit(func(r *Commit) { r.Member = "x" }), FencedInstance},
		{"commit: of nobody", func(*Join) Request { return commitOf(nil, 5) }, UnknownMember},
		{"delete: with members", simple(&Delete{common}), NonEmpty},
	}
	for _, c := range []struct {
		state string
		build func(r *rig) *Join
		rows  rows
	}{
		{"no group", func(*rig) *Join { return nil }, append(rows{
			{"commit: generation", simple(&Commit{Common: common, Member: "x", Generation: 1}), NotFound},
			{"delete", simple(&Delete{common}), NotFound},
			{"delete offsets", simple(&DeleteOffsets{Common: common}), NotFound},
			{"describe", simple(&Describe{Common: common}), NotFound},
		}, without(everywhere, "commit: unknown member")...)},
		{"empty", func(r *rig) *Join { r.do(commitOf(nil, 1)); return nil }, append(rows{
			{"sync", simple(&Sync{Common: common, Member: "x"}), UnknownMember},
		}, everywhere...)},
		{"preparing", func(r *rig) *Join {
			a := joinOf("").static("one")
			r.stable(a, joinOf("").static("two"))
			r.do(joinOf(a.Assigned, "range", "more").static("one"))
			return a
		}, append(append(rows{
			{"sync", sync(func(*Sync) {}), Rebalancing},
			{"heartbeat", beat(func(*Heartbeat) {}), Rebalancing},
			{"commit", commit(func(*Commit) {}), OK},
		}, everywhere...), without(member, "sync: another type", "sync: another protocol")...)},
		{"completing", func(r *rig) *Join {
			a := joinOf("").static("one")
			r.do(a)
			r.pass(0)
			return a
		}, append(append(rows{
			{"heartbeat", beat(func(*Heartbeat) {}), OK},
			{"commit", commit(func(*Commit) {}), Rebalancing},
		}, everywhere...), member...)},
		{"stable", func(r *rig) *Join {
			a := joinOf("").static("one")
			r.stable(a)
			return a
		}, append(append(rows{
			{"sync", sync(func(*Sync) {}), OK},
			{"heartbeat", beat(func(*Heartbeat) {}), OK},
			{"commit", commit(func(*Commit) {}), OK},
		}, everywhere...), member...)},
	} {
		t.Run(c.state, func(t *testing.T) {
			for _, row := range c.rows {
				r := newRig(t)
				m := c.build(r)
				before := len(r.log)
				req := row.req(m)
				r.do(req)
				if r.expect(row.what, req, row.want); row.want != OK && len(r.log) != before {
					t.Errorf("%s left %d records", row.what, len(r.log)-before)
				}
				r.pass(time.Hour) // whatever it left behind comes to its end
				if g := r.c.groups["g"]; g != nil && (len(g.members) > 0 || len(g.pending) > 0) {
					t.Errorf("%s: %d members and %d newcomers after an hour of silence", row.what, len(g.members), len(g.pending))
				}
			}
		})
	}
}

// without leaves out rows by name.
func without[R ~[]struct {
	what string
	req  func(m *Join) Request
	want Code
}](list R, names ...string) R {
	var left R
	for _, row := range list {
		keep := true
		for _, name := range names {
			keep = keep && row.what != name
		}
		if keep {
			left = append(left, row)
		}
	}
	return left
}
