package machine

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUsageGrowsWithWork(t *testing.T) {
	before, err := Of(os.Getpid())
	if err != nil || before.Resident < 1<<20 || before.Anonymous < 100<<10 || before.Threads < 1 {
		t.Fatalf("%+v %v", before, err)
	}
	began, err := Processors()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for after := before; after.CPU() < before.CPU()+30*time.Millisecond; {
		for i := range 1 << 20 {
			sum += i
		}
		if after, err = Of(os.Getpid()); err != nil {
			t.Fatal(err)
		}
	}
	later, err := Processors()
	spent := later.Sub(began)
	if err != nil || spent.Busy < 20*time.Millisecond || spent.Stolen < 0 {
		t.Fatalf("the machine was busy for %v while this process was for 30 ms, %v, %v", spent, err, sum)
	}
	if _, err := Of(os.Getpid(), 1<<30); err == nil {
		t.Fatal("a process that does not exist has usage")
	}
}

func TestListenersAreFound(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := Listeners(l.Addr().String())
	if err != nil || len(pids) != 1 || pids[0] != os.Getpid() {
		t.Fatalf("%v %v", pids, err)
	}
	address := l.Addr().String()
	l.Close()
	if pids, err = Listeners(address); err != nil || len(pids) != 0 {
		t.Fatalf("closed: %v %v", pids, err)
	}
	if pids, err = Listeners("192.0.2.1:9092"); err != nil || len(pids) != 0 { // an address of nobody, RFC 5737
		t.Fatalf("elsewhere: %v %v", pids, err)
	}
}

// The same port of another address is somebody else's.
func TestListenersOfTheAddressAlone(t *testing.T) {
	for _, c := range []struct {
		listen, ask string
		found       bool
	}{
		{"127.0.0.2:0", "127.0.0.1", false},
		{"127.0.0.2:0", "127.0.0.2", true},
		{"0.0.0.0:0", "127.0.0.1", true},
		{":0", "127.0.0.1", true}, // IPv6's, which takes both
		{"127.0.0.1:0", "localhost", true},
		{"[::1]:0", "::1", true},
		{"[::1]:0", "127.0.0.1", false},
	} {
		l, err := net.Listen("tcp", c.listen)
		if err != nil && strings.HasPrefix(c.listen, "[") {
			t.Logf("no IPv6: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if pids, err := Listeners(net.JoinHostPort(c.ask, port)); err != nil || (len(pids) == 1) != c.found {
			t.Errorf("%s listens, %s asked: %v %v", c.listen, c.ask, pids, err)
		}
		l.Close()
	}
}

func TestEnvironmentSaysWhatItRanOn(t *testing.T) {
	e := Look(t.TempDir())
	if e.Kernel == "" || e.CPUs < 1 || e.MemoryBytes < 1<<28 || e.Congestion == "" || e.FileSystem == "" || e.Versions["go"] == "" {
		t.Fatalf("%+v", e)
	}
}

func TestFoldersAreSpread(t *testing.T) {
	dir := t.TempDir()
	if err := SpreadFolders(dir); err != nil {
		if strings.HasPrefix(Look(dir).FileSystem, "ext4 ") {
			t.Fatal(err)
		}
		t.Skipf("needs ext4: %v", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS); err != nil || flags&topOfTree == 0 {
		t.Fatalf("flags %x, %v", flags, err)
	}
	if err := SpreadFolders(dir + "/missing"); err == nil {
		t.Fatal("a folder that does not exist was spread")
	}
}
