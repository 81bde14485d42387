package device

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNamesOfAFirstStart: the name of a directory that is new, or was made by somebody else and is empty, is durable before anything is put there. strace watches
// another process of this test open it.
func TestNamesOfAFirstStart(t *testing.T) {
	if dir := os.Getenv("PINION_OPEN"); dir != "" {
		if _, err := OpenDir(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed and could not be")
	}
	above, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	synced := func(dir string) string {
		t.Helper()
		c := exec.Command("strace", "-f", "-y", "-qq", "-e", "trace=fsync", os.Args[0], "-test.run=^TestNamesOfAFirstStart$")
		c.Env = append(os.Environ(), "PINION_OPEN="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	fresh, made := filepath.Join(above, "fresh"), filepath.Join(above, "made")
	if err := os.Mkdir(made, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{fresh, made} {
		if out := synced(dir); !strings.Contains(out, "<"+above+">") {
			t.Errorf("the name of %s is not synced: %s", dir, out)
		}
	}
	if err := os.WriteFile(filepath.Join(made, "used"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out := synced(made); strings.Contains(out, "<"+above+">") {
		t.Errorf("a start that is not the first waits for the disk: %s", out)
	}
}
