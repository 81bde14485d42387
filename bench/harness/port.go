package harness

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
)

// Port is a TCP port of 127.0.0.1, and maybe some behind it, that no other user of this package on this machine gets until it is released.
//
// It lies below the range the kernel takes outgoing ports from. Port 0 would not do: a broker that is away for a moment would
// leave its port to any outgoing connection, and a client that keeps dialling it would in the end connect to itself.
type Port struct {
	Number int
	held   []net.Listener
}

const (
	portMin   = 12_000
	portTries = 1000
)

// Reserve finds a free port.
func Reserve() (*Port, error) { return ReserveRun(1) }

// ReserveRun finds a free port with others behind it, count in all.
func ReserveRun(count int) (*Port, error) {
	limit := outgoingMin() - count + 1
	if limit <= portMin {
		return nil, errors.New("no ports below those of outgoing connections")
	}
	for range portTries {
		p := &Port{Number: portMin + rand.IntN(limit-portMin)}
		for len(p.held) < count && p.hold(p.Number+len(p.held)) {
		}
		if len(p.held) == count {
			return p, nil
		}
		p.Release()
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d in %d tries", count, portMin, limit, portTries)
}

// hold takes one port, if it is free.
func (p *Port) hold(n int) bool {
	// An abstract socket is a lock that ends with its process.
	held, err := net.Listen("unix", fmt.Sprintf("@pinion-harness-port-%d", n))
	if err != nil {
		return false
	}
	probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
	if err != nil {
		_ = held.Close()
		return false
	}
	_ = probe.Close()
	p.held = append(p.held, held)
	return true
}

// Release lets others have the port.
func (p *Port) Release() {
	for _, held := range p.held {
		_ = held.Close()
	}
}

// outgoingMin is the lowest port of outgoing connections.
func outgoingMin() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		if fields := strings.Fields(string(text)); len(fields) == 2 {
			if n, err := strconv.Atoi(fields[0]); err == nil {
				return n
			}
		}
	}
	return 32_768
}
