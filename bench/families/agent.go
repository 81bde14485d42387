package families

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	// answerMax bounds a command. Agents give up by themselves after 30 s, some of them twice.
	answerMax = 90 * time.Second
	// answerBytesMax bounds an answer; the largest holds an offset for each record produced.
	answerBytesMax = 16 << 20
	// complaintBytesMax is how much of an agent's standard error is kept.
	complaintBytesMax = 16 << 10
)

// Command is what an agent is asked to do.
type Command struct {
	Op         string             `json:"op"`
	Topic      string             `json:"topic"`
	Group      string             `json:"group"`
	Partition  int32              `json:"partition"`
	Partitions int32              `json:"partitions"`
	File       string             `json:"file"`
	Codec      string             `json:"codec"` // none, gzip, snappy, lz4, zstd
	Acks       string             `json:"acks"`  // 0, 1, all
	Idempotent bool               `json:"idempotent"`
	Start      string             `json:"start"` // earliest, latest, offset, timestamp
	At         int64              `json:"at"`    // offset, or timestamp or session in milliseconds
	Count      int                `json:"count"`
	Times      []int64            `json:"times"`
	Configs    map[string]*string `json:"configs"`
	How        string             `json:"how"` // set, replace; pattern
	Dry        bool               `json:"dry"` // validate only
}

// Answer holds the fields of all answers; see the package's comment.
type Answer struct {
	Client     string             `json:"client"`
	Offsets    []int64            `json:"offsets"`
	Earliest   int64              `json:"earliest"`
	Latest     int64              `json:"latest"`
	At         []int64            `json:"at"`
	Topics     []string           `json:"topics"`
	Partitions []Partition        `json:"partitions"`
	Configs    map[string]*string `json:"configs"`
	Numbers    []int64            `json:"numbers"`
	Taken      [][2]int64         `json:"taken"` // partition and offset
	Lag        []int64            `json:"lag"`   // by partition
	Groups     []string           `json:"groups"`
	State      string             `json:"state"`
	Members    int                `json:"members"`
}

// Partition is a partition as a client describes it.
type Partition struct {
	ID       int32   `json:"id"`
	Leader   int32   `json:"leader"`
	Replicas []int32 `json:"replicas"`
}

// Refused is the error of a command that the client could not or would not do.
type Refused struct {
	Kind string `json:"kind"` // broker, unsupported, absent, client
	Code int    `json:"code"` // Kafka's, with kind broker
	Text string `json:"text"`
}

func (r *Refused) Error() string { return fmt.Sprintf("%s %d: %s", r.Kind, r.Code, r.Text) }

// Agent is a running program. One command runs at a time.
type Agent struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte // closed when the program is gone
	said  *end
}

// Launch starts an agent.
func Launch(args, env []string) (*Agent, error) { return LaunchIn("", args, env) }

// LaunchIn starts an agent from the folder of this package, for a program that works elsewhere.
func LaunchIn(folder string, args, env []string) (*Agent, error) {
	a := &Agent{cmd: exec.Command(args[0], args[1:]...), lines: make(chan []byte, 1), said: &end{}}
	a.cmd.Dir = folder
	a.cmd.Env = append(a.cmd.Environ(), env...)
	a.cmd.Stderr = a.said
	var err error
	if a.in, err = a.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("pipe to an agent: %w", err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("pipe from an agent: %w", err)
	}
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start an agent: %w", err)
	}
	go a.pump(out)
	return a, nil
}

func (a *Agent) pump(out io.Reader) {
	in := bufio.NewScanner(out)
	in.Buffer(nil, answerBytesMax)
	for in.Scan() {
		a.lines <- append([]byte(nil), in.Bytes()...)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = a.cmd.Wait()
	close(a.lines)
}

// Do runs a command. The error is a *Refused if the client answered with one; any other ends the agent.
func (a *Agent) Do(c Command) (*Answer, error) {
	line, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write a command: %w", err)
	}
	if _, err := a.in.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("the agent is gone: %w\n%s", err, a.said)
	}
	var text []byte
	select {
	case text = <-a.lines:
	case <-time.After(answerMax):
		_ = a.cmd.Process.Kill()
		return nil, fmt.Errorf("no answer to %s in %v\n%s", c.Op, answerMax, a.said)
	}
	if text == nil {
		return nil, fmt.Errorf("the agent ended during %s\n%s", c.Op, a.said)
	}
	var answer struct {
		Ok    *Answer  `json:"ok"`
		Error *Refused `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("answer to %s: %w\n%.500s", c.Op, err, text)
	}
	if answer.Error != nil {
		return nil, answer.Error
	}
	return answer.Ok, nil
}

// closeMax is how long an agent has to end once it has no more commands.
const closeMax = 5 * time.Second

// Close ends the agent.
func (a *Agent) Close() {
	_ = a.in.Close()
	limit := time.After(closeMax)
	for {
		select {
		case _, open := <-a.lines:
			if !open {
				return
			}
		case <-limit:
			_ = a.cmd.Process.Kill()
			limit = nil
		}
	}
}

// end keeps the end of what is written to it.
type end struct {
	mu   sync.Mutex // guards kept; exec's copier writes, Do reads
	kept []byte
}

func (e *end) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.kept = append(e.kept, b...)
	e.kept = e.kept[max(0, len(e.kept)-complaintBytesMax):]
	return len(b), nil
}

func (e *end) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.kept)
}
