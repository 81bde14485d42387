package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// wound is a call that fails once with EIO, on any of some files.
type wound struct {
	name, call string
	files      string // below the data directory
	most       int    // calls of a thread from which one is drawn
	ends       bool   // the broker ends by it: without its metadata log it can promise nothing, and says so by its exit code
}

// wounds are the calls that write and sync what acknowledgements rest on. The journal's writes are syncs as well.
var wounds = []wound{
	{"write of a segment", "pwritev", "torture-*/*.log", 300, false},
	{"sync of a segment", "fdatasync", "torture-*/*.log", 5, false},
	{"write of the journal", "pwritev", "journal/*.journal", 40, false},
	{"sync of a folder", "fsync", "torture-*", 3, false},
	{"write of an index", "pwritev", "torture-*/*.*index", 3, false},
	{"sync of an index", "fdatasync", "torture-*/*.*index", 2, false},
	{"sync of the directory", "fsync", ".", 2, false},
	{"sync of the metadata log", "fdatasync", "pinion-metadata/*.entries", 2, true},
	{"write of the metadata log", "pwritev", "pinion-metadata/*.entries", 2, true},
}

// breaks are failed writes and syncs, one a round: from there on the log directory is at its end, and says so, but gives what it has for certain.
type breaks struct {
	*siteKills
	served  int // records read from fenced directories
	refused int // acknowledged records that a fenced log did not give, as its own sync had failed
	fenced  map[string]int
	quiet   int // rounds in which the call was never made
}

func newBreaks(c *campaign) *breaks {
	return &breaks{siteKills: newSiteKills(c), fenced: map[string]int{}}
}

func (k *breaks) run(ctx context.Context) error {
	if err := haveStrace(); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(k.seed, 2))
	for n := 0; n < k.rounds; n++ {
		if n%len(wounds) == 0 {
			if err := k.freshLife(ctx); err != nil {
				return err
			}
		}
		w := wounds[n%len(wounds)]
		met := false
		for try := 0; try < 6 && !met; try++ {
			var err error
			if met, err = k.wound(ctx, w, max(1, (1+r.IntN(w.most))>>try), r); err != nil {
				return fmt.Errorf("round %d, seed %d, %s: %w", n, k.seed, w.name, err)
			}
		}
		if !met {
			return fmt.Errorf("round %d, seed %d: no %s", n, k.seed, w.name)
		}
		k.fenced[w.name]++
		if n%8 == 7 {
			fmt.Fprintf(k.out, "  %d failed writes and syncs, %d records acknowledged, %d lost\n", n+1, k.ledger.count(), k.sum.lost)
		}
	}
	return k.end()
}

// wound has one call of a broker under load fail, and looks at what becomes of it. It is false if the call was not made.
func (k *breaks) wound(ctx context.Context, w wound, when int, r *rand.Rand) (bool, error) {
	b, err := k.start()
	if err != nil {
		return false, err
	}
	defer func() { _ = b.Kill() }()
	load, quiet := context.WithCancel(ctx)
	defer quiet()
	wait, err := k.busy(load, b.Addr, r.Uint64())
	if err != nil {
		return false, err
	}
	defer func() { quiet(); wait() }()
	k.warmUp(r)
	paths, err := filepath.Glob(filepath.Join(k.data(), w.files))
	if err != nil || len(paths) == 0 {
		return false, errors.Join(err, fmt.Errorf("no files %s", w.files))
	}
	for i := range paths {
		paths[i] = filepath.Clean(paths[i])
	}
	strace, err := fault{call: w.call, how: "error=EIO", when: when, paths: paths}.attach(k.dir, b.Pid)
	if err != nil {
		return false, err
	}
	end := time.Now().Add(4 * time.Second)
	for injected(k.dir) == 0 && time.Now().Before(end) {
		time.Sleep(5 * time.Millisecond)
	}
	met := injected(k.dir) > 0
	if !met {
		strace.detach()
		quiet()
		wait()
		return false, stopped(b)
	}
	if w.ends {
		err = ended(b)
	} else {
		err = k.over(ctx, b)
	}
	strace.detach() // all the while more threads may have met a fault of their own: the directory was at its end by then
	quiet()
	wait()
	if err != nil {
		return true, err
	}
	if w.ends {
		return true, k.after(ctx)
	}
	if code, err := b.Stop(); err != nil || code == 0 {
		return true, fmt.Errorf("exit code %d, %v after a failed write: %s", code, err, b.Log())
	}
	return true, k.after(ctx)
}

// ended waits until a broker has ended by itself, and said why.
func ended(b *harness.Broker) error {
	select {
	case <-b.Ended():
	case <-time.After(60 * time.Second): // a drain, and the close of every log
		return fmt.Errorf("the broker goes on without its metadata log: %s", b.Log())
	}
	if said := b.Log(); !strings.Contains(said, "controller stopped") || !strings.Contains(said, "input/output error") {
		return fmt.Errorf("the broker ended and did not say why: %s", said)
	}
	return nil
}

// over holds a broker to what a fenced directory means.
func (k *breaks) over(ctx context.Context, b *harness.Broker) error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := page(b.Admin + "/readyz")
		if err != nil {
			return err
		}
		if strings.Contains(text, "503") && strings.Contains(text, "log directory") {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("the directory is not fenced: %s; broker: %s", text, b.Log())
		}
	}
	metrics, err := page(b.Admin + "/metrics")
	if err != nil || !strings.Contains(metrics, "kafka_log_logmanager_offlinelogdirectorycount 1\n") {
		return fmt.Errorf("the metrics name no log directory out of service, %v", err)
	}
	if !strings.Contains(b.Log(), "log directory fenced") {
		return fmt.Errorf("the log does not say that the directory is fenced: %s", b.Log())
	}
	time.Sleep(500 * time.Millisecond) // what was acknowledged before may be on its way to a client that waits for a processor
	before := k.ledger.count()
	if err := k.durable(ctx, b); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond) // producers go on asking all the while; anything acknowledged now would be a lie
	if n := k.ledger.count(); n > before {
		return fmt.Errorf("%d records were acknowledged after the directory was fenced: %s", n-before, b.Log())
	}
	return nil
}

// page is the status and the text of an admin page.
func page(url string) (string, error) {
	res, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.Status + "\n" + string(text), err
}

// durable reads everything that was acknowledged since the last start from a broker whose directory is fenced.
func (k *breaks) durable(ctx context.Context, b *harness.Broker) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	k.ledger.mu.Lock()
	acked := maps.Clone(k.ledger.acked)
	k.ledger.mu.Unlock()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumePartitions(at(k.starts)), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	left, err := listEnds(ctx, cl)
	if err != nil {
		return err
	}
	maps.DeleteFunc(left, func(p place, end int64) bool { return end <= k.starts[p.topic][p.partition] })
	until := maps.Clone(left)
	found := map[uint64]bool{}
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, kerr.KafkaStorageError) { // which is what comes behind the end
				return fmt.Errorf("a fenced directory gives %s-%d not up to %d: %w; broker: %s", e.Topic, e.Partition, left[place{e.Topic, e.Partition, 0}], e.Err, b.Log())
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			k.served++
			id, wrong := checkValue(r.Value)
			if wrong != nil {
				err = fmt.Errorf("%s-%d at %d: %w", r.Topic, r.Partition, r.Offset, wrong)
			}
			found[id] = true
			if p := (place{r.Topic, r.Partition, 0}); r.Offset+1 >= left[p] {
				delete(left, p)
			}
		})
		if err != nil {
			return err
		}
	}
	said := b.Log()
	for id, at := range acked {
		if found[id] {
			continue
		}
		own := fmt.Sprintf("err=\"log %s-%d: ", at.topic, at.partition)
		if at.offset >= until[place{at.topic, at.partition, 0}] && strings.Contains(said, own) && strings.Contains(said, "input/output error") {
			k.refused++ // its own log met the error: what only the journal has for certain is given after the next start
			continue
		}
		return fmt.Errorf("value %d, acknowledged at %v, is not given by a fenced directory; broker: %s", id, at, said)
	}
	return nil
}

// listEnds is where the load's partitions end, by place of offset 0; those that do not say are left out.
func listEnds(ctx context.Context, cl *kgo.Client) (map[place]int64, error) {
	list, err := kadm.NewClient(cl).ListEndOffsets(ctx, idempotentTopic, plainTopic)
	if err != nil {
		return nil, fmt.Errorf("ends: %w", err)
	}
	out := map[place]int64{}
	list.Each(func(o kadm.ListedOffset) {
		if o.Err == nil {
			out[place{o.Topic, o.Partition, 0}] = o.Offset
		}
	})
	return out, nil
}

// tell says what came of it.
func (k *breaks) tell() {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(k.fenced)) {
		list = append(list, fmt.Sprintf("%s %d", name, k.fenced[name]))
	}
	fmt.Fprintf(k.out, "  %d failed calls (%s)\n", k.rounds, strings.Join(list, ", "))
	fmt.Fprintf(k.out, "  %d records acknowledged, %d given by fenced directories, %d held back by the log whose own call had failed; slowest start after %v\n",
		k.ledger.count(), k.served, k.refused, k.slowest.Round(time.Millisecond))
}
