package frameworks

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // of the lists of packages
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"pinion/bench/harness"
	"pinion/bench/shelf"
)

//go:embed java/pom.xml
var pom []byte

//go:embed java/flink.xml
var flinkPom []byte

//go:embed java/registry.xml
var registryPom []byte

// Jars is the folder of the jars of Apache Kafka, its tools and its frameworks. The error is a *shelf.Missing where they cannot be had.
func Jars(ctx context.Context) (string, error) {
	return shelf.Jars("frameworks", pom).Get(ctx, shelf.Allowed())
}

// FlinkJars is the folder of Flink's jars, of which some are other versions of the same. The error is as that of Jars.
func FlinkJars(ctx context.Context) (string, error) {
	return shelf.Jars("flink", flinkPom).Get(ctx, shelf.Allowed())
}

// Registry is the folder of a schema registry. The error is as that of Jars.
func Registry(ctx context.Context) (string, error) {
	return shelf.Archives("registry", registryPom).Get(ctx, shelf.Allowed())
}

// Compile compiles sources of the folder java into a new folder below scratch and returns the class path of what came of it, jars included.
func Compile(ctx context.Context, jars, scratch string, sources ...string) (classpath string, err error) {
	if _, err := exec.LookPath("javac"); err != nil {
		return "", &shelf.Missing{Why: "javac is not installed"}
	}
	out, err := os.MkdirTemp(scratch, "classes-")
	if err != nil {
		return "", fmt.Errorf("folder of classes: %w", err)
	}
	args := []string{"javac", "-nowarn", "-d", out, "-cp", filepath.Join(jars, "*")}
	for _, s := range sources {
		args = append(args, filepath.Join("java", s))
	}
	if err := shelf.Run(ctx, "", [][]string{args}); err != nil {
		return "", err
	}
	return out + ":" + filepath.Join(jars, "*"), nil
}

// small are flags for virtual machines that have work for seconds and share two cores.
var small = []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"}

// Process is a program that runs beside the test: its standard output is read, its standard error kept.
type Process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	said  *said
	lines chan string   // of its standard output; closed at its end
	ended chan struct{} // closed once it is gone
}

// linesMax is how many lines wait for somebody to read them; a process that says more waits.
const linesMax = 1 << 16

// Start starts a process, which ends with this one.
func Start(args []string, env ...string) (*Process, error) {
	p := &Process{cmd: exec.Command(args[0], args[1:]...), said: &said{}, lines: make(chan string, linesMax), ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.said
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe to %s: %w", args[0], err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe from %s: %w", args[0], err)
	}
	p.in = in
	if err := harness.Child(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			p.lines <- lines.Text()
		}
		close(p.lines)
		_ = p.cmd.Wait() // the exit code of what was stopped says nothing
		close(p.ended)
	}()
	return p, nil
}

// Java starts a class in a small virtual machine.
func Java(classpath string, flags []string, args ...string) (*Process, error) {
	all := append(append([]string{"java"}, small...), flags...)
	return Start(append(append(all, "-cp", classpath), args...))
}

// Stop ends the process: with the signal first, and with kill -9 where that takes longer than stopMax.
func (p *Process) Stop(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.cmd.Path, err)
	}
	late := false
	for limit := time.After(stopMax); ; {
		select {
		case _, open := <-p.lines: // a process that nobody listens to may wait for ever
			if !open {
				p.lines = nil
			}
		case <-p.ended:
			if late {
				return fmt.Errorf("%s did not end in %v and was killed", p.cmd.Path, stopMax)
			}
			return nil
		case <-limit:
			late = true
			_ = p.cmd.Process.Kill()
		}
	}
}

// Await waits for a line of the process's standard output that begins with these words, and passes over those before it.
func (p *Process) Await(ctx context.Context, words string) (string, error) {
	for {
		select {
		case said, open := <-p.lines:
			if !open {
				return "", fmt.Errorf("%s ended before it said %q\n%s", p.cmd.Path, words, p.Said())
			}
			if strings.HasPrefix(said, words) {
				return said, nil
			}
		case <-ctx.Done():
			return "", fmt.Errorf("%s has not said %q: %w\n%s", p.cmd.Path, words, ctx.Err(), p.Said())
		}
	}
}

// stopMax is how long a process may take to end.
const stopMax = 30 * time.Second

// Said is the end of what the process said on its standard error.
func (p *Process) Said() string { return p.said.String() }

// Driver runs the main methods of tools in one virtual machine. It belongs to the test that started it and does one thing at a time.
type Driver struct {
	*Process
	classpath string
}

// Outcome is what became of a tool.
type Outcome struct {
	Exit int    `json:"exit"`
	Out  string `json:"out"`
	Err  string `json:"err"`
}

// toolMax bounds one run of a tool; most take a fraction of a second.
const toolMax = 90 * time.Second

// Run runs the main method of a class.
func (d Driver) Run(class string, args []string, input string) (Outcome, error) {
	line, err := json.Marshal(map[string]any{"main": class, "args": args, "input": input, "max_ms": toolMax.Milliseconds()})
	if err != nil {
		return Outcome{}, err
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		return Outcome{}, fmt.Errorf("the driver is gone: %w\n%s", err, d.Said())
	}
	var o Outcome
	text, open := <-d.lines
	if !open {
		return o, fmt.Errorf("the driver ended in %s %v\n%s", class, args, d.Said())
	}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return o, fmt.Errorf("answer of the driver: %w\n%.500s", err, text)
	}
	return o, nil
}

// RunAlone runs the main method of a class in a virtual machine of its own.
func (d Driver) RunAlone(class string, args []string, input string) (Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolMax)
	defer cancel()
	flags := append(append([]string{}, small...), quiet, "-cp", d.classpath, class)
	cmd := exec.CommandContext(ctx, "java", append(flags, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &problems
	err := cmd.Run()
	o := Outcome{Exit: cmd.ProcessState.ExitCode(), Out: out.String(), Err: problems.String()}
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		return o, fmt.Errorf("%s %v: %w: %s", class, args, err, o.Err)
	}
	return o, nil
}

// quiet keeps what tools log to themselves: it tells of the client and not of the broker.
const quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"

// said keeps the end of what is written to it.
type said struct {
	mu   sync.Mutex // guards kept; exec's copier writes, tests read
	kept []byte
}

// saidMax is how much of what a process said is kept.
const saidMax = 64 << 10

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, b...)
	s.kept = s.kept[max(0, len(s.kept)-saidMax):]
	return len(b), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.kept)
}

// warnings are what a framework logs to its standard error, which is shown where a test fails.
const warnings = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
