package families

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

// InstallEnv set to 1 lets the tests install what is missing, from package registries into the user's cache folder. Without it a
// family whose packages are not there is missing.
const InstallEnv = "CLIENTS_INSTALL"

// installMax bounds one installation.
const installMax = 5 * time.Minute

// Missing says why a family's packages are not there.
type Missing struct{ Why string }

func (m *Missing) Error() string { return m.Why }

// Kit is the agents of one language. Packages are fetched once into a folder of the user's cache that carries the hash of the file
// that lists them; an agent is built anew for each run.
type Kit struct {
	Name  string
	From  string // the folder of this package; empty where that is the working directory
	tools []string
	list  string // the file that lists the packages
	fetch func(dir string) [][]string
	build func(dir, out string) [][]string // nil where there is nothing to build
	start func(dir, out string) (args, env []string)
}

// In is the kit for a program that works elsewhere than in the folder of this package.
func (k *Kit) In(folder string) *Kit {
	other := *k
	other.From = folder
	return &other
}

// Kits are the languages. Commands run in the folder of this package.
var (
	Python = &Kit{
		Name: "python", tools: []string{"python3"}, list: "python/requirements.txt",
		fetch: func(dir string) [][]string {
			return [][]string{
				{"python3", "-m", "venv", dir},
				{filepath.Join(dir, "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--retries", "1", "-r", "python/requirements.txt"},
			}
		},
		start: func(dir, _ string) (args, env []string) {
			return []string{filepath.Join(dir, "bin/python"), "python/agent.py"}, []string{"PYTHONDONTWRITEBYTECODE=1"}
		},
	}
	Node = &Kit{
		Name: "node", tools: []string{"node", "npm"}, list: "node/package-lock.json",
		fetch: func(dir string) [][]string {
			return [][]string{
				{"cp", "node/package.json", "node/package-lock.json", dir},
				{"npm", "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries", "1", "--prefix", dir},
			}
		},
		start: func(dir, _ string) (args, env []string) {
			return []string{"node", "node/agent.js"}, []string{"NODE_PATH=" + filepath.Join(dir, "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING=1"}
		},
	}
	Java = &Kit{
		Name: "java", tools: []string{"java", "javac", "mvn"}, list: "java/pom.xml",
		fetch: Jars("java/pom.xml"),
		build: func(dir, out string) [][]string {
			return [][]string{{"javac", "-d", out, "-cp", filepath.Join(dir, "*"), "java/Agent.java", "java/Pour.java", "java/Records.java", "java/Topics.java"}}
		},
		start: func(dir, out string) (args, env []string) {
			return []string{"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", out + ":" + filepath.Join(dir, "*"), "Agent"}, nil
		},
	}
	// Golang keeps its modules where the go command keeps all modules.
	Golang = &Kit{
		Name: "golang", tools: []string{"go"}, list: "golang/go.sum",
		fetch: func(string) [][]string { return [][]string{{"go", "-C", "golang", "mod", "download"}} },
		build: func(_, out string) [][]string {
			return [][]string{{"go", "build", "-C", "golang", "-o", filepath.Join(out, "golang"), "."}}
		},
		start: func(_, out string) (args, env []string) { return []string{filepath.Join(out, "golang")}, nil },
	}
)

// Prepare makes a kit ready; out is a folder for what is built. It returns how to start its agents; the caller appends which client
// and which broker. The error is a *Missing where the packages are not there and cannot be had.
func (k *Kit) Prepare(out string) (args, env []string, err error) {
	for _, tool := range k.tools {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, nil, &Missing{tool + " is not installed"}
		}
	}
	dir, err := packages(k.From, k.Name, k.list, k.fetch)
	if err != nil {
		return nil, nil, err
	}
	if k.build != nil {
		if err := runAll(k.From, k.build(dir, out)); err != nil {
			return nil, nil, fmt.Errorf("build the %s agent: %w", k.Name, err)
		}
	}
	args, env = k.start(dir, out)
	return args, env, nil
}

// Packages is the folder of the packages that a file lists, filled by fetch if it has to be and may be. The error is a *Missing where they
// cannot be had.
func Packages(name, list string, fetch func(dir string) [][]string) (string, error) {
	return packages("", name, list, fetch)
}

// packages is Packages for a list in another folder than the working directory.
func packages(from, name, list string, fetch func(dir string) [][]string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", &Missing{err.Error()}
	}
	text, err := os.ReadFile(filepath.Join(from, list))
	if err != nil {
		return "", fmt.Errorf("packages of %s: %w", name, err)
	}
	hash := sha256.Sum256(text)
	dir := filepath.Join(cache, "pinion", "families", name+"-"+hex.EncodeToString(hash[:6]))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", &Missing{err.Error()}
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	complete := dir + ".complete"
	if _, err := os.Stat(complete); err == nil {
		return dir, nil
	}
	if os.Getenv(InstallEnv) != "1" {
		return "", &Missing{fmt.Sprintf("the packages of %s are not installed; `make test` installs them", list)}
	}
	// What an installation that was cut short left behind is not worth repairing.
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear %s: %w", dir, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("packages of %s: %w", name, err)
	}
	if err := runAll(from, fetch(dir)); err != nil {
		return "", &Missing{fmt.Sprintf("the packages of %s could not be installed: %v", list, err)}
	}
	return dir, os.WriteFile(complete, nil, 0o644)
}

// Jars fetches what a POM names, with Maven.
func Jars(pom string) func(dir string) [][]string {
	return func(dir string) [][]string {
		return [][]string{{"mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", "-DoutputDirectory=" + dir}}
	}
}

// lock keeps other tests, of other checkouts too, from installing into the same folder.
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

// runAll runs commands in a folder, one after the other, until one fails.
func runAll(from string, commands [][]string) error {
	ctx, cancel := context.WithTimeout(context.Background(), installMax)
	defer cancel()
	for _, args := range commands {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Dir = from
		out, err := cmd.CombinedOutput()
		if err != nil {
			text := strings.TrimSpace(string(out))
			return errors.Join(fmt.Errorf("%s: %w", strings.Join(args, " "), err), errors.New(text[max(0, len(text)-1000):]))
		}
	}
	return nil
}
