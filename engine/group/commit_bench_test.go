package group

import "testing"

// BenchmarkCommit is one offset of a group without members, from the request to the answer, without the disk.
func BenchmarkCommit(b *testing.B) {
	r := &rig{}
	r.c = New(plain, r.random)
	r.c.Loaded(r.clock.Now())
	b.ReportAllocs()
	for b.Loop() {
		r.c.Do(r.clock.Now(), commitOf(nil, 5))
		for _, a := range r.c.Appends() {
			r.c.Stored(r.clock.Now(), a, OK)
		}
		if len(r.c.Answers()) != 1 {
			b.Fatal("no answer")
		}
	}
}

// BenchmarkHeartbeat is the heartbeat of one of ten thousand members.
func BenchmarkHeartbeat(b *testing.B) {
	r := &rig{}
	r.c = New(plain, r.random)
	r.c.Loaded(r.clock.Now())
	var members []*Join
	for range 10_000 {
		j := joinOf("")
		r.c.Do(r.clock.Now(), j)
		members = append(members, j)
	}
	r.pass(0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.clock.Advance(1000)
		r.c.Do(r.clock.Now(), beatOf(members[i%len(members)]))
		if len(r.c.Answers()) != 1 {
			b.Fatal("no answer")
		}
	}
}
