package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"pinion/bench/harness"
)

// blind is a way in which a segment cannot be read.
type blind struct {
	name, call string
	cold       bool // the segment's pages are not in memory
	passing    bool // one call fails; nobody need notice
}

var blinds = []blind{
	{name: "sendfile once", call: "sendfile", passing: true},
	{name: "sendfile, and every read after it", call: "sendfile,preadv2,pread64"},
	{name: "reads of what is not in memory", call: "preadv2,pread64", cold: true},
	{name: "a read of what is not in memory, once", call: "preadv2", cold: true, passing: true},
}

// misreads are reads of one segment that fail under consumers: never a wrong byte, never a dead broker, and an error that says what it is.
type misreads struct {
	*siteKills
	errors, healed int // rounds by how they ended for the consumer
	beside         int // records read from other partitions meanwhile
}

func newMisreads(c *campaign) *misreads { return &misreads{siteKills: newSiteKills(c)} }

func (k *misreads) run(ctx context.Context) error {
	if err := haveStrace(); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(k.seed, 3))
	for n := 0; n < k.rounds; n++ {
		if n%8 == 0 {
			if err := k.freshLife(ctx); err != nil {
				return err
			}
		}
		err := errUnhurt
		for try := 0; try < 24 && errors.Is(err, errUnhurt); try++ { // pages that somebody has mapped cannot be evicted, say
			err = k.blind(ctx, blinds[n%len(blinds)], r)
		}
		if err != nil {
			return fmt.Errorf("round %d, seed %d, %s: %w", n, k.seed, blinds[n%len(blinds)].name, err)
		}
	}
	return k.end()
}

// errUnhurt says that a consumer got what it wanted by another way.
var errUnhurt = errors.New("no read has failed")

// blind has consumers meet reads that fail.
func (k *misreads) blind(ctx context.Context, w blind, r *rand.Rand) error {
	file, p, err := k.large(ctx, r)
	if err != nil {
		return err
	}
	b, err := k.start()
	if err != nil {
		return err
	}
	defer func() { _ = b.Kill() }()
	// Partitions are opened behind the banner. One that cannot be read then stays offline until the next start; this is about those that are open.
	if err := opened(ctx, b); err != nil {
		return err
	}
	if w.cold {
		err = evict(file)
	} else {
		_, err = os.ReadFile(file) // what another round has evicted stays so: cold reads leave nothing behind
	}
	if err != nil {
		return err
	}
	f := fault{call: w.call, how: "error=EIO", paths: []string{file}}
	if w.passing {
		f.when = 1
	}
	strace, err := f.attach(k.dir, b.Pid)
	if err != nil {
		return err
	}
	met, err := k.consume(ctx, b, p, w)
	hurt := injected(k.dir)
	strace.detach()
	if err == nil && hurt == 0 {
		err = errors.Join(errUnhurt, stopped(b))
	}
	if err != nil {
		return err
	}
	if met {
		k.errors++
		said := b.Log()
		if !strings.Contains(said, filepath.Join(filepath.Base(filepath.Dir(file)), filepath.Base(file))) || !strings.Contains(said, "offset") || !strings.Contains(said, "input/output error") {
			return fmt.Errorf("the log names no segment and offset: %s", said)
		}
	} else {
		k.healed++
	}
	if err := k.look(ctx, b); err != nil { // the segment can be read again
		return err
	}
	if err := stopped(b); err != nil {
		return err
	}
	return checkDirectory(k.data())
}

// opened waits until every partition is.
func opened(ctx context.Context, b *harness.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		text, err := page(b.Admin + "/readyz")
		if err != nil {
			return err
		}
		if strings.HasPrefix(text, "200") {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready: %s; broker: %s", text, b.Log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// largeBytes is a segment that is sent in several pieces, some of them by sendfile.
const largeBytes = 100 << 10

// large gives the load time until a partition has a large segment.
func (k *misreads) large(ctx context.Context, r *rand.Rand) (file string, partition int32, err error) {
	for range 40 {
		if err := k.crash(ctx, r); err != nil {
			return "", 0, err
		}
		for p := range int32(partitions) {
			files, err := filepath.Glob(filepath.Join(k.data(), fmt.Sprintf("%s-%d", plainTopic, p), "*.log"))
			if err != nil {
				return "", 0, err
			}
			for _, name := range files {
				if info, err := os.Stat(name); err == nil && info.Size() > largeBytes {
					return name, p, nil
				}
			}
		}
	}
	return "", 0, fmt.Errorf("no segment of %d bytes after a long load", largeBytes)
}

// evict takes a file out of memory.
func evict(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// consume reads the load's topics while one segment of a partition cannot be read, and reports whether the consumer was told so. Every other
// partition is read to its end.
func (k *misreads) consume(ctx context.Context, b *harness.Broker, broken int32, w blind) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumePartitions(at(newStarts())), kgo.FetchMaxWait(50*time.Millisecond), kgo.KeepRetryableFetchErrors())
	if err != nil {
		return false, err
	}
	defer cl.Close()
	left, err := ends(ctx, cl)
	if err != nil {
		return false, err
	}
	here := place{plainTopic, broken, 0}
	for met := false; ; {
		_, missing := left[here]
		if others := len(left); missing && others == 1 && met || others == 0 {
			return met, nil
		}
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			switch {
			case ctx.Err() != nil:
				return met, fmt.Errorf("%d partitions are not at their ends; broker: %s", len(left), b.Log())
			case e.Topic == plainTopic && e.Partition == broken && errors.Is(e.Err, kerr.KafkaStorageError) && !w.passing:
				met = true
			case e.Topic != "" && !transient(e.Err):
				return met, fmt.Errorf("%s-%d: %w; broker: %s", e.Topic, e.Partition, e.Err, b.Log())
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if _, wrong := checkValue(r.Value); wrong != nil {
				err = fmt.Errorf("%s-%d at %d: %w", r.Topic, r.Partition, r.Offset, wrong)
			}
			p := place{r.Topic, r.Partition, 0}
			if p != here {
				k.beside++
			}
			if r.Offset+1 >= left[p] {
				delete(left, p)
			}
		})
		if err != nil {
			return met, err
		}
	}
}

// transient reports whether an error is only that of a connection that ended: a frame that was begun could not be completed.
func transient(err error) bool { return kerr.IsRetriable(err) || kgo.IsRetryableBrokerErr(err) }

// ends is where the load's partitions end, of those that hold anything.
func ends(ctx context.Context, cl *kgo.Client) (map[place]int64, error) {
	list, err := listEnds(ctx, cl)
	if err != nil {
		return nil, err
	}
	left := map[place]int64{}
	for p, end := range list {
		if end > 0 {
			left[p] = end
		}
	}
	return left, nil
}

// tell says what came of it.
func (k *misreads) tell() {
	fmt.Fprintf(k.out, "  %d rounds of failed reads: %d answered with KAFKA_STORAGE_ERROR, %d read again without the consumer noticing, %d records of other partitions read meanwhile\n",
		k.rounds, k.errors, k.healed, k.beside)
}
