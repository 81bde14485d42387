package listen

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func limitsForTest(t testing.TB, total, perIP int, overrides map[string]int) *Limits {
	t.Helper()
	l, err := NewLimits(total, perIP, overrides)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLimits(t *testing.T) {
	a, b, c := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	l := limitsForTest(t, 5, 2, map[string]int{"10.0.0.2": 3, "10.0.0.3": 0})
	steps := []struct {
		ip   netip.Addr
		want Verdict
	}{
		{a, Admitted}, {a, Admitted}, {a, OverPerIP},
		{c, OverPerIP}, // an override of 0 shuts a host out
		{netip.MustParseAddr("::ffff:10.0.0.1"), OverPerIP}, // the same peer
		{b, Admitted}, {b, Admitted}, {b, Admitted},
		{b, OverTotal}, {a, OverTotal},
	}
	last := ConnID(0)
	for i, s := range steps {
		id, got := l.Admit(s.ip)
		if got != s.want {
			t.Fatalf("step %d, %v: got %d, want %d", i, s.ip, got, s.want)
		}
		if got == Admitted && id <= last || got != Admitted && id != 0 {
			t.Fatalf("step %d: id %d after %d", i, id, last)
		}
		last = max(last, id)
	}
	if !l.Full() || l.Open() != 5 {
		t.Fatalf("full %v, open %d", l.Full(), l.Open())
	}
	l.Leave(b)
	if l.Full() {
		t.Fatal("full after one left")
	}
	if id, got := l.Admit(b); got != Admitted || id != last+1 {
		t.Fatalf("after one left: %d, %d", id, got)
	}
}

func TestLimitsUnlimited(t *testing.T) {
	l := limitsForTest(t, -1, -1, nil)
	for range 1000 {
		if _, got := l.Admit(netip.MustParseAddr("::1")); got != Admitted {
			t.Fatal(got)
		}
	}
}

func TestLimitsHostNames(t *testing.T) {
	l := limitsForTest(t, Unlimited, Unlimited, map[string]int{"localhost": 1})
	ip := netip.MustParseAddr("127.0.0.1")
	l.Admit(ip)
	if _, got := l.Admit(ip); got != OverPerIP {
		t.Errorf("localhost: got %d", got)
	}
	if _, err := NewLimits(1, 1, map[string]int{"no-such-host.invalid": 1}); err == nil {
		t.Error("unknown host: no error")
	}
}

func TestLeaveUnknown(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("leaving without having been admitted is a bug of ours and must panic")
		}
	}()
	limitsForTest(t, 1, 1, nil).Leave(netip.MustParseAddr("::1"))
}

// Limits against a list of the connections that are open.
func TestLimitsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total, perIP := rapid.IntRange(0, 12).Draw(t, "total"), rapid.IntRange(0, 4).Draw(t, "perIP")
		special := rapid.IntRange(0, 6).Draw(t, "override")
		l, err := NewLimits(total, perIP, map[string]int{"10.0.0.0": special})
		if err != nil {
			t.Fatal(err)
		}
		var open []netip.Addr
		t.Repeat(map[string]func(*rapid.T){
			"admit": func(t *rapid.T) {
				n := rapid.Uint8Range(0, 3).Draw(t, "ip")
				ip := netip.AddrFrom4([4]byte{10, 0, 0, n})
				limit, count := perIP, 0
				if n == 0 {
					limit = special
				}
				for _, other := range open {
					if other == ip {
						count++
					}
				}
				want := Admitted
				if len(open) >= total {
					want = OverTotal
				} else if count >= limit {
					want = OverPerIP
				}
				if _, got := l.Admit(ip); got != want {
					t.Fatalf("got %d, want %d with %v open", got, want, open)
				}
				if want == Admitted {
					open = append(open, ip)
				}
			},
			"leave": func(t *rapid.T) {
				if len(open) == 0 {
					t.Skip("nobody there")
				}
				i := rapid.IntRange(0, len(open)-1).Draw(t, "which")
				l.Leave(open[i])
				open = append(open[:i], open[i+1:]...)
			},
			"": func(t *rapid.T) {
				if l.Open() != len(open) || l.Full() != (len(open) >= total) {
					t.Fatalf("open %d, full %v; want %d of %d", l.Open(), l.Full(), len(open), total)
				}
				l.checkSum()
			},
		})
	})
}

func TestLimitsShared(t *testing.T) {
	const shards, each, total = 4, 2000, 50
	l := limitsForTest(t, total, Unlimited, nil)
	var wg sync.WaitGroup
	ids := make([][]ConnID, shards)
	for s := range shards {
		wg.Go(func() {
			ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(s % 2)})
			for range each {
				id, v := l.Admit(ip)
				if v != Admitted {
					continue
				}
				ids[s] = append(ids[s], id)
				if l.Open() > total {
					t.Error("over the limit")
				}
				l.Leave(ip)
			}
		})
	}
	wg.Wait()
	seen := make(map[ConnID]bool)
	for _, list := range ids {
		for _, id := range list {
			if seen[id] {
				t.Fatalf("id %d given twice", id)
			}
			seen[id] = true
		}
	}
	if l.Open() != 0 || len(l.byIP) != 0 {
		t.Errorf("%d open, %d addresses remembered", l.Open(), len(l.byIP))
	}
}

func TestAdmitAllocates(t *testing.T) {
	l := limitsForTest(t, Unlimited, Unlimited, nil)
	stay, ip := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	l.Admit(stay)
	if got := testing.AllocsPerRun(200, func() {
		l.Admit(ip)
		l.Leave(ip)
	}); got != 0 {
		t.Errorf("allocates %v times", got)
	}
}

func TestLimitsAreReplaced(t *testing.T) {
	l, err := NewLimits(1, Unlimited, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	broken := func(err error) { t.Errorf("set: %v", err) }
	admit := func(ip netip.Addr, want Verdict) {
		t.Helper()
		if _, got := l.Admit(ip); got != want {
			t.Fatalf("%s: %v, want %v", ip, got, want)
		}
	}
	admit(a, Admitted)
	admit(a, OverTotal)
	l.Set(5, 2, map[string]int{"10.0.0.2": 0}, broken)
	admit(a, Admitted)
	admit(a, OverPerIP)
	admit(b, OverPerIP)
	l.Set(1, Unlimited, nil, broken)
	if !l.Full() || l.Open() != 2 {
		t.Fatalf("%d open", l.Open())
	}
	done := make(chan error, 1)
	l.Set(9, Unlimited, map[string]int{"no such host": 1}, func(err error) { done <- err })
	select {
	case err := <-done:
		if err == nil || !l.Full() {
			t.Fatalf("%v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was told")
	}
}
