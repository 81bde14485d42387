package shard

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"pinion/engine/must"
)

// slow watches descriptors whose news can wait: all that becomes ready within slowSpan is looked at in one turn. Thousands of clients that only
// say that they are alive would otherwise wake the shard, and through it its peers, once for each; half of what a heartbeat took was that.
// The shard's own epoll instance watches this one, for one event at a time: the first descriptor that is ready arms the timer, and nothing
// wakes the shard again before that. Where there is always something by then, the shard looks at every moment without being told. All shards look
// at the same moments, the multiples of slowSpan: what one then asks of another finds it awake, and so is the runtime's monitor (vigil).
type slow struct {
	epfd  int
	vigil *vigil
	timer Timer
	every bool // it looks at every moment; the instance is not watched
	other bool // since the last look, a descriptor that is not slow was ready
}

// quiet reports that nothing is to be expected before the next look.
func (l *slow) quiet() bool { return l.every && !l.other }

// slowSpan is how long news may wait. Chosen here: far below what a session's timeout is counted in, and as many wakes a second as cost little.
const slowSpan = 50 * time.Millisecond

// slowMark is the epoll data of the instance for slow descriptors.
const slowMark = -2

// openSlow makes the instance and has the shard's own watch it.
func (s *Shard) openSlow() error {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return fmt.Errorf("shard %d: epoll: %w", s.id, err)
	}
	s.slow.epfd = epfd
	if err := s.watchSlow(unix.EPOLL_CTL_ADD); err != nil {
		return fmt.Errorf("shard %d: watch epoll: %w", s.id, err)
	}
	return nil
}

// watchSlow asks for one event. What is ready already gives it at once.
func (s *Shard) watchSlow(op int) error {
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: slowMark}
	return unix.EpollCtl(s.epfd, op, s.slow.epfd, &ev)
}

// Slow says whether news of a watched descriptor can wait a little. It changes nothing else: what is ready is told again. Where the kernel has no
// room for it the descriptor stays as it is.
func (t *Turn) Slow(fd int, h Handle, slow bool) {
	s := t.shard
	w := s.watchedBy(h)
	if w.slow == slow {
		return
	}
	from, to := s.epfd, s.slow.epfd
	if !slow {
		from, to = to, from
	}
	ev := watchEvent(h)
	if unix.EpollCtl(to, unix.EPOLL_CTL_ADD, fd, &ev) != nil {
		return
	}
	w.slow = slow
	_ = unix.EpollCtl(from, unix.EPOLL_CTL_DEL, fd, nil) // fails only if fd is gone, which forgets it as well
}

// slowMany is how many ready descriptors in one look have the shard look at every moment, until it finds none: of fewer each would cost a look in vain.
const slowMany = 2

// Fire looks at the slow descriptors that are ready.
func (l *slow) Fire(t *Turn, _ *Timer) {
	s := t.shard
	found := 0
	l.other = false
	for {
		n, errno := epollRaw(l.epfd, s.events, 0)
		if errno != 0 {
			n = 0 // a signal; what is ready stays so
		}
		for i := range n {
			s.ready(t, &s.events[i])
		}
		found += n
		if n < len(s.events) {
			break
		}
	}
	switch {
	case found >= slowMany && !l.every:
		l.every = true
		l.vigil.join()
	case found == 0 && l.every:
		l.every = false
		l.vigil.leave()
	}
	if l.every {
		l.arm(t)
		return
	}
	if err := s.watchSlow(unix.EPOLL_CTL_MOD); err != nil {
		must.Failf("%s: watch epoll: %v", s.name, err)
	}
}

// arm has the shard look at the next moment.
func (l *slow) arm(t *Turn) { t.Arm(&l.timer, slowSpan-time.Duration(t.now.Mono)%slowSpan, l) }
