package many

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// echoEnv makes this program an echo instead of a test.
const echoEnv = "PINION_MANY_ECHO"

func TestMain(m *testing.M) {
	if os.Getenv(echoEnv) != "" {
		fmt.Fprintln(os.Stderr, "echo:", echo())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// startEcho starts a process that answers heartbeats with the fewest system calls there are. It looks for them only now and then, as the broker does: to
// wake for each costs twice as much as all the rest.
func startEcho(t *testing.T) (addr string, p process) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), echoEnv+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed, as it says
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), process(cmd.Process.Pid)
}

// echoEvery is how long it sleeps before it looks again, as a shard does for connections that have sent nothing but heartbeats for a while.
const echoEvery = 50 * time.Millisecond

// echoThreads is how many threads answer, each on a processor of its own: as many as the broker has shards.
const echoThreads = 2

// echo listens, says where, and deals connections to threads that answer on them for ever.
func echo() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var epolls [echoThreads]int
	failed := make(chan error)
	for i := range epolls {
		if epolls[i], err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return err
		}
		go func() { failed <- answerAll(epolls[i], i) }()
	}
	fmt.Println(l.Addr())
	go func() {
		for i := 0; ; i++ {
			conn, err := l.Accept()
			fd := -1
			if err == nil {
				fd, err = takeOver(conn.(*net.TCPConn))
			}
			if err == nil {
				event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: int32(fd)}
				err = unix.EpollCtl(epolls[i%echoThreads], unix.EPOLL_CTL_ADD, fd, &event)
			}
			if err != nil {
				failed <- err
			}
		}
	}()
	return <-failed
}

// answerAll answers whatever comes on an epoll instance's connections with a heartbeat's answer that has no error. A connection that is gone is left.
func answerAll(epoll, cpu int) error {
	runtime.LockOSThread()
	var mask unix.CPUSet
	mask.Set(cpu % runtime.NumCPU())
	if err := unix.SchedSetaffinity(0, &mask); err != nil {
		return err
	}
	const body = 4 + 1 + 4 + 2 + 1 // correlation id, tags, throttle time, error, tags
	answer := []byte{3: body, 4 + body - 1: 0}
	var events [128]unix.EpollEvent
	var request [1024]byte
	for {
		n, err := unix.EpollWait(epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if n, err := unix.Read(int(e.Fd), request[:]); n > 0 && err == nil {
				_ = unix.Sendto(int(e.Fd), answer, unix.MSG_NOSIGNAL, nil)
			}
		}
		if n < len(events) {
			every := unix.NsecToTimespec(int64(echoEvery))
			_ = unix.Nanosleep(&every, nil) // a shorter sleep is no harm
		}
	}
}
