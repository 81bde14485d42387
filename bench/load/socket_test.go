package load

import (
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A signal in the middle of a connect, such as the runtime sends to threads, ends neither it nor the connection.
func TestConnectGoesOnAfterASignal(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil { // one fits in; the next waits until that is accepted
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}).String()
	first, err := DialBlocking(address)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(first)
	thread, done := make(chan int, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		second, err := DialBlocking(address)
		if err == nil {
			err = unix.Close(second)
		}
		done <- err
	}()
	tid := <-thread
	for range 20 {
		select {
		case err := <-done:
			t.Fatalf("the connect did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
		if err := unix.Tgkill(unix.Getpid(), tid, unix.SIGURG); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the first makes room, for the second to come when it tries again
		accepted, _, err := unix.Accept(fd)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(accepted)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
