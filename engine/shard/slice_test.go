package shard

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
)

func TestSliceGoesWithWhatAShardUses(t *testing.T) {
	for _, row := range []struct {
		share       float64
		short, want bool
	}{{0, false, true}, {0.24, false, true}, {0.27, true, true}, {0.27, false, false}, {0.31, true, false}, {1, false, false}} {
		if got := sliceFor(row.share, row.short); got != row.want {
			t.Errorf("share %v, short %v: %v", row.share, row.short, got)
		}
	}
}

// A thread that sleeps gets the short slice, one that is busy the kernel's again; the kernel is asked.
func TestSliceIsAskedOfTheKernel(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy != unix.SCHED_NORMAL || before.Runtime == 0 {
		t.Skipf("the kernel has no slices of threads' own: %+v, %v", before, err)
	}
	defer askSlice(false)
	var x slice
	now := clock.Mono(time.Hour)
	x.follow(now) // since an hour ago it has used next to nothing
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Runtime != uint64(sliceShort) || a.Nice != before.Nice {
		t.Fatalf("%+v, %v", a, err)
	}
	x.used -= time.Second // as if all of the next one
	x.follow(now.Add(sliceEvery))
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Runtime == uint64(sliceShort) {
		t.Fatalf("%+v, %v", a, err)
	}
}
