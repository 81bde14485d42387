package frameworks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/bench/harness"
)

const (
	// workerMax bounds what a worker takes to start, to take tasks over, or to carry what was written: seconds alone on two cores.
	workerMax = 2 * time.Minute
	// lookPause is between two looks at a file or at what a worker says; neither tells when it changes.
	lookPause = 50 * time.Millisecond

	linesTopic = "lines"
	batchLines = 500 // appended to the source file at a time
)

// worker is a distributed worker of Connect.
type worker struct {
	*Process
	port *harness.Port
	name string // as statuses show it
}

// Connect carries the lines of a file into a topic and from there into another file, through a second worker that joins, through workers that
// are stopped, killed and started again: no line is lost, and where every worker was stopped in order none is carried twice.
func TestConnectCarriesFiles(t *testing.T) {
	if !long {
		t.Skip("it takes a minute; `make frameworks` runs it")
	}
	jars := wantJars(t)
	pinion := startPinion(t)
	c := &connect{t: t, jars: jars, addr: pinion.addr, dir: t.TempDir()}
	admin := kadm.NewClient(newClient(t, pinion))
	if _, err := admin.CreateTopic(testContext(t), 2, 1, nil, linesTopic); err != nil {
		t.Fatal(err)
	}
	c.append()
	first := c.start()
	c.put(first, "source", map[string]string{"connector.class": "FileStreamSource", "tasks.max": "1", "file": c.file("in"), "topic": linesTopic})
	c.put(first, "sink", map[string]string{"connector.class": "FileStreamSink", "tasks.max": "2", "file": c.file("out"), "topics": linesTopic})
	c.wait("the first lines")
	second := c.start()
	c.append()
	c.placed("two workers share the tasks", second, first.name, second.name)
	c.wait("lines carried by two workers")
	c.stop(first, syscall.SIGTERM)
	c.append()
	c.placed("one worker has all tasks", second, second.name)
	c.wait("lines carried by the one that stays")
	c.stop(second, syscall.SIGTERM)
	c.append() // nobody is there
	again := c.start()
	c.wait("lines written while nobody was there")
	if twice := c.carried(admin) - c.lines; twice != 0 {
		t.Errorf("%d lines are in the topic twice, although every worker was stopped in order", twice)
	}
	c.stop(again, syscall.SIGKILL)
	c.append()
	last := c.start()
	c.placed("the worker after a kill has all tasks", last, last.name)
	c.wait("lines after a kill")
	t.Logf("connect: %d lines through %d workers, of which one was killed; %d more records than lines, %d more lines at the end", c.lines, c.workers, c.carried(admin)-c.lines, c.extra)
}

// connect is a test of Connect: what it wrote, and where.
type connect struct {
	t          *testing.T
	jars, addr string
	dir        string
	lines      int // appended so far
	extra      int // lines that came twice, of those that were awaited last
	workers    int
}

func (c *connect) file(name string) string { return filepath.Join(c.dir, name+".txt") }

// append appends lines to the source's file.
func (c *connect) append() {
	c.t.Helper()
	f, err := os.OpenFile(c.file("in"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	var text bytes.Buffer
	for range batchLines {
		fmt.Fprintf(&text, "line %d\n", c.lines)
		c.lines++
	}
	if _, err := f.Write(text.Bytes()); err != nil {
		c.t.Fatal(err)
	}
}

// wait waits until every line is in the sink's file.
func (c *connect) wait(what string) {
	c.t.Helper()
	for begun := time.Now(); ; time.Sleep(lookPause) {
		text, err := os.ReadFile(c.file("out"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Fatal(err)
		}
		seen := map[string]bool{}
		all := 0
		for line := range strings.Lines(string(text)) {
			if strings.HasSuffix(line, "\n") {
				seen[line] = true
				all++
			}
		}
		missing := c.lines
		for i := range c.lines {
			if seen[fmt.Sprintf("line %d\n", i)] {
				missing--
			}
		}
		if missing == 0 {
			c.extra = all - c.lines
			return
		}
		if time.Since(begun) > workerMax {
			c.t.Fatalf("%s: %d of %d lines are missing after %v", what, missing, c.lines, workerMax)
		}
	}
}

// carried is how many records are in the topic.
func (c *connect) carried(admin *kadm.Client) int {
	c.t.Helper()
	ends, err := admin.ListEndOffsets(testContext(c.t), linesTopic)
	if err != nil || ends.Error() != nil {
		c.t.Fatal(err, ends.Error())
	}
	n := 0
	ends.Each(func(o kadm.ListedOffset) { n += int(o.Offset) })
	return n
}

// workerSettings are what a worker is started with, but for its address and the broker's.
const workerSettings = `group.id=connect
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.storage.StringConverter
config.storage.topic=connect-configs
offset.storage.topic=connect-offsets
status.storage.topic=connect-status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
plugin.discovery=service_load
offset.flush.interval.ms=1000
session.timeout.ms=10000
heartbeat.interval.ms=500
scheduled.rebalance.max.delay.ms=500
`

// start starts a worker and waits until it answers.
func (c *connect) start() *worker {
	c.t.Helper()
	port, err := harness.Reserve()
	if err != nil {
		c.t.Fatal(err)
	}
	c.workers++
	w := &worker{port: port, name: fmt.Sprintf("127.0.0.1:%d", port.Number)}
	settings := filepath.Join(c.dir, fmt.Sprintf("worker-%d.properties", c.workers))
	text := fmt.Sprintf("%sbootstrap.servers=%s\nlisteners=http://%s\n", workerSettings, c.addr, w.name)
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
	w.Process, err = Java(filepath.Join(c.jars, "*"), []string{warnings}, "org.apache.kafka.connect.cli.ConnectDistributed", settings)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		if c.t.Failed() {
			c.t.Logf("worker %s said last:\n%s", w.name, w.Said())
		}
		_ = w.Stop(os.Kill) // it may be gone already
		port.Release()
	})
	for begun := time.Now(); ; time.Sleep(lookPause) {
		if _, err := c.ask(w, http.MethodGet, "/connectors", nil); err == nil {
			return w
		} else if time.Since(begun) > workerMax {
			c.t.Fatalf("worker %s does not answer: %v", w.name, err)
		}
	}
}

func (c *connect) stop(w *worker, signal os.Signal) {
	c.t.Helper()
	if err := w.Stop(signal); err != nil {
		c.t.Fatal(err)
	}
}

// put makes a connector. A worker refuses while its group is being balanced.
func (c *connect) put(w *worker, name string, settings map[string]string) {
	c.t.Helper()
	for begun := time.Now(); ; time.Sleep(lookPause) {
		_, err := c.ask(w, http.MethodPut, "/connectors/"+name+"/config", settings)
		if err == nil {
			return
		}
		if time.Since(begun) > workerMax {
			c.t.Fatalf("connector %s: %v", name, err)
		}
	}
}

// placed waits until all connectors and tasks run, on just these workers.
func (c *connect) placed(what string, w *worker, names ...string) {
	c.t.Helper()
	said := ""
	for begun := time.Now(); ; time.Sleep(lookPause) {
		on, running := map[string]bool{}, 0
		for _, connector := range []string{"source", "sink"} {
			text, err := c.ask(w, http.MethodGet, "/connectors/"+connector+"/status", nil)
			if err != nil {
				said = err.Error()
				continue
			}
			said = string(text)
			var status struct {
				Connector placedTask   `json:"connector"`
				Tasks     []placedTask `json:"tasks"`
			}
			if err := json.Unmarshal(text, &status); err != nil {
				c.t.Fatal(err)
			}
			for _, task := range append(status.Tasks, status.Connector) {
				if task.State == "RUNNING" {
					running++
					on[task.Worker] = true
				}
			}
		}
		all := running == 5 && len(on) == len(names) // two connectors and three tasks
		for _, name := range names {
			all = all && on[name]
		}
		if all {
			return
		}
		if time.Since(begun) > workerMax {
			c.t.Fatalf("%s: %d run, on %v; last answer: %s", what, running, on, said)
		}
	}
}

type placedTask struct {
	State  string `json:"state"`
	Worker string `json:"worker_id"`
}

// ask asks a worker over HTTP; what it refuses is an error.
func (c *connect) ask(w *worker, method, path string, body any) ([]byte, error) {
	status, text, err := ask(c.t.Context(), method, "http://"+w.name+path, body)
	if err == nil && status >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s %s: %d: %s", method, path, status, text)
	}
	return text, err
}
