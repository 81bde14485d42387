package shard

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Set is all shards of a node and their helpers.
type Set struct {
	shards []*Shard
	cpus   []int
	vigil  *vigil
	done   chan struct{}
}

const (
	helpersPerShard     = 2 // opens, reserves, syncs: short, so few suffice
	bulkHelpersPerShard = 2 // cold reads and validation: bounded so that they cannot crowd the shards off their cores
)

// NewSet makes n shards that share the clock. They do not run until Start.
func NewSet(n int, clk clock.Clock) (*Set, error) {
	set := &Set{vigil: newVigil(clk), done: make(chan struct{}, n+1)}
	for i := range n {
		s, err := newShard(model.ShardID(i), clk)
		if err != nil {
			return nil, errors.Join(err, set.Close())
		}
		set.shards = append(set.shards, s)
	}
	help, bulk := startHelpers(helpersPerShard*n), startHelpers(bulkHelpersPerShard*n)
	for _, s := range set.shards {
		s.peers, s.mailed = set.shards, make([]bool, n)
		s.help, s.bulk = help, bulk
		s.slow.vigil = set.vigil
	}
	return set, nil
}

// Len is the number of shards.
func (set *Set) Len() int { return len(set.shards) }

// Shard returns one of them.
func (set *Set) Shard(id model.ShardID) *Shard { return set.shards[id] }

// Start gives each shard its thread, pinned to cpus[i % len(cpus)].
func (set *Set) Start(cpus []int) {
	set.cpus = cpus
	for i, s := range set.shards {
		go func() {
			defer func() { set.done <- struct{}{} }()
			s.run(cpus[i%len(cpus)])
		}()
	}
	go func() {
		defer func() { set.done <- struct{}{} }()
		set.vigil.run()
	}()
}

// Stop ends the loops after their current turn and waits for them. Mail that is still in an inbox stays undelivered.
func (set *Set) Stop() {
	for _, s := range set.shards {
		s.Post(&stop{})
	}
	for range set.shards {
		<-set.done
	}
	set.vigil.lookers.Store(0)
	close(set.vigil.call)
	<-set.done
}

// Close frees descriptors and helpers of a set that does not run.
func (set *Set) Close() error {
	for i, s := range set.shards {
		s.close()
		if i == 0 && s.help != nil {
			close(s.help.work)
			close(s.bulk.work)
		}
	}
	return nil
}

type stop struct{ Letter }

// Deliver ends the loop of the shard it reaches.
func (*stop) Deliver(t *Turn) { t.shard.stopped = true }

// CPUs lists the processors this process may run on.
func CPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("sched_getaffinity: %w", err)
	}
	var cpus []int
	for i := range len(set) * 64 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus, nil
}

// run is the life of a shard. The thread stays locked for ever: an unlocked one would carry its affinity to other goroutines.
func (s *Shard) run(cpu int) {
	runtime.LockOSThread()
	var mask unix.CPUSet
	mask.Set(cpu)
	s.stats.Pinned = unix.SchedSetaffinity(0, &mask) == nil
	var woke clock.Mono = s.clock.Now().Mono
	for !s.stopped {
		n := s.collect(woke)
		began := s.clock.Now().Mono
		s.pass(n)
		woke = s.clock.Now().Mono
		s.busy.worked(began, woke)
		s.stats.Turns.Observe(woke.Sub(began))
	}
}

// collect returns ready events: at once when there is work, else after polling within budget, else after sleeping.
func (s *Shard) collect(now clock.Mono) int {
	if !s.idle() {
		return s.epoll(0)
	}
	if s.expected > 0 {
		if n, ok := s.spin(now); ok {
			return n
		}
	}
	s.sleeping.Store(true)
	// Anything posted before the flag was seen raised is visible now; anything later rings the bell.
	if !s.idle() {
		s.sleeping.Store(false)
		return s.epoll(0)
	}
	n := s.epoll(s.timeout(now))
	s.sleeping.Store(false)
	s.stats.Sleeps++
	return n
}

// nap is how long a shard sleeps in a raw call, in the runtime's eyes running, before it lets the runtime have its processor. Under load there is
// something to do before; to give the processor up and ask for it again each time costs more than the sleep saves.
const nap = 2 * time.Millisecond

// epoll waits at most d. In a longer wait the runtime can use the processor: it is given back where the shard will sleep until the next look at slow
// descriptors, else it is lent by an ordinary call. Giving it back before each of the short sleeps between requests, a few hundred a second, would double
// what those cost: each sleep then ends with the monitor awake again.
func (s *Shard) epoll(d time.Duration) int {
	ms := int((max(d, 0) + time.Millisecond - 1) / time.Millisecond)
	first := min(ms, int(nap/time.Millisecond))
	n, errno := epollRaw(s.epfd, s.events, first)
	if errno != 0 {
		return 0
	}
	if n > 0 || first == ms {
		return n
	}
	ms -= first
	if s.slow.quiet() {
		n, errno = epollSleep(s.epfd, s.events, ms)
		if errno == 0 {
			return n
		}
		return s.failed(errno)
	}
	n, err := unix.EpollWait(s.epfd, s.events, ms)
	if err != nil {
		return s.failed(err)
	}
	return n
}

// failed ends a wait that found nothing because of a signal; nothing else may end it.
func (s *Shard) failed(err error) int {
	if err != unix.EINTR {
		must.Failf("%s: epoll_wait: %v", s.name, err)
	}
	return 0
}

// pollBudget pays for polling: a share of elapsed time accrues, up to a little, and spinning spends it. What may be saved and what
// accrues in a second are together less than 5 % of it, so that no second sees more. Where nothing comes in time, because what is awaited
// waits for a disk, there is less and less of it.
type pollBudget struct {
	left   time.Duration
	last   clock.Mono
	misses uint // in a row, up to pollMissesMax
	skip   uint // sleeps until the next try
}

const (
	pollShare   = 22                    // one part of so many of elapsed time: 45.5 ms a second
	pollSaveMax = 4 * time.Millisecond  // a hundred waits
	pollSpan    = 40 * time.Microsecond // about what waking a sleeping peer costs, so a longer wait is better slept

	pollMissesMax = 5 // then every 32nd sleep is tried
)

func (b *pollBudget) accrue(now clock.Mono) {
	b.left = min(pollSaveMax, b.left+now.Sub(b.last)/pollShare)
	b.last = now
}

// worth reports whether to poll before this sleep.
func (b *pollBudget) worth() bool {
	if b.skip > 0 {
		b.skip--
		return false
	}
	return b.left >= pollSpan
}

// spent charges for a try.
func (b *pollBudget) spent(d time.Duration, found bool) {
	b.left -= d
	if found {
		b.misses = 0
		return
	}
	b.misses = min(b.misses+1, pollMissesMax)
	b.skip = 1<<b.misses - 1
}

// spin looks for mail and events for a short while, if there is budget. It reports whether something came.
func (s *Shard) spin(now clock.Mono) (int, bool) {
	s.poll.accrue(now)
	if !s.poll.worth() {
		return 0, false
	}
	for end, at := now.Add(pollSpan), now; at < end; at = s.clock.Now().Mono {
		if n := s.epoll(0); n > 0 || !s.idle() {
			s.poll.spent(at.Sub(now), true)
			return n, true
		}
	}
	s.poll.spent(pollSpan, false)
	return 0, false
}
