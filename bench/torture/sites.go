package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"pinion/bench/harness"
)

// moment is a part of a broker's life.
type moment string

const (
	atStart   moment = "start"    // after a clean stop
	atRecover moment = "recovery" // after a kill under load
	underLoad moment = "load"
	atStop    moment = "stop"
)

// site is a system call in a part of a broker's life, where a kill changes what the next start finds.
type site struct {
	call string
	at   moment
}

// sites are the calls by which a broker changes its directory, where it makes them: strace -c says so of each of these moments.
var sites = []site{
	{"pwritev", atStart}, {"fdatasync", atStart}, {"fsync", atStart}, {"renameat", atStart}, {"openat2", atStart}, {"unlinkat", atStart}, {"ftruncate", atStart}, {"pwrite64", atStart},
	{"pwritev", atRecover}, {"fdatasync", atRecover}, {"fsync", atRecover}, {"renameat", atRecover}, {"openat2", atRecover}, {"unlinkat", atRecover}, {"ftruncate", atRecover},
	{"pwritev", underLoad}, {"fdatasync", underLoad}, {"fsync", underLoad}, {"renameat", underLoad}, {"openat2", underLoad}, {"unlinkat", underLoad}, {"ftruncate", underLoad},
	{"fallocate", underLoad}, {"mkdirat", underLoad}, {"close", underLoad}, {"munmap", underLoad},
	{"pwritev", atStop}, {"fdatasync", atStop}, {"fsync", atStop}, {"renameat", atStop}, {"openat2", atStop}, {"unlinkat", atStop}, {"ftruncate", atStop}, {"close", atStop},
}

// servingMax is how long a start after a kill may take until it serves, unless the flag says otherwise: a machine that others use may need more.
const servingMax = 5 * time.Second

// siteKills ends a broker at system calls of its own, one kill a round, in all parts of its life.
type siteKills struct {
	*campaign
	life    *life
	within  map[site]int // calls of a thread there, as far as is known
	hits    map[site]int
	misses  int
	steps   int           // administrative requests answered
	slowest time.Duration // start after a kill
	bound   time.Duration // of it; 0: just a figure
	late    int           // starts that took longer than servingMax
}

// siteStride leads through all sites: it has no divisor in common with their number.
const siteStride = 9

// missesMax is how many rounds in a row may pass without the broker reaching a call.
const missesMax = 12

func newSiteKills(c *campaign) *siteKills {
	c.set = lifeSettings
	return &siteKills{campaign: c, within: map[site]int{}, hits: map[site]int{}}
}

// run makes so many kills.
func (k *siteKills) run(ctx context.Context) error {
	if err := haveStrace(); err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(k.seed, 1))
	for n := 0; n < k.rounds; n++ {
		if n%roundsPerImage == 0 {
			if err := k.freshLife(ctx); err != nil {
				return err
			}
		}
		if err := k.kill(ctx, n, r); err != nil {
			return fmt.Errorf("round %d, seed %d: %w", n, k.seed, err)
		}
		if n%20 == 19 {
			fmt.Fprintf(k.out, "  %d kills, %d records acknowledged, %d lost\n", n+1, k.ledger.count(), k.sum.lost)
		}
	}
	return k.end()
}

func (k *siteKills) freshLife(ctx context.Context) error {
	if k.life != nil {
		k.steps += k.life.steps
	}
	if err := k.fresh(ctx); err != nil {
		return err
	}
	k.life = newLife()
	b, err := k.start()
	if err != nil {
		return err
	}
	return errors.Join(createLifeTopics(ctx, b.Addr), stopped(b))
}

// stopped ends a broker politely and wants its exit code 0.
func stopped(b *harness.Broker) error {
	code, err := b.Stop()
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d after SIGTERM: %s", code, b.Log())
	}
	return err
}

// kill makes one kill at a call, and looks at what is left.
func (k *siteKills) kill(ctx context.Context, n int, r *rand.Rand) error {
	for miss := 0; miss < missesMax; miss++ {
		// Every site comes round, those that are met rarely as well, and moments change from one round to the next. After some misses
		// another one has its turn.
		s := sites[(n*siteStride+miss/4)%len(sites)]
		if k.within[s] == 0 {
			k.within[s] = 24
		}
		f := fault{call: s.call, how: "signal=KILL", when: 1 + r.IntN(k.within[s])}
		hit, err := k.meet(ctx, s, f, r)
		if err != nil {
			return fmt.Errorf("%s during %s: %w", f, s.at, err)
		}
		if err := k.after(ctx); err != nil {
			return fmt.Errorf("after %s during %s: %w", f, s.at, err)
		}
		if hit {
			k.hits[s]++
			k.within[s] = min(2*k.within[s], 4096)
			return nil
		}
		k.misses++
		k.within[s] = max(1, f.when/2)
	}
	return fmt.Errorf("no kill in %d tries: the calls of %v are not made", missesMax, sites[n*siteStride%len(sites)])
}

// meet leads a broker to the fault, and reports whether it died of it. The broker is gone on return.
func (k *siteKills) meet(ctx context.Context, s site, f fault, r *rand.Rand) (bool, error) {
	if s.at == atStart || s.at == atRecover {
		if s.at == atRecover {
			if err := k.crash(ctx, r); err != nil {
				return false, err
			}
		}
		return k.meetAtStart(f)
	}
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
	if s.at == atStop && r.IntN(2) == 0 {
		quiet() // else clients are at work while it stops
		wait()
	}
	strace, err := f.attach(k.dir, b.Pid)
	if err != nil {
		return false, err
	}
	defer strace.detach()
	if s.at == atStop {
		code, err := b.Stop()
		if err == nil && code > 0 {
			err = fmt.Errorf("exit code %d: %s", code, b.Log())
		}
		return code < 0, err
	}
	select {
	case <-b.Ended():
		return true, nil
	case <-time.After(3 * time.Second): // calls of that kind are made many times in this time, or not at all
		return false, b.Kill()
	}
}

// busy has all clients at work.
func (k *siteKills) busy(ctx context.Context, addr string, seed uint64) (wait func(), err error) {
	load, err := produce(ctx, addr, k.ledger, seed)
	if err != nil {
		return nil, err
	}
	rest, err := k.life.run(ctx, addr, seed)
	if err != nil {
		return load, err
	}
	return func() { load(); rest() }, nil
}

// warmUp lets some load be acknowledged.
func (k *siteKills) warmUp(r *rand.Rand) {
	before := k.ledger.count()
	time.Sleep(time.Duration(50+r.IntN(250)) * time.Millisecond) // the moment is the variable of the experiment
	for end := time.Now().Add(20 * time.Second); k.ledger.count() == before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond) // a poll: acknowledgements come by the hundred as soon as the broker answers
	}
}

// crash leaves a directory as kill -9 under load does.
func (k *siteKills) crash(ctx context.Context, r *rand.Rand) error {
	b, err := k.start()
	if err != nil {
		return err
	}
	load, quiet := context.WithCancel(ctx)
	defer quiet()
	wait, err := k.busy(load, b.Addr, r.Uint64())
	if err != nil {
		return errors.Join(err, b.Kill())
	}
	k.warmUp(r)
	err = b.Kill()
	quiet()
	wait()
	return err
}

// meetAtStart has a broker come up with the fault ahead.
func (k *siteKills) meetAtStart(f fault) (bool, error) {
	if err := os.RemoveAll(traceFile(k.dir)); err != nil {
		return false, err
	}
	b, err := harness.Launch(harness.Config{Dir: k.data(), Shards: 2, Set: k.set, Wrap: f.wrap(k.dir)})
	if err != nil {
		return false, err
	}
	defer func() { _ = b.Kill() }()
	select {
	case <-b.Serving():
		return false, b.Kill()
	case <-b.Ended():
	case <-time.After(60 * time.Second):
		return false, fmt.Errorf("neither serving nor gone: %s", b.Log())
	}
	text, err := os.ReadFile(traceFile(k.dir))
	if err != nil {
		return false, err
	}
	if !strings.Contains(string(text), "killed by SIGKILL") {
		return false, fmt.Errorf("the broker ended by itself: %s", b.Log())
	}
	return true, nil
}

// after starts the broker again, looks at everything, stops it, and has the directory checked.
func (k *siteKills) after(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // clients ask again for ever for what is offline
	defer cancel()
	began := time.Now()
	b, err := k.start()
	if err != nil {
		return err
	}
	took := time.Since(began)
	k.slowest = max(k.slowest, took)
	if took > servingMax {
		k.late++
	}
	if k.bound > 0 && took > k.bound {
		return errors.Join(fmt.Errorf("serving only after %v: %s", took, b.Log()), b.Kill())
	}
	if err := k.look(ctx, b); err != nil {
		return errors.Join(err, b.Kill())
	}
	v, err := k.life.look(ctx, b.Addr)
	k.sum.add(v)
	if err == nil && v.bad() {
		err = errors.New(v.first)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w; broker: %s", err, b.Log()), b.Kill())
	}
	if err := stopped(b); err != nil {
		return err
	}
	return checkDirectory(k.data())
}

// checkDirectory has pinion check say whether a directory is sound.
func checkDirectory(dir string) error {
	binary, err := harness.Binary()
	if err != nil {
		return err
	}
	if out, err := exec.Command(binary, "check", dir).CombinedOutput(); err != nil || strings.Contains(string(out), "damage") {
		return fmt.Errorf("pinion check: %v: %s", err, out)
	}
	return nil
}

// tell says what came of it.
func (k *siteKills) tell() {
	by := map[moment]int{}
	for s, n := range k.hits {
		by[s.at] += n
	}
	fmt.Fprintf(k.out, "  %d kills at system calls: %d during starts, %d during recoveries, %d under load, %d during stops; %d more starts without one\n",
		k.rounds, by[atStart], by[atRecover], by[underLoad], by[atStop], k.misses)
	fmt.Fprintf(k.out, "  %d records acknowledged, %d administrative requests; slowest start after a kill %v, %d above %v\n",
		k.ledger.count(), k.steps+k.life.steps, k.slowest.Round(time.Millisecond), k.late, servingMax)
}
