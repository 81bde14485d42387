package audit_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/engine/audit"
	"pinion/engine/clock"
	"pinion/engine/control"
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

// node makes a log directory that has a metadata log, and gives its path.
func node(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	dir, err := device.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	claim, err := identity.Open(dir, identity.Want{Node: 1, Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	c, err := control.Open(control.Options{Node: claim.Node, Dir: dir, Clock: clock.Real{}, Cluster: claim.Cluster, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(c.Run(ended), claim.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoPlaceForTheCopy: that the metadata log cannot be copied to where it is read is not said of the log.
func TestNoPlaceForTheCopy(t *testing.T) {
	path := node(t)
	if reports, err := audit.Check(path); err != nil || len(reports[0].Findings) > 0 {
		t.Fatalf("%v, %+v", err, reports)
	}
	t.Setenv("TMPDIR", filepath.Join(path, "nowhere"))
	if reports, err := audit.Check(path); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v, %+v", err, reports)
	}
}

// TestEmptiedMetadataLog: a metadata log of which nothing but the folder is left is lost.
func TestEmptiedMetadataLog(t *testing.T) {
	path := node(t)
	folder := filepath.Join(path, control.Folder)
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700), os.Mkdir(filepath.Join(path, "orders-0"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if reports, err := audit.Check(path); err != nil || reports[0].Sound() {
		t.Errorf("%v, %+v", err, reports[0])
	}
}
