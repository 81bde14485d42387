package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/sys/unix"

	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/measure"
)

// Sizes of the long rows; -scale shrinks them.
const (
	createTopics      = 10
	createPartitions  = 100 // of each
	restartTopics     = 50
	restartPartitions = 100     // of each
	crowdedPartitions = 10_000  // beside one
	memoryPartitions  = 10_000  // whose memory is counted
	memoryTopics      = 10      // that have them
	memoryConnections = 10_000  // the same
	coldBytes         = 4 << 30 // read from the disk beside a producer
	latencyRate       = 2000    // of the producer whose latency is looked at
	idleSettle        = 3 * time.Second
	memorySettle      = 2 * time.Second
)

// lifeRows are those that start brokers of their own: a cold JVM in Kafka's case, as anybody has who starts one.
func lifeRows() []row {
	return []row{
		{name: "start-empty", what: "start on an empty directory to the first acknowledged record", figure: "first_ack_ms", lower: true,
			also: []string{"idle_rss_mb", "idle_rss_anon_mb", "idle_cores"}, whole: startEmpty},
		{name: "create-1000", what: "create 10 topics of 100 partitions and write each once", figure: "create_and_write_s", lower: true,
			also: []string{"create_s", "write_s"}, whole: createAndWrite},
		{name: "restart-clean", what: "restart with 5,000 partitions to the first acknowledged record, stopped in order", figure: "first_ack_ms", lower: true,
			also: []string{"stop_ms", "rss_mb"}, whole: func(ctx context.Context, c *campaign, peer string) (measure.Figures, error) {
				return c.restart(ctx, peer, inOrder)
			}},
		{name: "restart-killed", what: "the same after kill -9", figure: "first_ack_ms", lower: true,
			also: []string{"rss_mb"}, whole: func(ctx context.Context, c *campaign, peer string) (measure.Figures, error) {
				return c.restart(ctx, peer, killed)
			}},
		{name: "restart-flushed", what: "the same, when the disk has been flushed once in between", figure: "first_ack_ms", lower: true,
			also: []string{"flush_ms"}, whole: func(ctx context.Context, c *campaign, peer string) (measure.Figures, error) {
				return c.restart(ctx, peer, killedThenFlushed)
			}},
		{name: "memory", what: "anonymous memory of a partition that was written once", figure: "bytes_per_partition", lower: true,
			also: []string{"bytes_per_idle_connection"}, whole: memoryRow},
		{name: "crowded", what: "produce p99 on one partition beside 10,000 others, open loop of 2,000/s", figure: "crowded_p99_us", lower: true,
			also: []string{"alone_p99_us", "crowded_p50_us", "alone_p50_us"}, whole: crowdedRow},
		{name: "cold-reader", what: "produce p99 beside a reader of what is not in memory, open loop of 2,000/s", figure: "beside_p99_us", lower: true,
			also: []string{"alone_p99_us", "plain_p99_us", "cold_mb_per_s", "plain_mb_per_s"}, whole: coldReaderRow},
	}
}

func (c *campaign) scaled(n int) int { return max(1, int(float64(n)*c.scale)) }

// fresh runs a row on a broker of its own with an empty folder, and removes it. The folder's name is new: so is then its place on the disk.
func (c *campaign) fresh(ctx context.Context, peer string, work func(dir string) error) error {
	dir, err := os.MkdirTemp(c.data, peer+"-life-")
	if err != nil {
		return err
	}
	return errors.Join(work(dir), os.RemoveAll(dir))
}

// alive runs work on a broker that is killed afterwards.
func (c *campaign) alive(ctx context.Context, peer string, work func(s *subject) error) error {
	return c.fresh(ctx, peer, func(dir string) error {
		s, err := c.start(ctx, peer, dir)
		if err != nil {
			return err
		}
		return errors.Join(work(s), s.kill())
	})
}

// firstAck makes a topic, if it is not there, and gets one record acknowledged.
func firstAck(ctx context.Context, s *subject, topic string) error {
	target, err := load.Find(ctx, s.client, topic)
	if err != nil {
		if target, err = load.Create(ctx, s.client, topic, 1, nil); err != nil {
			return err
		}
	}
	p := &load.Produce{Target: target, Connections: 1, InFlight: 1, Shape: one, Acks: 1, Requests: 1}
	// A broker that is still coming up names itself as leader before it is one: a client would ask again.
	return insist(ctx, func(ctx context.Context) error {
		_, err := load.Run(ctx, s.client, load.Plan{Produce: p}, load.Hooks{})
		return err
	}, kerr.IsRetriable)
}

func startEmpty(ctx context.Context, c *campaign, peer string) (figures measure.Figures, err error) {
	err = c.fresh(ctx, peer, func(dir string) error {
		began := time.Now()
		s, err := c.start(ctx, peer, dir)
		if err != nil {
			return err
		}
		err = firstAck(ctx, s, "first")
		took := time.Since(began)
		if err == nil {
			figures, err = idle(ctx, s)
		}
		if err == nil {
			figures["first_ack_ms"] = float64(took.Microseconds()) / 1000
		}
		return errors.Join(err, s.kill())
	})
	return figures, err
}

// idle is what a broker uses that nobody asks anything.
func idle(ctx context.Context, s *subject) (measure.Figures, error) {
	s.client.Close() // a client asks for metadata now and then
	if err := sleep(ctx, idleSettle); err != nil {
		return nil, err
	}
	before, err := machine.Of(s.pids()...)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, idleSettle); err != nil {
		return nil, err
	}
	after, err := machine.Of(s.pids()...)
	return measure.Figures{"idle_rss_mb": float64(after.Resident) / 1e6, "idle_rss_anon_mb": float64(after.Anonymous) / 1e6,
		"idle_cores": (after.CPU() - before.CPU()).Seconds() / idleSettle.Seconds()}, err
}

// sleep lets a broker come to rest: what is measured is rest itself, for which there is no condition to wait for.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// makeTopics makes topics and gives how long that took.
func makeTopics(ctx context.Context, s *subject, stem string, count, partitions int) (targets []load.Target, took time.Duration, err error) {
	began := time.Now()
	for i := range count {
		target, err := load.Create(ctx, s.client, fmt.Sprintf("%s-%03d", stem, i), partitions, nil)
		if err != nil {
			return nil, 0, err
		}
		targets = append(targets, target)
	}
	return targets, time.Since(began), nil
}

// writeEach writes batches to every partition of the topics, in turn.
func writeEach(ctx context.Context, s *subject, targets []load.Target, shape load.Shape, each int) (time.Duration, error) {
	began := time.Now()
	for _, target := range targets {
		p := &load.Produce{Target: target, Connections: 1, InFlight: 16, Shape: shape, Acks: 1, Requests: int64(len(target.Leaders) * each)}
		if _, err := load.Run(ctx, s.client, load.Plan{Produce: p}, load.Hooks{}); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

func createAndWrite(ctx context.Context, c *campaign, peer string) (figures measure.Figures, err error) {
	err = c.alive(ctx, peer, func(s *subject) error {
		targets, created, err := makeTopics(ctx, s, "many", createTopics, c.scaled(createPartitions))
		if err != nil {
			return err
		}
		written, err := writeEach(ctx, s, targets, one, 1)
		figures = measure.Figures{"create_s": created.Seconds(), "write_s": written.Seconds(), "create_and_write_s": (created + written).Seconds()}
		return err
	})
	return figures, err
}

// end is how a broker ends that is started again.
type end int

const (
	inOrder           end = iota
	killed                // with what it wrote on its way to the disk
	killedThenFlushed     // and then one small file is made durable: how long that takes is the disk's doing, and whoever is first waits for it
)

// restart fills a broker with partitions, ends it, and measures how long it is away.
func (c *campaign) restart(ctx context.Context, peer string, how end) (figures measure.Figures, err error) {
	err = c.fresh(ctx, peer, func(dir string) error {
		s, err := c.start(ctx, peer, dir)
		if err != nil {
			return err
		}
		err = firstAck(ctx, s, "first")
		if err == nil {
			var targets []load.Target
			count := c.scaled(restartTopics)
			if targets, _, err = makeTopics(ctx, s, "many", count, restartPartitions); err == nil {
				each := int(float64(c.restartBytes)*c.scale) / (count * restartPartitions * large.Payload())
				_, err = writeEach(ctx, s, targets, large, max(1, each))
			}
		}
		began := time.Now()
		if err != nil || how != inOrder {
			err = errors.Join(err, s.kill())
		} else {
			err = s.end()
		}
		if err != nil {
			return err
		}
		figures = measure.Figures{"stop_ms": float64(time.Since(began).Microseconds()) / 1000}
		if how == killedThenFlushed {
			began = time.Now()
			if err := flush(c.data); err != nil {
				return err
			}
			figures["flush_ms"] = float64(time.Since(began).Microseconds()) / 1000
		}
		began = time.Now()
		if s, err = c.start(ctx, peer, dir); err != nil {
			return err
		}
		err = firstAck(ctx, s, "first")
		figures["first_ack_ms"] = float64(time.Since(began).Microseconds()) / 1000
		u, usageErr := machine.Of(s.pids()...)
		figures["rss_mb"], figures["rss_anon_mb"] = float64(u.Resident)/1e6, float64(u.Anonymous)/1e6
		return errors.Join(err, usageErr, s.kill())
	})
	return figures, err
}

// flush makes one new small file in a folder durable.
func flush(dir string) error {
	f, err := os.CreateTemp(dir, "flush-")
	if err != nil {
		return err
	}
	_, err = f.Write([]byte{0})
	if err == nil {
		err = unix.Fdatasync(int(f.Fd()))
	}
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// memoryRow counts anonymous memory before and after there are many of something.
func memoryRow(ctx context.Context, c *campaign, peer string) (figures measure.Figures, err error) {
	err = c.alive(ctx, peer, func(s *subject) error {
		if err := firstAck(ctx, s, "first"); err != nil {
			return err
		}
		anonymous := func() (int64, error) {
			if err := sleep(ctx, memorySettle); err != nil {
				return 0, err
			}
			u, err := machine.Of(s.pids()...)
			return u.Anonymous, err
		}
		partitions := c.scaled(memoryPartitions) / memoryTopics
		fill := func(stem string, topics int) error {
			targets, _, err := makeTopics(ctx, s, stem, topics, partitions)
			if err == nil {
				_, err = writeEach(ctx, s, targets, one, 1)
			}
			return err
		}
		// What requests of this size take for good, such as buffers, is not the partitions'.
		if err := fill("warm", 1); err != nil {
			return err
		}
		start, err := anonymous()
		if err != nil {
			return err
		}
		connections := c.scaled(memoryConnections)
		fds, err := connectIdle(s.broker.Address(), connections)
		defer closeAll(fds)
		if err != nil {
			return err
		}
		crowd, err := anonymous()
		if err != nil {
			return err
		}
		if err := fill("many", memoryTopics); err != nil {
			return err
		}
		end, err := anonymous()
		figures = measure.Figures{"bytes_per_idle_connection": float64(crowd-start) / float64(connections), "bytes_per_partition": float64(end-crowd) / float64(memoryTopics*partitions)}
		return err
	})
	return figures, err
}

// connectIdle opens connections, asks one small thing on each, and leaves them alone.
func connectIdle(address string, count int) (fds []int, err error) {
	request := []byte{0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff} // ApiVersions 0 without a client id
	for range count {
		fd, err := load.DialBlocking(address)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		if _, err := unix.Write(fd, request); err != nil {
			return fds, fmt.Errorf("ask on an idle connection: %w", err)
		}
		var size [4]byte
		if n, _, err := unix.Recvfrom(fd, size[:], unix.MSG_WAITALL); err != nil || n != len(size) {
			return fds, fmt.Errorf("answer on an idle connection: %d bytes, %w", n, err)
		}
		answer := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<20))
		if n, _, err := unix.Recvfrom(fd, answer, unix.MSG_WAITALL); err != nil || n != len(answer) {
			return fds, fmt.Errorf("answer on an idle connection: %d bytes, %w", n, err)
		}
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// latency measures an open loop of small records.
func (c *campaign) latency(ctx context.Context, s *subject, target load.Target) (*measure.Run, error) {
	plan := load.Plan{Warmup: c.warmup, Duration: c.seconds,
		Produce: &load.Produce{Target: target, Connections: partitions, Rate: latencyRate, Shape: one, Acks: 1}}
	return measure.Load(ctx, s.client, plan, measure.Broker{Pids: s.pids()}, nil)
}

// named gives a run's publish percentiles names of their own.
func named(figures measure.Figures, what string, r *measure.Run) {
	measure.Latencies(figures, what, r.Total.Latency)
}

func crowdedRow(ctx context.Context, c *campaign, peer string) (measure.Figures, error) {
	figures := measure.Figures{}
	err := c.alive(ctx, peer, func(s *subject) error {
		alone, err := load.Create(ctx, s.client, "alone", 1, nil)
		if err != nil {
			return err
		}
		r, err := c.latency(ctx, s, alone)
		if err != nil {
			return err
		}
		named(figures, "alone", r)
		crowd, err := load.Create(ctx, s.client, "crowd", c.scaled(crowdedPartitions), nil)
		if err != nil {
			return err
		}
		if _, err := writeEach(ctx, s, []load.Target{crowd}, one, 1); err != nil {
			return err
		}
		// On the same partition: nothing but the number of the others is different.
		if r, err = c.latency(ctx, s, alone); err == nil {
			named(figures, "crowded", r)
		}
		return err
	})
	return figures, err
}

func coldReaderRow(ctx context.Context, c *campaign, peer string) (measure.Figures, error) {
	figures := measure.Figures{}
	err := c.alive(ctx, peer, func(s *subject) error {
		old, err := load.Create(ctx, s.client, "old", partitions, nil)
		if err != nil {
			return err
		}
		fresh, err := load.Create(ctx, s.client, "fresh", partitions, nil)
		if err != nil {
			return err
		}
		if err := fill(ctx, s, old, large, int64(float64(coldBytes)*c.scale)); err != nil {
			return err
		}
		r, err := c.latency(ctx, s, fresh)
		if err != nil {
			return err
		}
		named(figures, "alone", r)
		starts, ends, err := load.Ends(ctx, s.client, old)
		if err != nil {
			return err
		}
		// What the disk alone does to the producer: the same files are read by nobody the broker knows of, over no network.
		if r, figures["plain_mb_per_s"], err = c.besideReader(ctx, s, fresh, func(ctx context.Context) (int64, error) { return readPlain(ctx, s.dir) }); err != nil {
			return err
		}
		named(figures, "plain", r)
		// The reader is in a loop of its own; it may come to what is warm again, so that what it read from the disk is looked at as well.
		f := &load.Fetch{Target: old, Connections: partitions, BytesMax: 1 << 20, Starts: starts, Ends: ends, Once: true}
		if r, figures["cold_mb_per_s"], err = c.besideReader(ctx, s, fresh, func(ctx context.Context) (int64, error) {
			outcome, err := load.Run(ctx, s.client, load.Plan{Fetch: f}, load.Hooks{})
			if outcome == nil {
				return 0, err
			}
			return outcome.Total.Received.Bytes, err
		}); err != nil {
			return err
		}
		named(figures, "beside", r)
		return nil
	})
	return figures, err
}

// besideReader measures the producer beside somebody who reads what is not in memory, for as long as the producer runs at most.
func (c *campaign) besideReader(ctx context.Context, s *subject, to load.Target, read func(context.Context) (int64, error)) (r *measure.Run, mbPerS float64, err error) {
	if err := forget(s.dir); err != nil {
		return nil, 0, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		began := time.Now()
		bytes, _ := read(reading) // ends with the producer at the latest, and then with an error
		mbPerS = float64(bytes) / 1e6 / time.Since(began).Seconds()
	}()
	r, err = c.latency(ctx, s, to)
	stop()
	<-done
	return r, mbPerS, err
}

// readPlain reads a folder's log files from one end to the other and gives the number of bytes.
func readPlain(ctx context.Context, dir string) (bytes int64, err error) {
	buffer := make([]byte, 1<<20)
	err = eachLog(dir, func(f *os.File) error {
		for {
			n, err := f.Read(buffer)
			bytes += int64(n)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case err == io.EOF:
				return nil
			case err != nil:
				return err
			}
		}
	})
	return bytes, err
}

// forget drops a folder's log files from memory, once they are on the disk.
func forget(dir string) error {
	return eachLog(dir, func(f *os.File) error {
		if err := f.Sync(); err != nil { // of this file alone: a machine has other writers
			return err
		}
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			return fmt.Errorf("drop %s from memory: %w", f.Name(), err)
		}
		return nil
	})
}

// eachLog calls f with every log file in a folder.
func eachLog(dir string, f func(*os.File) error) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".log" {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return f(file)
	})
}
