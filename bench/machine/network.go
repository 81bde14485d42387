package machine

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownNetworkEnv tells a process that it runs in a network of its own.
const ownNetworkEnv = "PINION_BENCH_NETWORK"

// OwnNetwork starts this program again, with its arguments and streams, in a network namespace of its own whose congestion control
// is the given one, and gives its exit code; started is false where this process is that one already, or may not make one. Only so
// do all sockets have the same congestion control, those of a JVM as well, without a change to the machine's own settings.
func OwnNetwork(congestion string) (started bool, code int, err error) {
	if os.Getenv(ownNetworkEnv) != "" {
		return false, 0, enterNetwork(congestion)
	}
	if os.Geteuid() != 0 {
		return false, 0, nil
	}
	restore, err := allow(congestion)
	if err != nil {
		return false, 0, nil // as below
	}
	defer restore()
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), ownNetworkEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		return false, 0, nil // a container that allows no namespaces; the caller writes down what the sockets have
	}
	err = cmd.Wait() // Ctrl-C goes to the whole group; the child ends in order
	return true, cmd.ProcessState.ExitCode(), nil
}

// allow puts a congestion control on the list of those that other namespaces may have as their default, as the kernel wants it, until
// restore is called. It changes nothing for any socket there is.
func allow(congestion string) (restore func(), err error) {
	const name = "/proc/sys/net/ipv4/tcp_allowed_congestion_control"
	before := line(name)
	if slices.Contains(strings.Fields(before), congestion) {
		return func() {}, nil
	}
	if err := os.WriteFile(name, []byte(before+" "+congestion), 0); err != nil {
		return nil, err
	}
	return func() { _ = os.WriteFile(name, []byte(before), 0) }, nil
}

// enterNetwork brings the loopback up and sets the congestion control of the namespace this process runs in.
func enterNetwork(congestion string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("bring the loopback up: %w", err)
	}
	const name = "/proc/sys/net/ipv4/tcp_congestion_control"
	if err := os.WriteFile(name, []byte(congestion), 0); err != nil {
		return fmt.Errorf("congestion control %s: %w (available: %s)", congestion, err, line("/proc/sys/net/ipv4/tcp_available_congestion_control"))
	}
	if now := line(name); now != congestion {
		return fmt.Errorf("congestion control is %s and not %s", now, congestion)
	}
	return nil
}

// InOwnNetwork reports whether OwnNetwork started this process.
func InOwnNetwork() bool { return strings.TrimSpace(os.Getenv(ownNetworkEnv)) != "" }
