package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
	"pinion/bench/machine"
)

const (
	soakMemory = 256 << 20
	soakBytes  = 4000 // of a value
	soakLooks  = 240  // samples of a long soak
)

// soak is a broker that works for long under a limit of memory: clients, a consumer behind them, readers that come and go, rolls, retention,
// compaction, topics that come and go. What it uses must be flat, and everything acknowledged must come by.
type soak struct {
	stream
	lasts   time.Duration
	life    *life
	samples []sample
	visits  int
	how     string
}

// sample is what the broker uses at one time.
type sample struct{ anonymous, descriptors, mappings, goroutines int64 }

// used names what a sample holds, and says how much more of it counts as flat, beside a tenth.
var used = []struct {
	name  string
	slack int64
	of    func(s sample) int64
	show  func(n int64) string
}{
	{"RssAnon", 2 << 20, func(s sample) int64 { return s.anonymous }, func(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }},
	{"descriptors", 16, func(s sample) int64 { return s.descriptors }, func(n int64) string { return strconv.FormatInt(n, 10) }},
	{"mappings", 32, func(s sample) int64 { return s.mappings }, func(n int64) string { return strconv.FormatInt(n, 10) }},
	{"goroutines", 8, func(s sample) int64 { return s.goroutines }, func(n int64) string { return strconv.FormatInt(n, 10) }},
}

// steady is how long a soak must last to be past its beginning, in which pools grow to what the load needs: a shorter one is given four times
// the slack.
const steady = 5 * time.Minute

func newSoak(lasts time.Duration, out io.Writer, dir string, seed uint64) *soak {
	k := &soak{stream: stream{campaign: &campaign{durability: "fsync", out: out, dir: dir, seed: seed}}, lasts: lasts, life: newLife()}
	k.set, k.life.pace = lifeSettings, 20*time.Millisecond
	return k
}

func (k *soak) run(ctx context.Context) error {
	limit, err := limitMemory(soakMemory)
	if err != nil {
		return err
	}
	k.how = limit.how
	fmt.Fprintf(k.out, "%v under load with %d MiB of memory (%s), seed %d\n", k.lasts, soakMemory>>20, k.how, k.seed)
	if k.b, err = harness.Start(harness.Config{Dir: k.data(), Shards: 2, Set: k.set, Wrap: limit.wrap}); err != nil {
		return errors.Join(err, limit.undo())
	}
	if err := k.work(ctx); err != nil {
		return errors.Join(fmt.Errorf("%w; broker: %s", err, k.b.Log()), k.b.Kill(), limit.undo())
	}
	if err := errors.Join(stopped(k.b), limit.undo()); err != nil {
		return err
	}
	if err := checkDirectory(k.data()); err != nil {
		return err
	}
	return errors.Join(k.judge(), k.end())
}

// work has everybody at work for as long as is wanted, and looks at everything at the end.
func (k *soak) work(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	k.admin = kadm.NewClient(cl)
	text := func(s string) *string { return &s }
	_, err = k.admin.CreateTopic(ctx, loadParts, 1, map[string]*string{"pinion.durability": text("fsync"), "segment.bytes": text("1048576"), "retention.bytes": text("16777216")}, loadTopic)
	if err == nil {
		err = createLifeTopics(ctx, k.b.Addr)
	}
	if err == nil {
		err = k.tail(ctx)
	}
	if err != nil {
		return err
	}
	for i := range int32(loadParts) {
		f, err := pourFranz(k.b.Addr, loadTopic, i, soakBytes, uint64(producersMax+i))
		if err != nil {
			return err
		}
		k.pourers = append(k.pourers, f)
	}
	busy, quiet := context.WithTimeout(ctx, k.lasts)
	defer quiet()
	wait, err := k.life.run(busy, k.b.Addr, k.seed)
	if err != nil {
		return err
	}
	var visitors sync.WaitGroup
	visitors.Go(func() { k.visit(busy) })
	err = k.watch(busy)
	quiet()
	wait()
	visitors.Wait()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if err := k.finish(ctx, false); err != nil {
		return err
	}
	v, err := k.life.look(ctx, k.b.Addr)
	k.sum.add(v)
	if err == nil && v.bad() {
		err = errors.New(v.first)
	}
	return err
}

// watch takes samples, and looks for what was acknowledged.
func (k *soak) watch(ctx context.Context) error {
	every := min(max(k.lasts/soakLooks, 250*time.Millisecond), 15*time.Second)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-k.b.Ended():
			return errors.New("the broker is gone")
		case <-tick.C:
		}
		s, err := k.sample()
		if err == nil {
			k.samples = append(k.samples, s)
			err = k.caughtUp(ctx)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		k.life.forget()
		if n%(soakLooks/4) == 0 {
			fmt.Fprintf(k.out, "  %v: %+v, %v records acknowledged\n", time.Duration(n)*every, s, k.total)
		}
	}
}

// sample looks at the running process.
func (k *soak) sample() (s sample, err error) {
	usage, err := machine.Of(k.b.Pid)
	if err != nil {
		return s, err
	}
	s.anonymous = usage.Anonymous
	fds, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(k.b.Pid), "fd"))
	if err != nil {
		return s, err
	}
	maps, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(k.b.Pid), "maps"))
	if err != nil {
		return s, err
	}
	s.descriptors, s.mappings = int64(len(fds)), int64(bytes.Count(maps, []byte("\n")))
	text, err := page(k.b.Admin + "/metrics")
	if err != nil {
		return s, err
	}
	_, after, found := strings.Cut(text, "\ngo_goroutines ")
	if !found {
		return s, errors.New("the metrics do not count goroutines")
	}
	line, _, _ := strings.Cut(after, "\n")
	s.goroutines, err = strconv.ParseInt(line, 10, 64)
	return s, err
}

// visit has readers come, read a partition from its start for a while, and go.
func (k *soak) visit(ctx context.Context) {
	r := rand.New(rand.NewPCG(k.seed, 4))
	for ; ctx.Err() == nil; time.Sleep(200 * time.Millisecond) { // a visit every now and then, not a load of its own
		from := map[string]map[int32]kgo.Offset{loadTopic: {r.Int32N(loadParts): kgo.NewOffset().AtStart()}}
		cl, err := kgo.NewClient(kgo.SeedBrokers(k.b.Addr), kgo.ConsumePartitions(from))
		if err != nil {
			continue
		}
		stay, leave := context.WithTimeout(ctx, time.Second)
		if cl.PollFetches(stay).NumRecords() > 0 {
			k.visits++
		}
		leave()
		cl.Close()
	}
}

// judge says whether what the broker uses is flat: the median of the last quarter of the samples may be above that of the second by a tenth and
// a little. The first quarter is the beginning.
func (k *soak) judge() error {
	fmt.Fprintf(k.out, "  %v records acknowledged, %d visits, %d administrative requests; %d samples\n", k.total, k.visits, k.life.steps, len(k.samples))
	fmt.Fprintf(k.out, "  %s\n", &k.sum)
	if len(k.samples) < 8 {
		return fmt.Errorf("%d samples say nothing", len(k.samples))
	}
	slackTimes := int64(1)
	if k.lasts < steady {
		slackTimes = 4
	}
	var wrong error
	for _, u := range used {
		early, late, most := quarters(k.samples, u.of)
		bound := early + early/10 + slackTimes*u.slack
		fmt.Fprintf(k.out, "  %s: median %s in the second quarter, %s in the last (at most %s), highest %s\n", u.name, u.show(early), u.show(late), u.show(bound), u.show(most))
		if late > bound {
			wrong = errors.Join(wrong, fmt.Errorf("%s grows: %s, then %s", u.name, u.show(early), u.show(late)))
		}
	}
	return wrong
}

// quarters are the medians of the second and of the last quarter of the samples, and the largest of all.
func quarters(samples []sample, of func(s sample) int64) (early, late, most int64) {
	list := make([]int64, len(samples))
	for i, s := range samples {
		list[i] = of(s)
	}
	most = slices.Max(list)
	n := len(list) / 4
	return median(list[n : 2*n]), median(list[len(list)-n:]), most
}

func median(list []int64) int64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
