package listen

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"pinion/engine/clock"
	"pinion/engine/must"
	"pinion/engine/quota"
)

// ConnID names a connection for as long as the process runs. It is never reused; 0 is no connection.
type ConnID uint64

// Verdict is what Limits says about a new connection.
type Verdict uint8

const (
	// Admitted connections must be given back with Leave.
	Admitted Verdict = iota
	// OverTotal means max.connections is reached. Kafka leaves further clients in the queue; see Full.
	OverTotal
	// OverPerIP means max.connections.per.ip, or the peer's override, is reached. Kafka closes the connection at once; so must the caller.
	OverPerIP
)

// Unlimited is Kafka's default for each limit (Int.MaxValue).
const Unlimited = math.MaxInt32

// Limits counts the connections of all shards against max.connections, max.connections.per.ip and its overrides. Any shard may
// call it; accepting is rare beside requests, so one mutex guards the table and the data path never comes here.
type Limits struct {
	// Rate is how many connections may come in a second; nil: any number.
	Rate *quota.Rate

	// Written under mu; read by Full without it, where an answer late by one connection does no harm.
	open  atomic.Int64
	total atomic.Int64

	mu        sync.Mutex // guards what follows
	perIP     int32
	overrides map[netip.Addr]int32
	sets      uint64 // calls of Set: the last one wins, however long each looks for names
	last      ConnID
	byIP      map[netip.Addr]int32 // connections per peer; invariant: every count > 0, their sum is open
}

// NewLimits takes max.connections, max.connections.per.ip and max.connections.per.ip.overrides (address or host name to limit; 0 refuses
// the host altogether). Negative limits mean Unlimited. Names are resolved here, once, so it may block; every address of a name gets the limit.
func NewLimits(total, perIP int, overrides map[string]int) (*Limits, error) {
	resolved, err := lookUp(overrides)
	if err != nil {
		return nil, err
	}
	l := &Limits{perIP: atMostUnlimited(perIP), overrides: resolved, byIP: make(map[netip.Addr]int32)}
	l.total.Store(int64(atMostUnlimited(total)))
	return l, nil
}

// Set replaces the limits. Connections that are open stay, whatever they exceed, as with Kafka. It does not wait: names are looked up on
// another goroutine, which calls failed, and leaves all limits as they are, where one cannot be found.
func (l *Limits) Set(total, perIP int, overrides map[string]int, failed func(error)) {
	l.mu.Lock()
	l.sets++
	turn := l.sets
	l.mu.Unlock()
	change := func() {
		resolved, err := lookUp(overrides)
		if err != nil {
			failed(err)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sets == turn {
			l.total.Store(int64(atMostUnlimited(total)))
			l.perIP, l.overrides = atMostUnlimited(perIP), resolved
		}
	}
	for host := range overrides {
		if _, err := netip.ParseAddr(host); err != nil {
			go change()
			return
		}
	}
	change()
}

// lookUp finds the addresses that overrides are for.
func lookUp(overrides map[string]int) (map[netip.Addr]int32, error) {
	resolved := make(map[netip.Addr]int32, len(overrides))
	for host, limit := range overrides {
		addrs, err := addressesOf(host)
		if err != nil {
			return nil, fmt.Errorf("max.connections.per.ip.overrides: host %q: %w", host, err)
		}
		for _, addr := range addrs {
			resolved[key(addr)] = atMostUnlimited(limit)
		}
	}
	return resolved, nil
}

func atMostUnlimited(limit int) int32 {
	if limit < 0 || limit > Unlimited {
		return Unlimited
	}
	return int32(limit)
}

func addressesOf(host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	return net.DefaultResolver.LookupNetIP(context.Background(), "ip", host)
}

// key makes one peer one entry: IPv4 in IPv6 clothes is IPv4, zones do not tell peers apart.
func key(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// Full reports that max.connections is reached: clients then wait in the kernel's queue, as they do with Kafka, instead of being refused and
// coming back at once.
func (l *Limits) Full() bool { return l.open.Load() >= l.total.Load() }

// Hold is for how long a shard leaves its listener alone, 0 if it may accept: clients wait in the kernel's queue while there are too many, or too
// many have come lately (KIP-402, KIP-612). It is asked again after that, for limits change.
func (l *Limits) Hold(now clock.Mono) time.Duration {
	if l.Full() {
		return Pause
	}
	return min(l.Rate.Wait(now), time.Second)
}

// Open is the number of connections admitted and not yet left.
func (l *Limits) Open() int { return int(l.open.Load()) }

// Admit counts a connection from ip in, unless a limit forbids it.
func (l *Limits) Admit(ip netip.Addr) (ConnID, Verdict) {
	ip = key(ip)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open.Load() >= l.total.Load() {
		return 0, OverTotal
	}
	limit, ok := l.overrides[ip]
	if !ok {
		limit = l.perIP
	}
	count := l.byIP[ip]
	if count >= limit {
		return 0, OverPerIP
	}
	l.byIP[ip] = count + 1
	l.open.Add(1)
	l.last++
	return l.last, Admitted
}

// Leave counts out a connection that Admit counted in.
func (l *Limits) Leave(ip netip.Addr) {
	ip = key(ip)
	l.mu.Lock()
	defer l.mu.Unlock()
	count := l.byIP[ip]
	if count <= 0 {
		must.Failf("connection from %s left but was never admitted", ip)
	}
	if count == 1 {
		delete(l.byIP, ip)
	} else {
		l.byIP[ip] = count - 1
	}
	l.open.Add(-1)
	if must.Deep {
		l.checkSum()
	}
}

func (l *Limits) checkSum() {
	sum := int64(0)
	for _, count := range l.byIP {
		sum += int64(count)
	}
	if sum != l.open.Load() {
		must.Failf("connections by address sum to %d, open is %d", sum, l.open.Load())
	}
}
