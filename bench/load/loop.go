package load

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// base is the zero of all times in this package.
var base = time.Now()

// loop is one thread with its connections, its schedule and what it counts. It runs on a locked thread, and nothing it has is
// touched by others; intervals leave through done.
type loop struct {
	epoll, timer int
	conns        []*conn
	schedule     Schedule
	opened       []*conn // whose answers are waited for at the end; an open loop deals its sends to them, in turn
	dealt        int
	budget       int64 // closed loop: requests still to be begun

	begin, end int64 // measured time: [begin, end)
	grace      int64 // when to stop waiting for what was sent
	open       bool
	stopped    bool        // closed loop: nothing more is begun
	settled    func() bool // after the end: whether nothing more is to come; nil: answers are all

	every   int64
	current Interval
	rollAt  int64
	done    chan<- Interval
	late    int64 // requests that were not answered before grace
}

func (l *loop) now() int64 { return int64(time.Since(base)) }

// measured reports whether something that happened, or was meant to happen, at a time counts.
func (l *loop) measured(at int64) bool { return at >= l.begin && at < l.end }

// pollMax is how long a turn sleeps at most, so that the end of the run is seen.
const pollMax = 50 * time.Millisecond

// Of a turn: how many events it takes, and how many sends and how many intervals it hands out. What is left of these is for the next,
// which looks at the sockets and at the end of the run first.
const (
	eventsMax    = 256
	sendsMax     = 256
	intervalsMax = 256
)

// timerNumber is what epoll calls the timer; connections have numbers from 0.
const timerNumber = -1

// newLoop makes the epoll instance and its timer.
func newLoop() (*loop, error) {
	l := &loop{epoll: -1, timer: -1}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		l.close()
		return nil, fmt.Errorf("timer: %w", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: timerNumber}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, l.timer, &event); err != nil {
		l.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return l, nil
}

// add connects a connection of a flow.
func (l *loop) add(address string, f flow) (c *conn, congestion string, err error) {
	fd, congestion, err := dial(address)
	if err != nil {
		return nil, "", err
	}
	c = &conn{fd: fd, number: len(l.conns), address: address, flow: f}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(c.number)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		_ = unix.Close(fd)
		return nil, "", fmt.Errorf("epoll: %w", err)
	}
	l.conns = append(l.conns, c)
	return c, congestion, nil
}

func (l *loop) close() {
	for _, c := range l.conns {
		_ = unix.Close(c.fd)
	}
	for _, fd := range []int{l.epoll, l.timer} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// run turns until the time is over and everything is answered, the context ends, or a connection fails.
func (l *loop) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.rollAt = l.begin + l.every
	l.current.Start = 0
	for _, c := range l.conns {
		if err := c.pump(l); err != nil {
			return err
		}
	}
	var events [eventsMax]unix.EpollEvent
	for !l.over(ctx) {
		wait, err := l.sleep()
		if err != nil {
			return err
		}
		n, err := unix.EpollWait(l.epoll, events[:], wait)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("epoll: %w", err)
		}
		for _, event := range events[:max(n, 0)] {
			if err := l.handle(event); err != nil {
				return err
			}
		}
		if err := l.deal(); err != nil {
			return err
		}
		l.roll(l.now())
	}
	return nil
}

// finish gives away the last interval and counts what was not answered, or not even handed out; it is for the end of run, however that came.
func (l *loop) finish() {
	l.late = l.schedule.Left(l.now())
	for _, c := range l.opened {
		l.late += int64(c.flying.len() + c.owed.len())
	}
	l.flush(l.now())
}

func (l *loop) handle(event unix.EpollEvent) error {
	if event.Fd == timerNumber {
		var ticks [8]byte
		if _, err := unix.Read(l.timer, ticks[:]); err != nil && err != unix.EAGAIN {
			return fmt.Errorf("timer: %w", err)
		}
		return nil
	}
	c := l.conns[event.Fd]
	if event.Events&^unix.EPOLLOUT != 0 {
		if err := c.receive(l); err != nil {
			return err
		}
	}
	return c.pump(l)
}

// deal hands out the sends whose time has come, to one connection after the other.
func (l *loop) deal() error {
	if !l.open {
		return nil
	}
	now := l.now()
	for range sendsMax {
		at, ok := l.schedule.Due(now)
		if !ok {
			return nil
		}
		c := l.opened[l.dealt%len(l.opened)]
		l.dealt++
		c.owed.push(flight{intended: at})
		if err := c.pump(l); err != nil {
			return err
		}
	}
	return nil
}

// sleep sets the timer for the next send and says how long epoll may wait, in milliseconds.
func (l *loop) sleep() (int, error) {
	if !l.open {
		return int(pollMax / time.Millisecond), nil
	}
	gap := l.schedule.Next() - l.now()
	switch {
	case gap <= 0:
		return 0, nil
	case gap >= int64(pollMax):
		return int(pollMax / time.Millisecond), nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(gap)}
	if err := unix.TimerfdSettime(l.timer, 0, &spec, nil); err != nil {
		return 0, fmt.Errorf("timer: %w", err)
	}
	return int(pollMax / time.Millisecond), nil
}

// again begins the next request of a closed loop, if there is to be one.
func (l *loop) again(c *conn, now int64) {
	if l.stopped || now >= l.end || l.budget == 0 {
		return
	}
	l.budget--
	c.owed.push(flight{intended: now})
}

// over reports whether the loop is done: at the end it begins nothing more, hands out what was due by then and waits for what is under way.
func (l *loop) over(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	now := l.now()
	if now < l.end {
		return !l.open && !busy(l.conns) // a closed loop that has done all it had to
	}
	l.stopped = true
	if now >= l.grace {
		return true
	}
	return l.schedule.Next() == math.MaxInt64 && !busy(l.opened) && (l.settled == nil || l.settled())
}

// busy reports whether any of the connections has something under way.
func busy(list []*conn) bool {
	for _, c := range list {
		if c.flying.len()+c.owed.len()+len(c.rest) > 0 {
			return true
		}
	}
	return false
}

// roll gives away intervals that are complete. What happened before the measured time is in the first one's past and dropped.
func (l *loop) roll(now int64) {
	for n := 0; n < intervalsMax && now >= l.rollAt && now < l.end; n++ {
		l.emit(l.rollAt)
		l.rollAt += l.every
	}
}

// flush gives away the last interval; it ends with the measured time, though answers may have come later.
func (l *loop) flush(now int64) {
	if at := min(now, l.end); at > l.begin {
		l.emit(at)
	}
}

func (l *loop) emit(at int64) {
	l.current.End = time.Duration(at - l.begin)
	if l.current.End > l.current.Start {
		l.done <- l.current
	}
	l.current = Interval{Start: time.Duration(at - l.begin)}
}
