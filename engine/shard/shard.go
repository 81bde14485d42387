package shard

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Ender is a room that has work at the end of each turn. It returns true when it posted local mail or staged work that must be
// seen before the turn is over.
type Ender interface {
	EndTurn(t *Turn) (more bool)
}

type laneKind int

const (
	reply laneKind = iota // replies and control: never behind bulk
	bulk
	laneCount
)

// Shard is one loop and what it owns. Only Post, Poke and Stats of its methods may be called from other threads.
type Shard struct {
	// Immutable after New.
	id     model.ShardID
	name   string
	epfd   int
	bell   int // eventfd, rung by whoever finds the shard sleeping
	clock  clock.Clock
	peers  []*Shard
	help   *helpers
	bulk   *helpers
	manual *Manual // carries mail and jobs where there are no threads; else nil

	// Written by any thread.
	lanes    [laneCount]lane
	sleeping atomic.Bool // orders with lanes: raised before the last look at them, lowered by whoever rings

	// Owned by the shard.
	turn        Turn
	enders      []Ender
	sources     []watched
	freeSources []uint32
	timers      heap
	slow        slow
	local       queue
	mailed      []bool // peers that got mail this turn
	errands     []errand
	bulkErrands []errand
	again       bool
	stirred     bool // something came for this turn
	expected    int  // asks outstanding
	poll        pollBudget
	busy        busy
	events      []unix.EpollEvent
	stats       Stats
	stopped     bool
}

type watched struct {
	source     Source
	generation uint32
	slow       bool
}

const eventsPerTurn = 256

func newShard(id model.ShardID, clk clock.Clock) (*Shard, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("shard %d: epoll: %w", id, err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("shard %d: eventfd: %w", id, err)
	}
	s := &Shard{id: id, name: fmt.Sprintf("shard %d", id), epfd: epfd, bell: bell, clock: clk, slow: slow{epfd: -1}, events: make([]unix.EpollEvent, eventsPerTurn)}
	s.turn.shard = s
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: bellMark}
	if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, bell, &ev); err != nil {
		s.close()
		return nil, fmt.Errorf("shard %d: watch eventfd: %w", id, err)
	}
	if err := s.openSlow(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Shard) close() {
	unix.Close(s.epfd)
	unix.Close(s.bell)
	if s.slow.epfd >= 0 {
		unix.Close(s.slow.epfd)
	}
}

// bellMark is the epoll data of the eventfd; watched descriptors use their index, which is never negative. slowMark is another.
const bellMark = -1

// ID is the shard's number.
func (s *Shard) ID() model.ShardID { return s.id }

// AtEnd adds a room to the end of each turn. Rooms run in the order they were added.
func (s *Shard) AtEnd(e Ender) { s.enders = append(s.enders, e) }

// Post gives mail to the shard from a thread that is not a shard.
func (s *Shard) Post(m Mail) {
	if s.manual != nil {
		s.manual.post(Way{From: Outside, To: s.id}, m)
		return
	}
	s.lanes[reply].push(m)
	s.wake()
}

func (s *Shard) wake() bool {
	// The load keeps the common case, an awake shard, free of a contended write.
	if s.sleeping.Load() && s.sleeping.CompareAndSwap(true, false) {
		ring(s.bell)
		return true
	}
	return false
}

// Watch reports the readiness of fd to the source, edge triggered, until Unwatch.
func (t *Turn) Watch(fd int, source Source) (Handle, error) {
	s := t.shard
	var i uint32
	if n := len(s.freeSources); n > 0 {
		i = s.freeSources[n-1]
		s.freeSources = s.freeSources[:n-1]
	} else {
		i = uint32(len(s.sources))
		s.sources = append(s.sources, watched{})
	}
	w := &s.sources[i]
	w.source = source
	h := Handle(uint64(w.generation)<<32 | uint64(i))
	ev := watchEvent(h)
	if err := unix.EpollCtl(s.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		w.source = nil
		s.freeSources = append(s.freeSources, i)
		return 0, fmt.Errorf("watch descriptor: %w", err)
	}
	return h, nil
}

// watchEvent is what epoll is asked to tell of a descriptor.
func watchEvent(h Handle) unix.EpollEvent {
	return unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(uint32(h)), Pad: int32(h >> 32)}
}

// watchedBy finds a descriptor that is watched.
func (s *Shard) watchedBy(h Handle) *watched {
	w := &s.sources[uint32(h)]
	if w.generation != uint32(h>>32) || w.source == nil {
		must.Failf("%s: a descriptor that is not watched", s.name)
	}
	return w
}

// Unwatch forgets a descriptor; events already collected for it are dropped. Closing fd is the caller's.
func (t *Turn) Unwatch(fd int, h Handle) {
	s := t.shard
	w := s.watchedBy(h)
	epfd := s.epfd
	if w.slow {
		epfd = s.slow.epfd
	}
	_ = unix.EpollCtl(epfd, unix.EPOLL_CTL_DEL, fd, nil) // fails only if fd is gone, which forgets it as well
	w.source, w.slow = nil, false
	w.generation++
	s.freeSources = append(s.freeSources, uint32(h))
}

// pass runs one turn over n collected events.
func (s *Shard) pass(n int) {
	t := &s.turn
	t.now = s.clock.Now()
	s.again, s.stirred = false, n > 0
	for i := range n {
		s.ready(t, &s.events[i])
	}
	s.deliver(t, s.lanes[reply].take())
	s.deliver(t, s.lanes[bulk].take())
	for {
		when, ok := s.timers.next()
		if !ok || when > t.now.Mono {
			break
		}
		tm := s.timers.timers[0]
		s.timers.remove(tm)
		tm.on.Fire(t, tm)
	}
	s.settle(t)
	s.ringPeers()
	if s.manual != nil {
		return
	}
	if len(s.errands) > 0 {
		s.errands = s.help.offer(s.errands)
	}
	if len(s.bulkErrands) > 0 {
		s.bulkErrands = s.bulk.offer(s.bulkErrands)
	}
}

func (s *Shard) ready(t *Turn, ev *unix.EpollEvent) {
	switch ev.Fd {
	case bellMark:
		unring(s.bell)
		return
	case slowMark:
		s.slow.arm(t)
		return
	}
	w := &s.sources[ev.Fd]
	if w.generation != uint32(ev.Pad) || w.source == nil {
		return
	}
	if !w.slow {
		s.slow.other = true
	}
	w.source.Ready(t, ev.Events)
}

func (s *Shard) deliver(t *Turn, l *Letter) {
	s.stirred = s.stirred || l != nil
	for l != nil {
		next, body := l.next, l.body
		l.next, l.body = nil, nil
		s.stats.Mail++
		body.Deliver(t)
		l = next
	}
}

// settle empties the local queue and lets the rooms end the turn, until nothing is left to do together.
func (s *Shard) settle(t *Turn) {
	for more := true; more; {
		for l := s.local.pop(); l != nil; l = s.local.pop() {
			body := l.body
			l.body = nil
			body.Deliver(t)
		}
		more = false
		for _, e := range s.enders {
			if e.EndTurn(t) {
				more = true
			}
		}
		more = more || s.local.first != nil
	}
}

func (s *Shard) ringPeers() {
	for i, mailed := range s.mailed {
		if mailed {
			s.mailed[i] = false
			if s.peers[i].wake() {
				s.stats.Doorbells++
			}
		}
	}
}

func (s *Shard) idle() bool {
	return s.lanes[reply].empty() && s.lanes[bulk].empty() && !s.again && len(s.errands) == 0 && len(s.bulkErrands) == 0
}

// timeout is how long the shard may sleep, at most a second so that its clock and counters stay fresh.
func (s *Shard) timeout(now clock.Mono) time.Duration {
	d := time.Second
	if when, ok := s.timers.next(); ok {
		d = min(d, max(0, when.Sub(now)))
	}
	return d
}
