package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"pinion/engine/must"
)

// BinaryEnv names a binary to run instead of building one.
const BinaryEnv = "PINION_BINARY"

var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(BinaryEnv); path != "" {
		return filepath.Abs(path)
	}
	return buildBinary()
})

// Binary is the path of a pinion binary, built at the first call from the module around the working directory. It is built with
// the race detector and the deep checks if this program was, and its file has no name any more: the path leads through our own
// descriptor, so nothing is left behind however this process ends.
func Binary() (string, error) { return build() }

func buildBinary() (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "pinion-build-")
	if err != nil {
		return "", fmt.Errorf("folder for the binary: %w", err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pinion")
	args := []string{"build", "-o", path}
	if must.Deep {
		args = append(args, "-tags", "checks")
	}
	if Raced {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/pinion")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build pinion: %w\n%s", err, out)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("hold the binary: %w", err)
	}
	held = f
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), nil
}

// held keeps the unnamed binary in being.
var held *os.File

// ModuleRoot is the folder of the go.mod above the working directory.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), "module pinion\n") {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not inside the module pinion")
		}
		dir = parent
	}
}
