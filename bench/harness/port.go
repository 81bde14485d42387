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

// Port is a TCP port of 127.0.0.1 that no other user of this package on this machine gets until it is released.
//
// It lies below the range the kernel takes outgoing ports from. Port 0 would not do: a broker that is away for a moment would
// leave its port to any outgoing connection, and a client that keeps dialling it would in the end connect to itself.
type Port struct {
	Number int
	held   net.Listener
}

const (
	portMin   = 12_000
	portTries = 1000
)

// Reserve finds a free port.
func Reserve() (*Port, error) {
	limit := outgoingMin()
	if limit <= portMin {
		return nil, errors.New("no ports below those of outgoing connections")
	}
	for range portTries {
		n := portMin + rand.IntN(limit-portMin)
		// An abstract socket is a lock that ends with its process.
		held, err := net.Listen("unix", fmt.Sprintf("@pinion-harness-port-%d", n))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			_ = held.Close()
			continue
		}
		_ = probe.Close()
		return &Port{n, held}, nil
	}
	return nil, fmt.Errorf("no free port between %d and %d in %d tries", portMin, limit, portTries)
}

// Release lets others have the port.
func (p *Port) Release() { _ = p.held.Close() }

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
