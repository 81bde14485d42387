// Package steer tells the kernel how to deal new connections to the shards' listeners: evenly where it may load an eBPF program, and
// otherwise as evenly as chance allows. It works once at start; whoever called Attach owns the result.
//
// Dealing happens per connection, when its SYN arrives, so it cannot know which partitions a client will use. Kafka connections are
// few, long and fat: an even deal is the whole gain. The kernel's own hash gave 9/15/6/10 for 40 connections over 4 listeners, the
// program here gives 11/9/11/9, and it stays even when each client opens an idle connection beside every busy one (see slotOf).
//
// It refuses to open or close listeners (net/listen does) and to move connections that exist.
package steer

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Rung is the step of the ladder that carries, to be logged once.
type Rung struct {
	// Name is one of the Rung constants below.
	Name string
	// Why says why no better rung is used; empty on the best.
	Why string
}

// The ladder, best first.
const (
	// Even is an eBPF program that deals by an atomic counter; it needs CAP_BPF and Linux 5.12.
	Even = "ebpf-even"
	// EvenLoose is the same without an atomic fetch, for Linux before 5.12: simultaneous SYNs on two CPUs may land on the same shard.
	EvenLoose = "ebpf-even-loose"
	// Random is a classic BPF program that draws lots; it needs no privilege.
	Random = "cbpf-random"
	// Hash is what the kernel does by itself.
	Hash = "kernel-hash"
	// Single means that there is nothing to deal: one listener.
	Single = "single"
)

// Attach makes the reuseport group of fds deal connections to them evenly. fds are the listening sockets of one address, in shard
// order, each created with SO_REUSEPORT and already listening; the program applies to the group until its last socket is closed.
//
// Attach always ends on some rung; the error is only for fds that are not such a group. The closer gives back the descriptors the
// program holds in this process; it may be closed before or after the listeners and does not stop the dealing.
func Attach(fds []int) (Rung, io.Closer, error) {
	if err := check(fds); err != nil {
		return Rung{}, nil, err
	}
	if len(fds) == 1 {
		return Rung{Name: Single, Why: "one listener"}, held{}, nil
	}
	why := ""
	for _, loose := range []bool{false, true} {
		h, err := attachDealer(fds, loose)
		if err == nil {
			name := Even
			if loose {
				name = EvenLoose
			}
			return Rung{Name: name, Why: why}, h, nil
		}
		why = "ebpf: " + reason(err)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			break
		}
	}
	if err := attachRandom(fds[0], len(fds)); err != nil {
		return Rung{Name: Hash, Why: why + "; cbpf: " + reason(err)}, held{}, nil
	}
	return Rung{Name: Random, Why: why}, held{}, nil
}

// reason words an error for the log. cilium/ebpf hints at RLIMIT_MEMLOCK when the kernel says EPERM; since Linux 5.11 that is never it.
func reason(err error) string {
	if errors.Is(err, unix.EPERM) {
		return "not permitted (needs CAP_BPF)"
	}
	return err.Error()
}

func check(fds []int) error {
	if len(fds) == 0 {
		return errors.New("steer connections: no listeners")
	}
	for shard, fd := range fds {
		listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
		if err != nil {
			return fmt.Errorf("steer connections: listener of shard %d: %w", shard, err)
		}
		group, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT)
		if err != nil {
			return fmt.Errorf("steer connections: listener of shard %d: %w", shard, err)
		}
		if listening == 0 || group == 0 {
			return fmt.Errorf("steer connections: socket of shard %d is not listening with SO_REUSEPORT", shard)
		}
	}
	return nil
}

// held is what stays open in this process; the kernel keeps its own references to the program and its maps.
type held []io.Closer

func (h held) Close() error {
	var errs []error
	for _, c := range h {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
