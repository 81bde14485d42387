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
// wakes the shard again before that. All shards look at the same moments, the multiples of slowSpan: what one then asks of another finds it awake.
type slow struct {
	epfd  int
	timer Timer
}

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

// Fire looks at the slow descriptors that are ready.
func (l *slow) Fire(t *Turn, _ *Timer) {
	s := t.shard
	for {
		n, errno := epollRaw(l.epfd, s.events, 0)
		if errno != 0 {
			n = 0 // a signal; what is ready stays so
		}
		for i := range n {
			s.ready(t, &s.events[i])
		}
		if n < len(s.events) {
			break
		}
	}
	if err := s.watchSlow(unix.EPOLL_CTL_MOD); err != nil {
		must.Failf("%s: watch epoll: %v", s.name, err)
	}
}
