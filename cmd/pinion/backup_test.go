package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/bench/harness"
)

// TestBackupAndRestore: a copy of a stopped node, put in the place of its directory, is the node.
func TestBackupAndRestore(t *testing.T) {
	c := newCorpse(t, true)
	saved, back := filepath.Join(t.TempDir(), "saved"), filepath.Join(t.TempDir(), "deep", "back")
	b, err := harness.Start(harness.Config{Dir: c.dir, Set: corpseSettings})
	if err != nil {
		t.Fatal(err)
	}
	code, _, complaints := pinion(t, "backup", c.dir, saved)
	if _, err := os.Stat(saved); code != 1 || !strings.Contains(complaints, "stop the broker first") || err == nil {
		t.Fatalf("of a running broker: %d\n%s", code, complaints)
	}
	if _, err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	if code, out, complaints := pinion(t, "backup", c.dir, saved); code != 0 || !strings.Contains(out, "sound") {
		t.Fatalf("backup: %d\n%s%s", code, out, complaints)
	}
	t.Run("that nobody could verify", func(t *testing.T) {
		t.Setenv("TMPDIR", filepath.Join(c.dir, "nowhere"))
		code, _, complaints := pinion(t, "backup", c.dir, saved+"-unverified")
		if _, err := os.Stat(filepath.Join(saved+"-unverified", "meta.properties")); code != 1 || !strings.Contains(complaints, "verify the copy") || err == nil {
			t.Errorf("%d, meta.properties %v\n%s", code, err, complaints)
		}
	})
	// Both are mount points.
	for _, path := range []string{saved, back} {
		if err := os.MkdirAll(filepath.Join(path, "lost+found", "#12"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(c.dir, link); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"into itself over a link": {"backup", c.dir, filepath.Join(link, "x", "y")},
		"twice":                   {"backup", c.dir, saved}, "into itself": {"backup", c.dir, filepath.Join(c.dir, "x")}, "over a node": {"restore", saved, c.dir},
		"check of one twice": {"check", c.dir, link}, "backup of one twice": {"backup", c.dir, link, saved + "2"},
	} {
		if code, _, complaints := pinion(t, args...); code != 2 {
			t.Errorf("%s: %d\n%s", name, code, complaints)
		}
	}
	code, _, complaints = pinion(t, "backup", c.dir, saved+"2", "-o", "nonsense")
	if _, err := os.Stat(saved + "2"); code != 2 || !strings.Contains(complaints, "want text, json or jsonl") || err == nil {
		t.Errorf("in no format there is: %d, %v\n%s", code, err, complaints)
	}
	if code, _, complaints := pinion(t, "backup", t.TempDir(), saved+"2"); code != 78 {
		t.Errorf("of nothing: %d\n%s", code, complaints)
	}
	if code, out, complaints := pinion(t, "restore", saved, back); code != 0 {
		t.Fatalf("restore: %d\n%s%s", code, out, complaints)
	}
	if code, out, _ := pinion(t, "restore", saved, back+"-json", "-o", "json"); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("restore as JSON: %d\n%s", code, out)
	}
	if err := os.Symlink(back, link+"-back"); err != nil {
		t.Fatal(err)
	}
	if code, out, complaints := pinion(t, "backup", link+"-back", saved+"-json", "-o", "json"); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("backup over a link, as JSON: %d\n%s%s", code, out, complaints)
	}
	if whole, _ := c.serves(t, "restored", back, nil); !whole {
		t.Error("records are missing")
	}
	// A damaged backup says so, and is restored all the same: it may be all there is.
	name := filepath.Join(saved, "packed-0", strings.Repeat("0", 20)+".log")
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(saved+"-json", "lost+found")); err == nil {
		t.Error("what the file system keeps of its own was saved")
	}
	if code, out, _ := pinion(t, "restore", saved, back+"2"); code != 4 || !strings.Contains(out, "CRC does not match") {
		t.Errorf("a damaged backup: %d\n%s", code, out)
	}
}

// TestCheckAndBackupReadOnly: what a file system allows no more than to read, as after an error of the disk, can be verified and saved.
func TestCheckAndBackupReadOnly(t *testing.T) {
	dir, mounted := filepath.Join(t.TempDir(), "data"), t.TempDir()
	b, err := harness.Start(harness.Config{Dir: dir, Set: corpseSettings})
	if err != nil {
		t.Fatal(err)
	}
	createTopic(t, b, "orders", 4, nil)
	produceTo(t, b, "orders", 4, 10)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(dir, mounted, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	defer func() { _ = unix.Unmount(mounted, unix.MNT_DETACH) }()
	if err := unix.Mount("", mounted, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", mounted}, {"backup", mounted, filepath.Join(t.TempDir(), "saved")}} {
		if code, out, complaints := pinion(t, args...); code != 0 || !strings.Contains(out, "40 records") {
			t.Errorf("%s gives %d\n%s%s", args[0], code, out, complaints)
		}
	}
}
