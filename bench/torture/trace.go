package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// fault is something that strace does to one system call of a broker. It counts calls by thread, and from when it was attached.
type fault struct {
	call  string // or several, with commas
	how   string // signal=KILL: instead of the call; error=EIO: and the call is not made
	when  int    // from 1; 0: always
	paths []string
}

func (f fault) String() string {
	at := ""
	if len(f.paths) > 0 {
		at = " on " + filepath.Base(f.paths[0])
	}
	return fmt.Sprintf("%s at %s %d%s", f.how, f.call, f.when, at)
}

// errNoStrace says why no fault can be put into a system call here.
type errNoStrace struct{ why string }

func (e *errNoStrace) Error() string { return "faults at system calls are not possible here: " + e.why }

// traceFile is where strace writes what it saw: the calls of one kind, and what it did to them.
func traceFile(dir string) string { return filepath.Join(dir, "trace") }

// args are strace's, for a fault.
func (f fault) args(dir string) []string {
	when := ""
	if f.when > 0 {
		when = fmt.Sprintf(":when=%d", f.when)
	}
	args := []string{"strace", "-f", "-qqq", "-o", traceFile(dir), "-s", "0", "-e", "signal=kill", "-e", "trace=" + f.call,
		"-e", "inject=" + f.call + ":" + f.how + when}
	for _, p := range f.paths {
		args = append(args, "-P", p)
	}
	return args
}

// wrap is the command that a broker is started by to meet the fault from its first call on. It is our child all the same, because strace
// goes aside (-D).
func (f fault) wrap(dir string) []string { return append(f.args(dir), "-D", "--seccomp-bpf", "--") }

// attached is a strace that has come to a running broker.
type attached struct{ cmd *exec.Cmd }

// attach has a running process meet the fault from now on. It returns when every thread is watched.
func (f fault) attach(dir string, pid int) (*attached, error) {
	if err := os.RemoveAll(traceFile(dir)); err != nil {
		return nil, err
	}
	args := append(f.args(dir), "-p", strconv.Itoa(pid))
	a := &attached{cmd: exec.Command(args[0], args[1:]...)}
	if err := a.cmd.Start(); err != nil {
		return nil, &errNoStrace{err.Error()}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		all, err := watched(pid)
		if errors.Is(err, fs.ErrNotExist) || all {
			return a, nil // or it met its fault already
		}
		if err != nil || time.Now().After(end) {
			a.detach()
			return nil, errors.Join(&errNoStrace{"strace does not come to process " + strconv.Itoa(pid)}, err)
		}
	}
}

// watched reports whether every thread of a process has a tracer.
func watched(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		return false, errors.Join(err, fs.ErrNotExist)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrProcessDone) {
			continue // a thread that ended
		}
		if err == nil && strings.Contains(string(text), "TracerPid:\t0\n") && !strings.Contains(string(text), "State:\tX") {
			return false, nil
		}
	}
	return true, nil
}

// detach ends strace; the broker goes on without it.
func (a *attached) detach() {
	_ = a.cmd.Process.Signal(os.Interrupt) // it lets go of its threads first
	done := make(chan struct{})
	go func() { _ = a.cmd.Wait(); close(done) }() // it ends by the signal
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		_ = a.cmd.Process.Kill()
		<-done
	}
}

// injected is how many calls strace has failed so far.
func injected(dir string) int {
	text, err := os.ReadFile(traceFile(dir))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "(INJECTED)")
}

// haveStrace is nil where strace can watch processes of ours.
func haveStrace() error {
	if _, err := exec.LookPath("strace"); err != nil {
		return &errNoStrace{"strace is not installed"}
	}
	if out, err := exec.Command("strace", "-f", "-qqq", "-o", os.DevNull, "-D", "--seccomp-bpf", "--", "true").CombinedOutput(); err != nil {
		return &errNoStrace{fmt.Sprintf("%v: %s", err, strings.TrimSpace(string(out)))}
	}
	return nil
}
