package limit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"pinion/bench/load"
	"pinion/engine/must"
)

// readyLine begins what a child says when it can be measured; its address follows.
const readyLine = "ready "

// Child runs the loop whose Spec stands on in as JSON, says "ready ADDRESS" on out, and runs until in ends. It is the whole program
// of a process: it returns only in failure or at the end of in.
func Child(in io.Reader, out io.Writer) error {
	var spec Spec
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&spec); err != nil {
		return fmt.Errorf("the loop's specification: %w", err)
	}
	if err := spec.valid(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	address, err := start(spec, out, failed)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%s%s\n", readyLine, address); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

// start starts the threads of a loop.
func start(spec Spec, out io.Writer, failed chan<- error) (address string, err error) {
	report := func(err error) {
		if err == nil || errors.Is(err, errDone) {
			return // the parent has gone away
		}
		select {
		case failed <- err:
		default:
		}
	}
	if spec.Kind == Journal {
		j, err := newJournal(spec)
		if err != nil {
			return "", err
		}
		onThread(func() { report(j.run(out)) })
		return "-", nil
	}
	listener, err := listen()
	if err != nil {
		return "", err
	}
	threads := make([]func(fd int) error, spec.Threads)
	files, fetches := &shelf{}, newRelay()
	for i := range threads {
		if threads[i], err = newThread(spec, files, fetches); err != nil {
			return "", err
		}
	}
	go func() {
		// Connections are dealt in turn; a streaming thread has one, the others an epoll instance.
		for i := 0; ; i++ {
			fd, _, err := unix.Accept4(listener.fd, unix.SOCK_CLOEXEC)
			if err != nil {
				report(fmt.Errorf("accept: %w", err))
				return
			}
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
				report(fmt.Errorf("TCP_NODELAY: %w", err))
			}
			serve := threads[i%len(threads)]
			if spec.turns() {
				report(serve(fd))
				continue
			}
			onThread(func() { report(serve(fd)) })
		}
	}()
	for _, thread := range threads {
		if spec.turns() {
			onThread(func() { report(thread(-1)) })
		}
	}
	return listener.address, nil
}

// newThread makes one thread's loop; it is called with each connection, and by those that turn once with -1.
func newThread(spec Spec, files *shelf, fetches *relay) (func(fd int) error, error) {
	switch spec.Kind {
	case Append:
		return newAppender(spec)
	case Sendfile:
		return newSender(spec)
	case Serve:
		return newServer(spec, files)
	case Null, Relay:
		return newReplier(spec, fetches)
	}
	must.Failf("no thread for a loop of kind %s", spec.Kind)
	return nil, nil
}

// onThread runs on a thread of its own, as a shard does.
func onThread(run func()) {
	go func() {
		runtime.LockOSThread()
		run()
	}()
}

// errDone says that the other end has closed its connection.
var errDone = errors.New("the connection was closed")

type listener struct {
	fd      int
	address string
}

// listen opens a listener on a port of the kernel's choice; accepted sockets inherit its congestion control.
func listen() (*listener, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	// A kernel without it keeps its own.
	_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, load.Congestion)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, 1024); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, fmt.Errorf("name of the listener: %w", err)
	}
	own, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return nil, fmt.Errorf("name of the listener: %T", name)
	}
	return &listener{fd, fmt.Sprintf("%s:%d", net.IP(own.Addr[:]), own.Port)}, nil
}

// scratch is a file without a name in a folder.
func scratch(dir string) (int, error) {
	f, err := os.CreateTemp(dir, ".limit-")
	if err != nil {
		return -1, fmt.Errorf("file in %s: %w", dir, err)
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return -1, fmt.Errorf("file in %s: %w", dir, err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0) // ours: an os.File closes its own when it becomes garbage
	if err != nil {
		return -1, fmt.Errorf("file in %s: %w", dir, err)
	}
	return fd, nil
}
