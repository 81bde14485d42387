// Package shelf keeps other people's packages for tests and benches: what a list names (a POM, a requirements file, a lock file) is fetched
// once, by the registry's ordinary client, into a folder of the user's cache that carries the hash of the list. A folder is whole or is
// fetched again. The package starts nothing of what it keeps, and asks no registry for anything that no list names.
package shelf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// InstallEnv set to 1 lets tests fetch what is missing. Without it, what is not there is missing.
const InstallEnv = "CLIENTS_INSTALL"

// fetchMax bounds one fetch.
const fetchMax = 5 * time.Minute

// Missing says why something is not there and cannot be had: a tool, or packages.
type Missing struct{ Why string }

func (m *Missing) Error() string { return m.Why }

// Set is packages that are fetched together.
type Set struct {
	Name  string                            // part of the folder's name
	List  []byte                            // names the packages; another list is another folder
	Tools []string                          // commands that have to be there
	From  string                            // where the commands of Fetch run; empty for the working directory
	Fetch func(dir, list string) [][]string // commands that fill dir; list is a file that holds List
}

// Jars are what a POM names, without anything that is only built with.
func Jars(name string, pom []byte) Set {
	return Set{Name: name, List: pom, Tools: []string{"java", "mvn"}, Fetch: func(dir, list string) [][]string {
		return [][]string{{"mvn", "-q", "-B", "-f", list, "dependency:copy-dependencies", "-DoutputDirectory=" + dir}}
	}}
}

// Archives are what a POM tells Maven's dependency plugin to unpack.
func Archives(name string, pom []byte) Set {
	return Set{Name: name, List: pom, Tools: []string{"java", "mvn"}, Fetch: func(dir, list string) [][]string {
		return [][]string{{"mvn", "-q", "-B", "-f", list, "dependency:unpack", "-DoutputDirectory=" + dir}}
	}}
}

// Wheels are what a requirements file names, in a virtual environment.
func Wheels(name string, requirements []byte) Set {
	return Set{Name: name, List: requirements, Tools: []string{"python3"}, Fetch: func(dir, list string) [][]string {
		return [][]string{
			{"python3", "-m", "venv", dir},
			{filepath.Join(dir, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "-r", list},
		}
	}}
}

// Allowed reports whether the environment lets tests fetch.
func Allowed() bool { return os.Getenv(InstallEnv) == "1" }

// dir is the folder of a set, whether it is there or not.
func (s Set) dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", &Missing{err.Error()}
	}
	hash := sha256.Sum256(s.List)
	return filepath.Join(cache, "pinion", "shelf", s.Name+"-"+hex.EncodeToString(hash[:6])), nil
}

// Have reports whether the packages are there.
func (s Set) Have() bool {
	dir, err := s.dir()
	if err != nil {
		return false
	}
	_, err = os.Stat(dir + ".complete")
	return err == nil
}

// Get is the folder of the packages, filled if it has to be and may be. The error is a *Missing where they cannot be had.
func (s Set) Get(ctx context.Context, install bool) (string, error) {
	for _, tool := range s.Tools {
		if _, err := exec.LookPath(tool); err != nil {
			return "", &Missing{tool + " is not installed"}
		}
	}
	dir, err := s.dir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", &Missing{err.Error()}
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if s.Have() {
		return dir, nil
	}
	if !install {
		return "", &Missing{fmt.Sprintf("the packages of %s are not installed; %s=1 lets a test fetch them, as `make test` does", s.Name, InstallEnv)}
	}
	// What a fetch that was cut short left behind is not worth repairing.
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("packages of %s: %w", s.Name, err)
	}
	list := dir + ".list.xml" // Maven wants the name of a POM to end like that; the others do not care
	if err := os.WriteFile(list, s.List, 0o644); err != nil {
		return "", fmt.Errorf("list of %s: %w", s.Name, err)
	}
	if err := Run(ctx, s.From, s.Fetch(dir, list)); err != nil {
		return "", &Missing{fmt.Sprintf("the packages of %s could not be fetched: %v", s.Name, err)}
	}
	return dir, os.WriteFile(dir+".complete", nil, 0o644)
}

// lock keeps other tests, of other checkouts too, from fetching into the same folder.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock of the packages: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock of the packages: %w", err)
	}
	return func() { f.Close() }, nil
}

// saidMax is how much of what a command said an error carries.
const saidMax = 1000

// Run runs commands in a folder, one after the other, until one fails.
func Run(ctx context.Context, from string, commands [][]string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchMax)
	defer cancel()
	for _, args := range commands {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = from
		out, err := cmd.CombinedOutput()
		if err != nil {
			text := strings.TrimSpace(string(out))
			return errors.Join(fmt.Errorf("%s: %w", strings.Join(args, " "), err), errors.New(text[max(0, len(text)-saidMax):]))
		}
	}
	return nil
}
