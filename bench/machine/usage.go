package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Usage is what processes have used so far.
type Usage struct {
	User, System time.Duration // processor time, in steps of 10 ms
	Resident     int64         // bytes of memory
	Anonymous    int64         // of these, what is not backed by files
	Threads      int
}

// CPU is user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// tick is the unit of processor time in /proc: USER_HZ, which is 100 on every machine Linux runs on.
const tick = 10 * time.Millisecond

// Places in /proc/PID/stat, counted behind the command's name in parentheses, which may hold anything.
const (
	statUser   = 11
	statSystem = 12
)

// Of reads what running processes have used together.
func Of(pids ...int) (Usage, error) {
	var sum Usage
	for _, pid := range pids {
		u, err := of(pid)
		if err != nil {
			return Usage{}, fmt.Errorf("usage of process %d: %w", pid, err)
		}
		sum.User += u.User
		sum.System += u.System
		sum.Resident += u.Resident
		sum.Anonymous += u.Anonymous
		sum.Threads += u.Threads
	}
	return sum, nil
}

func of(pid int) (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= statSystem {
		return Usage{}, fmt.Errorf("%d fields in its stat", len(fields))
	}
	var u Usage
	for at, into := range map[int]*time.Duration{statUser: &u.User, statSystem: &u.System} {
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return Usage{}, err
		}
		*into = time.Duration(n) * tick
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch key { // a process that is ending has no memory left, and no such lines
		case "VmRSS":
			u.Resident = n << 10
		case "RssAnon":
			u.Anonymous = n << 10
		case "Threads":
			u.Threads = int(n)
		}
	}
	return u, nil
}

// Time is what the machine's processors have spent since it was started.
type Time struct {
	Busy   time.Duration // on anything but waiting, interrupts included
	Stolen time.Duration // on other machines of the same host, or stopped by it, while something here wanted to run
}

// Sub is what came since.
func (t Time) Sub(before Time) Time { return Time{t.Busy - before.Busy, t.Stolen - before.Stolen} }

// Processors reads it.
func Processors() (t Time, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Time{}, fmt.Errorf("processor time of the machine: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return Time{}, fmt.Errorf("processor time of the machine: /proc/stat begins with %q", line)
	}
	for i, field := range fields[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return Time{}, fmt.Errorf("processor time of the machine: %w", err)
		}
		switch i {
		case 3, 4:
		case 7:
			t.Stolen = time.Duration(n) * tick
		default:
			t.Busy += time.Duration(n) * tick
		}
	}
	return t, nil
}

// Writes is what a block device has been given to store so far.
type Writes struct {
	Count   int64 // write requests, neighbours merged
	Bytes   int64
	Flushes int64 // of its cache
}

// Sub is what came since.
func (w Writes) Sub(before Writes) Writes {
	return Writes{w.Count - before.Count, w.Bytes - before.Bytes, w.Flushes - before.Flushes}
}

// Places in /sys/dev/block/M:N/stat, and the unit of its sizes whatever the device's own is.
const (
	statWrites      = 4
	statWritten     = 6
	statFlushes     = 15
	statSectorBytes = 512
)

// WritesBelow reads the counters of the device a folder lies on, whoever writes to it. It fails where that is no block device.
func WritesBelow(dir string) (Writes, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return Writes{}, fmt.Errorf("device of %s: %w", dir, err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return Writes{}, fmt.Errorf("device of %s: %w", dir, err)
	}
	fields := strings.Fields(string(text))
	if len(fields) <= statFlushes {
		return Writes{}, fmt.Errorf("device of %s: %d counters", dir, len(fields))
	}
	var w Writes
	for at, into := range map[int]*int64{statWrites: &w.Count, statWritten: &w.Bytes, statFlushes: &w.Flushes} {
		if *into, err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return Writes{}, fmt.Errorf("device of %s: %w", dir, err)
		}
	}
	w.Bytes *= statSectorBytes
	return w, nil
}
