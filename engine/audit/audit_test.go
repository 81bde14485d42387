package audit_test

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/engine/audit"
)

// TestWithoutMetadataLog: a node has none before its first start has made it; one that has begun has lost it, or has it in another directory.
func TestWithoutMetadataLog(t *testing.T) {
	path := t.TempDir()
	dir, err := device.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := identity.Open(dir, identity.Want{Node: 1, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		folder string
		sound  bool
		want   string
	}{
		{"lost+found", true, "the first start was interrupted"},
		{"orders-0", false, "name the one that has it as well"},
	} {
		if err := os.Mkdir(filepath.Join(path, c.folder), 0o700); err != nil {
			t.Fatal(err)
		}
		reports, err := audit.Check(path)
		if err != nil {
			t.Fatal(err)
		}
		if r := reports[0]; r.Sound() != c.sound || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Reason, c.want) {
			t.Errorf("with %s: %+v", c.folder, r)
		}
	}
}
