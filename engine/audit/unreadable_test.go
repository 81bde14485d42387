package audit

import (
	"strings"
	"testing"

	"pinion/disk/faulty"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/placement"
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

// TestUnreadableBesideTheLogs: what the disk does not give back of the recovery points, or of the journal, is a finding, and the logs are read all the same.
func TestUnreadableBesideTheLogs(t *testing.T) {
	for _, file := range []string{"pinion-recovery-points", journal.Folder + "/0000.journal"} {
		d := faulty.New(1)
		for _, folder := range []string{"orders-0", journal.Folder} {
			if err := d.Mkdir(folder); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"orders-0/00000000000000000000.log", file} {
			if err := d.Replace(name, nil); err != nil {
				t.Fatal(err)
			}
		}
		d.Fail(func(op faulty.Op, name string) error {
			if op == faulty.Read && name == file {
				return faulty.EIO
			}
			return nil
		})
		c := check{image: &placement.Image{}}
		at := &directory{dir: d, claim: &identity.Claim{}, report: &Report{}}
		err := c.read(at)
		if r := at.report; err != nil || r.Sound() || r.Partitions != 1 || !strings.Contains(r.Findings[0].Reason, file) {
			t.Errorf("%s: %v, %+v", file, err, r)
		}
	}
}
