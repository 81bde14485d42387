package listen

import (
	"net/netip"
	"testing"
	"time"

	"pinion/engine/clock"
)

func TestHush(t *testing.T) {
	var h Hush
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	steps := []struct {
		ip   netip.Addr
		kind Kind
		at   time.Duration
		want bool
	}{
		{a, TLS, 0, true},
		{a, TLS, time.Second, false},
		{netip.MustParseAddr("::ffff:10.0.0.1"), TLS, time.Second, false},
		{a, HTTP, time.Second, true},
		{b, TLS, time.Second, true},
		{a, TLS, HushFor - 1, false},
		{a, TLS, HushFor, true},
		{a, TLS, HushFor + time.Second, false},
	}
	for i, s := range steps {
		if got := h.Say(s.ip, s.kind, clock.Mono(s.at)); got != s.want {
			t.Errorf("step %d: got %v", i, got)
		}
	}
}

func TestHushForgetsTheOldest(t *testing.T) {
	var h Hush
	peer := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }
	for i := range hushPeers + 1 {
		if !h.Say(peer(i), TLS, 0) {
			t.Fatalf("peer %d was never heard of", i)
		}
	}
	if h.Say(peer(hushPeers), TLS, 1) {
		t.Error("the newest is forgotten")
	}
	if !h.Say(peer(0), TLS, 1) {
		t.Error("the oldest is remembered")
	}
	if got := testing.AllocsPerRun(100, func() { h.Say(peer(3), HTTP, 2) }); got != 0 {
		t.Errorf("allocates %v times", got)
	}
}
