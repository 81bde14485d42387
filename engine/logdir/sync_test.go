package logdir

import (
	"errors"
	"testing"

	"pinion/disk/faulty"
)

// TestSyncAllFailsForAll: the kernel tells one of those who ask what it could not store, and calls the pages clean. The next must not take them for durable,
// nor one that asks at the same time.
func TestSyncAllFailsForAll(t *testing.T) {
	disk := faulty.New(1)
	d := New(disk)
	lost := errors.New("lost")
	asked := 0
	disk.Fail(func(op faulty.Op, _ string) error {
		if op != faulty.SyncAll {
			return nil
		}
		if asked++; asked > 1 {
			return nil // as the kernel has it
		}
		if busy, err := d.SyncAll(); !busy || err != nil {
			t.Errorf("beside another: busy %v, %v", busy, err)
		}
		return lost
	})
	for range 2 {
		if busy, err := d.SyncAll(); busy || !errors.Is(err, lost) {
			t.Errorf("busy %v, %v", busy, err)
		}
	}
	if asked != 1 {
		t.Errorf("the disk was asked %d times", asked)
	}
}

// TestSyncAllGoesOn: what went well once goes well again.
func TestSyncAllGoesOn(t *testing.T) {
	d := New(faulty.New(1))
	for range 2 {
		if busy, err := d.SyncAll(); busy || err != nil {
			t.Errorf("busy %v, %v", busy, err)
		}
	}
}
