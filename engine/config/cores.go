package config

import (
	"fmt"
	"net"
	"strconv"

	"pinion/engine/placement"
)

// portMax is the last TCP port.
const portMax = 65535

// Cores reports whether clients see each core as a broker.
func (p Pinion) Cores() bool { return p.Advertise == "core" }

// CheckCores says, as Problems, why a node of so many shards cannot advertise its cores as it is configured; nil: it can. Load asks where
// pinion.shards is set; without it only the machine knows.
func (b *Broker) CheckCores(shards int) error {
	if problems := b.coreProblems(shards); len(problems) > 0 {
		return problems
	}
	return nil
}

// coreProblems checks that every core has an id and, on each listener, a port of its own: the listener's port, then one for each shard.
func (b *Broker) coreProblems(shards int) Problems {
	c := coreCheck{b: b, shards: shards}
	if err := placement.CoresAreBrokers.Check(b.NodeID, shards); err != nil {
		key := "pinion.shards"
		if shards <= placement.CoresMax {
			key = "node.id"
		}
		c.problem(key, fmt.Sprintf("%s: %v; lower it, or set pinion.advertise=node", key, err))
		return c.problems
	}
	c.apart("listeners", b.Listeners, overlapping)
	if _, set := b.settings["advertised.listeners"]; set {
		c.apart("advertised.listeners", b.Advertised, func(a, b string) bool { return a == b })
	}
	c.admin()
	return c.problems
}

type coreCheck struct {
	b        *Broker
	shards   int
	problems Problems
}

func (c *coreCheck) problem(key, text string) {
	c.problems = append(c.problems, Problem{Where: c.b.settings[key].Where, Key: key, Text: text})
}

// many is the number of shards in words.
func (c *coreCheck) many() string {
	if c.shards == 1 {
		return "1 shard"
	}
	return strconv.Itoa(c.shards) + " shards"
}

// last is the port of the last core.
func (c *coreCheck) last(l Listener) int { return int(l.Port) + c.shards }

// apart finds listeners whose ports run into each other or out of range. Ports that the kernel chooses are kept apart by it.
func (c *coreCheck) apart(key string, list []Listener, sameHost func(a, b string) bool) {
	for i, l := range list {
		if l.Port == 0 {
			continue
		}
		if c.last(l) > portMax {
			c.problem(key, fmt.Sprintf("%s: %s: with pinion.advertise=core and %s it takes ports %d to %d, and %d is the last there is; choose a port up to %d",
				key, l, c.many(), l.Port, c.last(l), portMax, portMax-c.shards))
		}
		for _, other := range list[:i] {
			if other.Port == 0 || !sameHost(l.Host, other.Host) || int(l.Port) > c.last(other) || int(other.Port) > c.last(l) {
				continue
			}
			c.problem(key, fmt.Sprintf("%s: with pinion.advertise=core and %s %s takes ports %d to %d and %s takes %d to %d; leave %d free behind each, as in %s",
				key, c.many(), other, other.Port, c.last(other), l, l.Port, c.last(l), c.shards,
				Listener{Name: l.Name, Host: l.Host, Port: int32(min(c.last(other)+1, portMax))}))
		}
	}
}

// admin finds the admin server on the port of a core.
func (c *coreCheck) admin() {
	host, text, err := net.SplitHostPort(c.b.Pinion.Admin)
	port, _ := strconv.Atoi(text)
	if err != nil || port == 0 {
		return
	}
	for _, l := range c.b.Listeners {
		if l.Port != 0 && port > int(l.Port) && port <= c.last(l) && overlapping(host, l.Host) {
			c.problem("pinion.admin", fmt.Sprintf("pinion.admin = %s: with pinion.advertise=core and %s %s takes ports %d to %d; choose another port, as in %s",
				c.b.Pinion.Admin, c.many(), l, l.Port, c.last(l), net.JoinHostPort(host, strconv.Itoa(min(c.last(l)+1, portMax)))))
		}
	}
}

// overlapping reports whether sockets bound to two hosts get in each other's way; names are taken as they are.
func overlapping(a, b string) bool { return a == b || isWildcard(a) || isWildcard(b) }
