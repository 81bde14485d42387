package audit

import (
	"strings"
	"testing"

	"pinion/disk/faulty"
	"pinion/disk/log"
)

// TestUnreadableSnapshot: one that the disk does not give back is passed over by a start, and does not end a look at everything else.
func TestUnreadableSnapshot(t *testing.T) {
	d := faulty.New(1)
	if err := d.Mkdir("orders-0"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"log", "snapshot"} {
		if err := d.Replace("orders-0/00000000000000000000."+suffix, nil); err != nil {
			t.Fatal(err)
		}
	}
	d.Fail(func(op faulty.Op, name string) error {
		if op == faulty.Read && strings.HasSuffix(name, ".snapshot") {
			return faulty.EIO
		}
		return nil
	})
	var r Report
	if err := r.partition(d, "orders-0", log.OpenFrom{}, nil); err != nil || !r.Sound() || len(r.Findings) != 1 {
		t.Fatalf("%v, %+v", err, r.Findings)
	}
}
