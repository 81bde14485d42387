package machine

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Listeners gives the processes of this machine that listen at an address, or at its port of all addresses; none for an address of
// another machine. Processes of other users are seen only by root.
func Listeners(address string) ([]int, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	own, err := ownAddresses(host)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	inodes, err := listening(own, port)
	if err != nil || len(inodes) == 0 {
		return nil, err
	}
	return holders(inodes)
}

// ownAddresses are those of a host's that this machine has.
func ownAddresses(host string) (own []net.IP, err error) {
	addresses, err := net.LookupHost(host)
	if err != nil {
		return nil, fmt.Errorf("host %s: %w", host, err)
	}
	local, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, address := range addresses {
		ip := net.ParseIP(address)
		if ip.IsLoopback() || slices.ContainsFunc(local, func(l net.Addr) bool {
			n, ok := l.(*net.IPNet)
			return ok && n.IP.Equal(ip)
		}) {
			own = append(own, ip)
		}
	}
	return own, nil
}

// stateListen is TCP_LISTEN in /proc/net/tcp.
const stateListen = "0A"

// listening gives the inodes of sockets that listen on a port of one of the addresses, or of all there are.
func listening(own []net.IP, port int) (map[string]bool, error) {
	inodes := map[string]bool{}
	suffix := fmt.Sprintf(":%04X", port)
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			if len(fields) <= 9 || fields[3] != stateListen {
				continue
			}
			if local, ok := strings.CutSuffix(fields[1], suffix); ok && covers(local, own) {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
		err = lines.Err()
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
	}
	return inodes, nil
}

// covers reports whether a local address, as the kernel writes it, is one of the addresses or stands for all.
func covers(local string, own []net.IP) bool {
	at, err := hex.DecodeString(local)
	if err != nil || len(at)%4 != 0 {
		return false
	}
	for b := at; len(b) > 0; b = b[4:] {
		binary.NativeEndian.PutUint32(b, binary.BigEndian.Uint32(b)) // written as numbers of this machine, four bytes each
	}
	return net.IP(at).IsUnspecified() || slices.ContainsFunc(own, net.IP(at).Equal)
}

// holders gives the processes that have one of the sockets open.
func holders(inodes map[string]bool) ([]int, error) {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil, err
	}
	found := map[int]bool{}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || !inodes[target] {
			continue // closed since, or not ours to see
		}
		pid, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err == nil {
			found[pid] = true
		}
	}
	var pids []int
	for pid := range found {
		pids = append(pids, pid)
	}
	sort.Ints(pids)
	return pids, nil
}
