package limit

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/measure"
)

// Figures are what one loop gave in the measured time.
type Figures struct {
	Name     string
	Took     time.Duration
	CPU      time.Duration  // of the child: the loop's own
	Bytes    int64          // of payload, before compression
	Requests int64          // or chunks
	Latency  *hdr.Histogram // of what Measures names; nanoseconds
	Measures string         // produce, fetch: of a request; e2e: from producer to consumer; sync: of a write with its sync
}

// CPUSecondsPerGB is the loop's processor time for 1e9 bytes of payload.
func (f Figures) CPUSecondsPerGB() float64 { return f.CPU.Seconds() / (float64(f.Bytes) / 1e9) }

// RequestsPerCPUSecond is what a second of the loop's processor time answers.
func (f Figures) RequestsPerCPUSecond() float64 { return float64(f.Requests) / f.CPU.Seconds() }

// Timing is how long a loop runs.
type Timing struct{ Warmup, Duration time.Duration }

// relayTopic is the name of the topic that is none.
const relayTopic = "limit"

// Run measures one loop. command is how to start a process that calls Child.
func Run(ctx context.Context, command []string, spec Spec, timing Timing) (Figures, error) {
	c, err := startChild(ctx, command, spec)
	if err != nil {
		return Figures{}, fmt.Errorf("loop %s: %w", spec.Name, err)
	}
	figures, err := c.measure(ctx, spec, timing)
	figures.Name = spec.Name
	figures.Measures = map[Kind]string{Serve: "fetch", Null: "produce", Relay: "e2e", Journal: "sync"}[spec.Kind]
	if ended := c.stop(); err != nil || ended != nil {
		return figures, fmt.Errorf("loop %s: %w", spec.Name, errors.Join(err, ended))
	}
	return figures, nil
}

// child is the process that runs the loop.
type child struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	words   strings.Builder // what it said on its standard error
	address string
}

func startChild(ctx context.Context, command []string, spec Spec) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, command[0], command[1:]...)}
	c.cmd.Stderr = &c.words
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the parent, which ends the child in order
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	text, err := json.Marshal(spec)
	if err == nil {
		_, err = c.in.Write(text)
	}
	if err == nil && c.out.Scan() {
		if address, ready := strings.CutPrefix(c.out.Text(), readyLine); ready {
			c.address = address
			return c, nil
		}
	}
	return nil, errors.Join(errors.New("the child did not get ready"), err, c.stop())
}

// stop ends the child and gives its failure.
func (c *child) stop() error {
	_ = c.in.Close()
	for c.out.Scan() {
	}
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("the child: %w: %s", err, strings.TrimSpace(c.words.String()))
	}
	return nil
}

func (c *child) measure(ctx context.Context, spec Spec, timing Timing) (Figures, error) {
	switch spec.Kind {
	case Append, Sendfile:
		return c.stream(ctx, spec, timing)
	case Journal:
		return c.journal(ctx, timing)
	}
	return c.ask(ctx, spec, timing)
}

// span measures the child's processor time between two moments.
func (c *child) cpu() (time.Duration, error) {
	u, err := machine.Of(c.cmd.Process.Pid)
	return u.CPU(), err
}

// stream feeds the child, or drinks what it sends, on a connection for each of its threads.
func (c *child) stream(ctx context.Context, spec Spec, timing Timing) (Figures, error) {
	chunk, payload := make([]byte, spec.Chunk), spec.Chunk
	if spec.Kind == Append {
		b, err := spec.Shape.Batch()
		if err != nil {
			return Figures{}, err
		}
		chunk, payload = b, spec.Shape.Payload()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var count atomic.Int64
	failed := make(chan error, spec.Threads)
	fds := make([]int, 0, spec.Threads)
	// Threads end when their sockets are shut down; they are waited for before the sockets are closed, lest a number is used again.
	done := make(chan struct{}, spec.Threads)
	defer func() {
		cancel()
		for _, fd := range fds {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		}
		for _, fd := range fds {
			<-done
			_ = fd
		}
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	for range spec.Threads {
		fd, err := load.DialBlocking(c.address)
		if err != nil {
			return Figures{}, err
		}
		fds = append(fds, fd)
		go func() {
			defer func() { done <- struct{}{} }()
			if err := pump(ctx, fd, spec.Kind == Append, chunk, &count); err != nil && ctx.Err() == nil {
				failed <- err
			}
		}()
	}
	f := Figures{}
	if err := pause(ctx, failed, timing.Warmup); err != nil {
		return f, err
	}
	before, err := c.cpu()
	if err != nil {
		return f, err
	}
	began, chunks := time.Now(), count.Load()
	if err := pause(ctx, failed, timing.Duration); err != nil {
		return f, err
	}
	f.Requests = count.Load() - chunks
	f.Took = time.Since(began)
	after, err := c.cpu()
	f.CPU, f.Bytes = after-before, f.Requests*int64(payload)
	return f, err
}

// pump sends the chunk again and again, or receives as much, until the socket fails.
func pump(ctx context.Context, fd int, sending bool, chunk []byte, count *atomic.Int64) error {
	for ctx.Err() == nil {
		var err error
		if sending {
			err = sendBy(unix.Write, fd, chunk)
		} else {
			for left := len(chunk); left > 0 && err == nil; {
				n := min(left, 256<<10)
				err = receive(fd, chunk[:n])
				left -= n
			}
		}
		if err != nil {
			return err
		}
		count.Add(1)
	}
	return nil
}

// pause waits, unless something fails or the context ends.
func pause(ctx context.Context, failed <-chan error, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// ask measures the loops that answer, with the generator that measures brokers.
func (c *child) ask(ctx context.Context, spec Spec, timing Timing) (Figures, error) {
	target := load.Target{Topic: relayTopic, Leaders: []string{c.address}}
	plan := load.Plan{Warmup: timing.Warmup, Duration: timing.Duration}
	if spec.Kind == Serve {
		fetch, err := c.fetch(spec)
		if err != nil {
			return Figures{}, err
		}
		plan.Fetch = fetch
	} else {
		plan.Produce = &load.Produce{Target: target, Connections: spec.Connections, InFlight: spec.InFlight, Shape: *spec.Shape, Acks: 1}
	}
	if spec.Kind == Relay {
		plan.Produce.Connections, plan.Produce.InFlight, plan.Produce.Rate, plan.Produce.Stamp = 4, 1, spec.Rate, true
		plan.Tail = &load.Tail{Target: target, Connections: 1, From: []int64{0}, RecordBytes: spec.Shape.RecordBytes}
	}
	var before, after time.Duration
	var first, second error
	outcome, err := load.Run(ctx, nil, plan, load.Hooks{
		Begin: func() { before, first = c.cpu() },
		End:   func() { after, second = c.cpu() },
	})
	f := Figures{Took: outcome.Total.End, CPU: after - before, Bytes: outcome.Total.Sent.Bytes, Requests: outcome.Total.Sent.Requests, Latency: outcome.Total.Latency}
	switch spec.Kind {
	case Relay:
		f.Latency = outcome.Total.EndToEnd
	case Serve:
		f.Bytes, f.Requests, f.Latency = outcome.Total.Received.Bytes, outcome.Total.Received.Requests, outcome.Total.Fetch
	}
	return f, errors.Join(err, first, second)
}

// fetch is the load of the row of fetches: each connection reads a partition from start to end, over and over.
func (c *child) fetch(spec Spec) (*load.Fetch, error) {
	b, err := spec.Shape.Batch()
	if err != nil {
		return nil, err
	}
	f := &load.Fetch{Target: load.Target{Topic: relayTopic}, Connections: servedPartitions, BytesMax: int32(spec.Chunk)}
	for range servedPartitions {
		f.Target.Leaders = append(f.Target.Leaders, c.address)
		f.Starts = append(f.Starts, 0)
		f.Ends = append(f.Ends, servedBatches(len(b))*int64(spec.Shape.Records))
	}
	return f, nil
}

// journal reads the child's own times.
func (c *child) journal(ctx context.Context, timing Timing) (Figures, error) {
	f := Figures{Latency: load.NewHistogram()}
	start := time.Now()
	var began time.Time
	var before time.Duration
	for c.out.Scan() {
		var took time.Duration
		if err := json.Unmarshal(c.out.Bytes(), &took); err != nil {
			return f, fmt.Errorf("read %q: %w", c.out.Text(), err)
		}
		switch now := time.Now(); {
		case ctx.Err() != nil:
			return f, ctx.Err()
		case now.Sub(start) < timing.Warmup:
		case began.IsZero():
			var err error
			if before, err = c.cpu(); err != nil {
				return f, err
			}
			began = now
		case now.Sub(began) > timing.Duration:
			after, err := c.cpu()
			f.Took, f.CPU = now.Sub(began), after-before
			return f, err
		default:
			f.Requests++
			load.Record(&f.Latency, int64(took))
		}
	}
	return f, errors.New("the child ended early")
}

// Figures names the numbers that mean something for the loop.
func (f Figures) Figures() measure.Figures {
	named := measure.Figures{}
	if f.Took > 0 {
		named["cores"] = f.CPU.Seconds() / f.Took.Seconds()
		named["requests_per_s"] = float64(f.Requests) / f.Took.Seconds()
		named["mb_per_s"] = float64(f.Bytes) / 1e6 / f.Took.Seconds()
	}
	if f.Bytes > 0 && f.CPU > 0 {
		named["cpu_s_per_gb"] = f.CPUSecondsPerGB()
	}
	if f.CPU > 0 {
		named["requests_per_cpu_s"] = f.RequestsPerCPUSecond()
	}
	measure.Latencies(named, f.Measures, f.Latency)
	return named
}
