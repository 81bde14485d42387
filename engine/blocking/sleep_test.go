package blocking

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// The runtime sends its threads signals, which end a sleep; it goes on.
func TestSleepOutlastsSignals(t *testing.T) {
	thread := make(chan int)
	slept := make(chan time.Duration)
	const d = 50 * time.Millisecond
	go func() {
		runtime.LockOSThread()
		thread <- syscall.Gettid()
		began := time.Now()
		Sleep(d)
		slept <- time.Since(began)
	}()
	id := <-thread
	for {
		select {
		case took := <-slept:
			if took < d {
				t.Errorf("slept %v, want %v", took, d)
			}
			return
		case <-time.After(time.Millisecond):
			_, _, _ = syscall.RawSyscall(syscall.SYS_TGKILL, uintptr(syscall.Getpid()), uintptr(id), uintptr(syscall.SIGURG))
		}
	}
}
