// Package peer runs Apache Kafka beside Pinion: its jars come from Maven, its storage is formatted by its own tool, and it runs as one
// node that is broker and controller, with every setting at its default and, unless told otherwise, the heap and the collector of its start script.
// A Kafka belongs to whoever started it. The package speaks no protocol.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"pinion/bench/harness"
)

// Config says how Kafka is started; Dir alone is required.
type Config struct {
	Dir string   // everything of the node; formatted if it is empty
	Set []string // further settings, KEY=VALUE
	JVM []string // flags of the virtual machine; empty: Flags
}

// Small are flags for a Kafka whose speed nobody asks for: it starts sooner and leaves the machine to others.
var Small = []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}

// Kafka is a running node.
type Kafka struct {
	logs    string // its log directory
	address string
	cmd     *exec.Cmd
	ports   []*harness.Port
	said    string        // file of what it says
	ended   chan struct{} // closed once the process is gone
}

// flags are those of kafka-run-class and kafka-server-start.
var flags = []string{"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35",
	"-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}

// Flags are how the virtual machine is started, for the record.
func Flags() []string { return append([]string{}, flags...) }

// settings of the node; what is not here has Kafka's default.
const settings = `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=%[2]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
`

// clusterID is a name like any other; Kafka wants 16 bytes in base64.
const clusterID = "cGluaW9uLWJlbmNobWFyaw"

// stopMax bounds a stop in order; Kafka flushes every log.
const stopMax = 2 * time.Minute

// Start formats the folder if it is new, and starts the process. It does not wait until Kafka answers: whoever asks it knows best.
func Start(ctx context.Context, c Config) (*Kafka, error) {
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	k := &Kafka{said: filepath.Join(c.Dir, "said.txt"), ended: make(chan struct{})}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of Kafka: %w", err)
	}
	for range 2 {
		port, err := harness.Reserve()
		if err != nil {
			k.release()
			return nil, err
		}
		k.ports = append(k.ports, port)
	}
	if err := k.start(ctx, c, jars); err != nil {
		k.release()
		return nil, err
	}
	return k, nil
}

// Command is a command that runs one of Kafka's classes.
func Command(ctx context.Context, jars string, heap, args []string) *exec.Cmd {
	all := append(append([]string{}, heap...), "-cp", filepath.Join(jars, "*"))
	return exec.CommandContext(ctx, "java", append(all, args...)...)
}

func (k *Kafka) start(ctx context.Context, c Config, jars string) error {
	k.address = fmt.Sprintf("127.0.0.1:%d", k.ports[0].Number)
	k.logs = filepath.Join(c.Dir, "logs")
	jvm := c.JVM
	if len(jvm) == 0 {
		jvm = flags
	}
	// A node that was here before keeps its controller's address: it is in the quorum's log.
	controller, err := k.controller(c.Dir)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(settings, k.address, controller, k.logs)
	for _, s := range c.Set {
		text += s + "\n"
	}
	file := filepath.Join(c.Dir, "server.properties")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("settings of Kafka: %w", err)
	}
	if _, err := os.Stat(filepath.Join(k.logs, "meta.properties")); errors.Is(err, os.ErrNotExist) {
		format := Command(ctx, jars, jvm, []string{"kafka.tools.StorageTool", "format", "--standalone", "-t", clusterID, "-c", file})
		if out, err := format.CombinedOutput(); err != nil {
			return fmt.Errorf("format Kafka's storage: %w\n%s", err, out)
		}
	}
	said, err := os.OpenFile(k.said, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("what Kafka says: %w", err)
	}
	defer said.Close()
	k.cmd = Command(context.WithoutCancel(ctx), jars, jvm, []string{"kafka.Kafka", file})
	k.cmd.Stdout, k.cmd.Stderr = said, said
	if err := harness.Child(k.cmd); err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	go func() {
		_ = k.cmd.Wait() // Kafka's exit code after SIGTERM is 143
		close(k.ended)
	}()
	return nil
}

// controller is the controller's address, the same for the life of a folder.
func (k *Kafka) controller(dir string) (string, error) {
	name := filepath.Join(dir, "controller")
	text, err := os.ReadFile(name)
	if err == nil {
		return string(text), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("controller of Kafka: %w", err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", k.ports[1].Number)
	return address, os.WriteFile(name, []byte(address), 0o644)
}

// Address is where clients connect.
func (k *Kafka) Address() string { return k.address }

// LogDir is where its partitions lie.
func (k *Kafka) LogDir() string { return k.logs }

// listenPoll is how often a start is looked for: connecting is the only way to see that a listener is there.
const listenPoll = 50 * time.Millisecond

// Listening waits until the clients' listener is open, which it is last. A Kafka that ends before is an error with what it said.
func (k *Kafka) Listening(ctx context.Context) error {
	for {
		if conn, err := net.Dial("tcp", k.address); err == nil {
			return conn.Close()
		}
		select {
		case <-k.ended:
			return fmt.Errorf("Kafka ended before it was ready\n%s", k.Log())
		case <-ctx.Done():
			return fmt.Errorf("Kafka is not ready: %w\n%s", ctx.Err(), k.Log())
		case <-time.After(listenPoll):
		}
	}
}

// Process is the id of the virtual machine's process.
func (k *Kafka) Process() int { return k.cmd.Process.Pid }

// End stops Kafka in order.
func (k *Kafka) End() error {
	if err := k.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop Kafka: %w", err)
	}
	select {
	case <-k.ended:
		k.release()
		return nil
	case <-time.After(stopMax):
		return errors.Join(fmt.Errorf("Kafka did not stop in %v", stopMax), k.Kill())
	}
}

// Kill ends Kafka as kill -9 does and waits until it is gone.
func (k *Kafka) Kill() error {
	if err := k.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill Kafka: %w", err)
	}
	<-k.ended
	k.release()
	return nil
}

func (k *Kafka) release() {
	for _, port := range k.ports {
		port.Release()
	}
}

// logMax is how much of what Kafka said is given.
const logMax = 16 << 10

// Log is the end of what Kafka said.
func (k *Kafka) Log() string {
	text, err := os.ReadFile(k.said)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-logMax):])
}
