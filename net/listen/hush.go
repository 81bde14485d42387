package listen

import (
	"net/netip"
	"time"

	"pinion/engine/clock"
)

// hushPeers is how many recent complaints a Hush remembers: enough for a rack of misconfigured clients, small enough to scan.
const hushPeers = 64

// HushFor is how long the same complaint about the same peer stays unsaid.
const HushFor = time.Minute

// Complaints that no first four bytes give rise to.
const (
	// Nonsense: a request that cannot be read.
	Nonsense Kind = kinds + iota
	// Unserved: a header that cannot be read, or of a key or version that is not served.
	Unserved
	// Transactional: a producer that wants transactions.
	Transactional
)

// Hush keeps a peer that retries in a loop from filling the log: each complaint about an address is said once in HushFor. It belongs
// to one shard and remembers hushPeers complaints; when more peers misbehave at once the oldest is forgotten, which costs a repeated line.
type Hush struct {
	said [hushPeers]complaint
	next int // slot to overwrite
}

type complaint struct {
	ip    netip.Addr
	kind  Kind
	until clock.Mono
}

// Say reports whether a complaint of this kind about ip should be logged now, and if so remembers that it was.
func (h *Hush) Say(ip netip.Addr, kind Kind, now clock.Mono) bool {
	ip = ip.Unmap()
	for i := range h.said {
		c := &h.said[i]
		if c.ip != ip || c.kind != kind {
			continue
		}
		if now < c.until {
			return false
		}
		c.until = now.Add(HushFor)
		return true
	}
	h.said[h.next] = complaint{ip: ip, kind: kind, until: now.Add(HushFor)}
	h.next = (h.next + 1) % hushPeers
	return true
}
