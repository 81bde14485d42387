package machine

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// Listeners gives the processes of this machine that listen on the port of a local address; none for an address of another machine.
// Processes of other users are seen only by root.
func Listeners(address string) ([]int, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	if local, err := isLocal(host); err != nil || !local {
		return nil, err
	}
	port, err := net.LookupPort("tcp", service)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	inodes, err := listening(port)
	if err != nil || len(inodes) == 0 {
		return nil, err
	}
	return holders(inodes)
}

func isLocal(host string) (bool, error) {
	addresses, err := net.LookupHost(host)
	if err != nil {
		return false, fmt.Errorf("host %s: %w", host, err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false, fmt.Errorf("addresses of this machine: %w", err)
	}
	for _, address := range addresses {
		ip := net.ParseIP(address)
		if ip == nil {
			continue
		}
		if ip.IsLoopback() {
			return true, nil
		}
		for _, o := range own {
			if n, ok := o.(*net.IPNet); ok && n.IP.Equal(ip) {
				return true, nil
			}
		}
	}
	return false, nil
}

// stateListen is TCP_LISTEN in /proc/net/tcp.
const stateListen = "0A"

// listening gives the inodes of sockets that listen on a port.
func listening(port int) (map[string]bool, error) {
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
			if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == stateListen {
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
