package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// listeners reads everything about endpoints: listeners, their protocols, what is advertised, and which of them are the
// controllers' in a file written for KRaft. Those are not opened: the quorum has no listener of Kafka's.
func (g *gatherer) listeners(b *Broker) {
	controllers := g.list("controller.listener.names")
	protocols := g.protocols(controllers)
	all := g.parseListeners("listeners")
	for _, l := range all {
		if contains(controllers, l.Name) {
			g.notice(g.settings["listeners"].Where, "listeners", fmt.Sprintf("listener %s is for controllers and is not opened", l.Name))
			continue
		}
		protocol, ok := protocols[l.Name]
		switch {
		case !ok:
			g.conflict("listeners", fmt.Sprintf("listeners: no security protocol is defined for listener %s; add it to listener.security.protocol.map", l.Name))
		case protocol != "PLAINTEXT":
			g.conflict("listeners", fmt.Sprintf("listeners: %s uses %s; only PLAINTEXT is served yet", l, protocol))
		}
		l.Protocol = protocol
		b.Listeners = append(b.Listeners, l)
	}
	if len(b.Listeners) == 0 && len(g.problems) == 0 {
		g.conflict("listeners", "listeners names no listener for clients")
		return
	}
	if !g.isSet("listeners") && len(g.settings) > 0 {
		g.notice("", "listeners", "listeners is not set: only this machine can connect (Kafka would listen on every address); set listeners=PLAINTEXT://:9092 for that")
	}
	b.Advertised = g.advertised(b.Listeners, controllers)
	b.InterBrokerListener = g.interBroker(b.Listeners)
}

// protocols reads listener.security.protocol.map. As in Kafka, controller listeners the map does not name speak PLAINTEXT as long
// as the map is the default one.
func (g *gatherer) protocols(controllers []string) map[string]string {
	const key = "listener.security.protocol.map"
	protocols := map[string]string{}
	for _, item := range g.list(key) {
		name, protocol, ok := strings.Cut(item, ":")
		name, protocol = strings.ToUpper(strings.TrimSpace(name)), strings.ToUpper(strings.TrimSpace(protocol))
		if !ok || name == "" || !contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
			g.conflict(key, fmt.Sprintf("%s: %q is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL", key, item))
			continue
		}
		protocols[name] = protocol
	}
	if !g.isSet(key) {
		for _, name := range controllers {
			if _, ok := protocols[name]; !ok {
				protocols[name] = "PLAINTEXT"
			}
		}
	}
	return protocols
}

// parseListeners reads one list of endpoints and checks that names and ports are distinct.
func (g *gatherer) parseListeners(key string) []Listener {
	var list []Listener
	for _, item := range g.list(key) {
		l, ok := parseListener(item)
		if !ok {
			g.conflict(key, fmt.Sprintf("%s: %q is not NAME://host:port, as in PLAINTEXT://:9092 or PLAINTEXT://[::1]:9092", key, item))
			continue
		}
		for _, other := range list {
			if other.Name == l.Name {
				g.conflict(key, fmt.Sprintf("%s: %s is there twice; each listener must have a different name", key, l.Name))
			}
			if key == "listeners" && other.Port == l.Port && l.Port != 0 && other.Host == l.Host {
				g.conflict(key, fmt.Sprintf("%s: %s and %s are the same address", key, other, l))
			}
		}
		list = append(list, l)
	}
	return list
}

// parseListener reads NAME://host:port; the host may be empty, or an IPv6 address in brackets.
func parseListener(text string) (Listener, bool) {
	name, address, ok := strings.Cut(text, "://")
	colon := strings.LastIndexByte(address, ':')
	if !ok || name == "" || colon < 0 {
		return Listener{}, false
	}
	host := address[:colon]
	port, err := strconv.ParseUint(address[colon+1:], 10, 16)
	if err != nil {
		return Listener{}, false
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		host, bracketed = strings.CutSuffix(inner, "]")
		if ip, err := netip.ParseAddr(host); !bracketed || err != nil || !ip.Is6() {
			return Listener{}, false
		}
	}
	if strings.ContainsAny(host, "[]/ \t@?#") {
		return Listener{}, false
	}
	return Listener{Name: strings.ToUpper(name), Host: host, Port: int32(port)}, true
}

// advertised gives one entry for each listener: what advertised.listeners says, else the listener itself, with an empty host for
// one that binds every address.
func (g *gatherer) advertised(listeners []Listener, controllers []string) []Listener {
	const key = "advertised.listeners"
	said := map[string]Listener{}
	for _, l := range g.parseListeners(key) {
		switch {
		case contains(controllers, l.Name): // Kafka 3.9 and later allow it; nothing of ours would use it
		case !named(listeners, l.Name):
			g.conflict(key, fmt.Sprintf("%s: %s is not among listeners", key, l.Name))
		case isWildcard(l.Host) && l.Host != "":
			g.conflict(key, fmt.Sprintf("%s: %s cannot be reached by anyone; use a name or address of this machine", key, l))
		}
		said[l.Name] = l
	}
	list := make([]Listener, 0, len(listeners))
	for _, l := range listeners {
		if over, ok := said[l.Name]; ok {
			l.Host, l.Port = over.Host, over.Port
		} else if isWildcard(l.Host) {
			l.Host = ""
		}
		list = append(list, l)
	}
	return list
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func named(list []Listener, name string) bool {
	for _, l := range list {
		if l.Name == name {
			return true
		}
	}
	return false
}

// interBroker names the listener other brokers use: inter.broker.listener.name, else the first that speaks
// security.inter.broker.protocol, as Kafka derives it, else the first.
func (g *gatherer) interBroker(listeners []Listener) string {
	if name := strings.ToUpper(g.text("inter.broker.listener.name")); name != "" {
		if !named(listeners, name) {
			g.conflict("inter.broker.listener.name", fmt.Sprintf("inter.broker.listener.name = %s is not among listeners", name))
		}
		if g.isSet("security.inter.broker.protocol") {
			g.conflict("security.inter.broker.protocol", "only one of inter.broker.listener.name and security.inter.broker.protocol may be set")
		}
		return name
	}
	if len(listeners) == 0 {
		return ""
	}
	for _, l := range listeners {
		if l.Name == g.text("security.inter.broker.protocol") {
			return l.Name
		}
	}
	return listeners[0].Name
}
