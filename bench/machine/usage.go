package machine

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
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

// Busy is the processor time the whole machine has spent on anything, interrupts included, and on anything but waiting.
func Busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("processor time of the machine: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("processor time of the machine: /proc/stat begins with %q", line)
	}
	var sum time.Duration
	for i, field := range fields[1:9] { // user nice system idle iowait irq softirq steal
		if i == 3 || i == 4 {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time of the machine: %w", err)
		}
		sum += time.Duration(n) * tick
	}
	return sum, nil
}
