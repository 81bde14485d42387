package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Usage is what a broker has used so far.
type Usage struct {
	User, System time.Duration // processor time, in steps of 10 ms
	Resident     int64         // bytes of memory
}

// CPU is user and system time together.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// tick is the unit of processor time in /proc: USER_HZ, which is 100 on every machine Linux runs on.
const tick = 10 * time.Millisecond

// Places in /proc/PID/stat, counted behind the command's name in parentheses, which may hold anything.
const (
	statUser     = 11
	statSystem   = 12
	statResident = 21 // in pages
)

// Usage reads what the running process has used.
func (b *Broker) Usage() (Usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.Pid))
	if err != nil {
		return Usage{}, fmt.Errorf("processor time of the broker: %w", err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) <= statResident {
		return Usage{}, fmt.Errorf("processor time of the broker: %d fields in its stat", len(fields))
	}
	var values [3]int64
	for i, at := range []int{statUser, statSystem, statResident} {
		if values[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return Usage{}, fmt.Errorf("processor time of the broker: %w", err)
		}
	}
	return Usage{time.Duration(values[0]) * tick, time.Duration(values[1]) * tick, values[2] * int64(os.Getpagesize())}, nil
}
