package versus

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"pinion/bench/families"
	"pinion/bench/harness"
)

const (
	// kafkaReadyMax bounds a start of Kafka, which takes about three seconds alone on two cores.
	kafkaReadyMax = 2 * time.Minute
	// kafkaPoll is how often a start is looked for: connecting is the only way to see that the listener is there.
	kafkaPoll = 50 * time.Millisecond
)

// Kafka is a running Apache Kafka of one node that is broker and controller.
type Kafka struct {
	Addr string
	Dir  string // its log directory

	cmd   *exec.Cmd
	ports []*harness.Port
	said  words
	ended chan struct{} // closed once the process is gone
}

// java is how every JVM here is started; the heap is what one node with hundreds of small topics needs.
var java = []string{"java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"}

// StartKafka formats a log directory below dir and starts Kafka on it. The error is a *families.Missing where Java or Kafka's packages
// are not there.
func StartKafka(dir string) (*Kafka, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, &families.Missing{Why: tool + " is not installed"}
		}
	}
	jars, err := families.Packages("kafka", "java/pom.xml", families.Jars("java/pom.xml"))
	if err != nil {
		return nil, err
	}
	k := &Kafka{Dir: filepath.Join(dir, "log"), ended: make(chan struct{})}
	for range 2 {
		port, err := harness.Reserve()
		if err != nil {
			k.release()
			return nil, err
		}
		k.ports = append(k.ports, port)
	}
	if err := k.start(dir, jars); err != nil {
		k.release()
		return nil, err
	}
	if err := k.awaitReady(); err != nil {
		return nil, errors.Join(err, k.Kill())
	}
	return k, nil
}

// settings of the node. What is not here has Kafka's default, as it has in Pinion.
const settings = `process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=%[2]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=%[3]s
`

func (k *Kafka) start(dir, jars string) error {
	k.Addr = fmt.Sprintf("127.0.0.1:%d", k.ports[0].Number)
	file := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(settings, k.Addr, fmt.Sprintf("127.0.0.1:%d", k.ports[1].Number), k.Dir)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("settings of Kafka: %w", err)
	}
	run := func(args ...string) *exec.Cmd {
		args = append(append(append([]string{}, java...), "-cp", filepath.Join(jars, "*")), args...)
		return exec.Command(args[0], args[1:]...)
	}
	format := run("kafka.tools.StorageTool", "format", "--standalone", "-t", "cGluaW9uLXZzLWthZmthMQ", "-c", file)
	if out, err := format.CombinedOutput(); err != nil {
		return fmt.Errorf("format Kafka's storage: %w\n%s", err, out)
	}
	k.cmd = run("kafka.Kafka", file)
	k.cmd.Stdout, k.cmd.Stderr = &k.said, &k.said
	if err := harness.Child(k.cmd); err != nil {
		return fmt.Errorf("start Kafka: %w", err)
	}
	go func() {
		_ = k.cmd.Wait()
		close(k.ended)
	}()
	return nil
}

// awaitReady waits until the listener of clients is open, which it is last.
func (k *Kafka) awaitReady() error {
	limit := time.After(kafkaReadyMax)
	for {
		if conn, err := net.Dial("tcp", k.Addr); err == nil {
			return conn.Close()
		}
		select {
		case <-k.ended:
			return fmt.Errorf("Kafka ended before it was ready\n%s", k.Log())
		case <-limit:
			return fmt.Errorf("Kafka was not ready after %v\n%s", kafkaReadyMax, k.Log())
		case <-time.After(kafkaPoll):
		}
	}
}

// Kill ends Kafka and waits until it is gone; there is nothing on its disk that anybody wants to have.
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

// Log is the end of what Kafka said.
func (k *Kafka) Log() string { return k.said.String() }

// wordsMax is how much of what Kafka says is kept.
const wordsMax = 16 << 10

// words keeps the end of what is written to it.
type words struct {
	mu   sync.Mutex // guards kept; exec's copier writes, a failed test reads
	kept []byte
}

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, b...)
	if n := len(w.kept) - wordsMax; n > 0 {
		w.kept = bytes.Clone(w.kept[n:])
	}
	return len(b), nil
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.kept)
}
