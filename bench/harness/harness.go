// Package harness runs a real pinion binary for tests and benches: it builds the binary, starts it, waits until it is ready, keeps
// what it says, counts the processor time it takes, and ends it the polite way or with kill -9. A Broker belongs to the test or
// program that started it. The harness speaks no protocol, and it never touches a process that it did not start.
package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyMax bounds a start, recovery included; a start takes milliseconds, but machines that run tests are busy.
	readyMax = 60 * time.Second
	// stopMax bounds a polite end: draining and closing every log.
	stopMax = 60 * time.Second
	// killMax bounds the kernel's part of kill -9.
	killMax = 20 * time.Second
)

// Config says how a broker is started. The zero value is a broker with one shard on a port of its own; Dir alone is required.
type Config struct {
	Dir    string   // log.dirs
	Port   int      // of the Kafka listener; 0 reserves one, see Reserve
	Shards int      // pinion.shards; 0 means 1
	Cores  bool     // clients see each shard as a broker, at the ports behind Port
	Set    []string // further settings, KEY=VALUE
	Binary string   // another binary than Binary builds
	Wrap   []string // a command put before the binary's, such as strace and its flags
}

// Broker is a running pinion process.
type Broker struct {
	Addr  string // of the Kafka listener
	Admin string // URL of the admin server
	Pid   int    // of the broker, or of the command that wraps it

	config Config
	port   *Port
	cmd    *exec.Cmd
	log    *tail
	ready  chan struct{} // closed once the banner is out
	ended  chan struct{} // closed once the process is gone; exit is set before
	exit   error
}

// Start starts a broker and waits until it is ready.
func Start(c Config) (*Broker, error) {
	b, err := Launch(c)
	if err != nil {
		return nil, err
	}
	if err := b.Ready(); err != nil {
		return nil, errors.Join(err, b.Kill())
	}
	return b, nil
}

// Launch starts a broker and does not wait: for those who want to end it, or look at it, while it comes up.
func Launch(c Config) (*Broker, error) {
	if c.Binary == "" {
		path, err := Binary()
		if err != nil {
			return nil, err
		}
		c.Binary = path
	}
	c.Shards = max(1, c.Shards)
	b := &Broker{config: c, log: &tail{}, ready: make(chan struct{}), ended: make(chan struct{})}
	if c.Port == 0 {
		count := 1
		if c.Cores {
			count += c.Shards
		}
		port, err := ReserveRun(count)
		if err != nil {
			return nil, err
		}
		b.port, b.config.Port = port, port.Number
	}
	if err := b.start(); err != nil {
		b.release()
		return nil, err
	}
	return b, nil
}

// start runs the process. Its standard output is read for the banner, whose last line says that the broker is ready.
func (b *Broker) start() error {
	b.Addr = fmt.Sprintf("127.0.0.1:%d", b.config.Port)
	args := append(append([]string{}, b.config.Wrap...), b.config.Binary, "start", "--log-format", "text",
		"--set", "log.dirs="+b.config.Dir,
		"--set", "listeners=PLAINTEXT://"+b.Addr,
		"--set", "pinion.admin=127.0.0.1:0",
		"--set", fmt.Sprintf("pinion.shards=%d", b.config.Shards))
	if b.config.Cores {
		args = append(args, "--set", "pinion.advertise=core")
	}
	for _, s := range b.config.Set {
		args = append(args, "--set", s)
	}
	b.cmd = exec.Command(args[0], args[1:]...)
	// A test that dies takes its brokers along.
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	b.cmd.Stderr = b.log
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("pipe for the banner: %w", err)
	}
	if err := launch(b.cmd); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	b.Pid = b.cmd.Process.Pid
	go b.watch(out)
	return nil
}

// Ready waits until the broker is ready.
func (b *Broker) Ready() error {
	select {
	case <-b.ready:
		return nil
	case <-b.ended:
		return fmt.Errorf("the broker ended before it was ready: %v\n%s", b.exit, b.Log())
	case <-time.After(readyMax):
		return fmt.Errorf("the broker was not ready after %v\n%s", readyMax, b.Log())
	}
}

// watch reads the banner, then waits for the end.
func (b *Broker) watch(out io.Reader) {
	var once sync.Once
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		_, _ = b.log.Write([]byte(line + "\n"))
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "admin" {
			b.Admin = fields[1]
		}
		if strings.HasPrefix(line, "ready in ") {
			once.Do(func() { close(b.ready) })
		}
	}
	_, _ = io.Copy(b.log, out)
	b.exit = b.cmd.Wait()
	close(b.ended)
}

// Stop ends the broker with SIGTERM and returns its exit code. A broker that is gone already has the one it ended with.
func (b *Broker) Stop() (int, error) {
	if err := b.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return -1, fmt.Errorf("stop the broker: %w", err)
	}
	select {
	case <-b.ended:
		b.release()
		return b.cmd.ProcessState.ExitCode(), nil
	case <-time.After(stopMax):
		_ = b.Kill()
		return -1, fmt.Errorf("the broker did not stop in %v\n%s", stopMax, b.Log())
	}
}

// Kill ends the broker as kill -9 does and waits until it is gone. A broker that is gone already is no error.
func (b *Broker) Kill() error {
	if err := b.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill the broker: %w", err)
	}
	select {
	case <-b.ended:
		b.release()
		return nil
	case <-time.After(killMax):
		return fmt.Errorf("the broker is not gone %v after kill -9", killMax)
	}
}

// Signal sends a signal to the process that was started.
func (b *Broker) Signal(s syscall.Signal) error { return b.cmd.Process.Signal(s) }

// Serving is closed once a broker that was launched serves.
func (b *Broker) Serving() <-chan struct{} { return b.ready }

// Ended is closed once the process is gone.
func (b *Broker) Ended() <-chan struct{} { return b.ended }

// Cores reports whether clients see its shards as brokers.
func (b *Broker) Cores() bool { return b.config.Cores }

// Log is what the broker said, on both outputs; of very much only the end.
func (b *Broker) Log() string { return b.log.String() }

func (b *Broker) release() {
	if b.port != nil {
		b.port.Release()
	}
}

// tailMax is how much of a broker's words is kept.
const tailMax = 1 << 20

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex // guards kept; both outputs write
	kept []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, b...)
	if n := len(t.kept) - tailMax; n > tailMax {
		t.kept = append(t.kept[:0], t.kept[n:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}
