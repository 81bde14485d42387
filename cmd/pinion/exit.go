package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"pinion/disk/identity"
	"pinion/engine/config"
)

// Exit codes; the contract is in the package comment.
const (
	exitOK      = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartial = 3
	exitDamage  = 4
	exitConfig  = 78
)

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error // nil: everything was said already
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usagef is a mistake on the command line.
func usagef(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// outcome is the error of a command that treated several items: nil, all failed, or some.
func outcome(failed, total int) error {
	switch {
	case failed == 0:
		return nil
	case failed == total:
		return &failure{exitFailed, nil}
	}
	return &failure{exitPartial, nil}
}

// errUnread says that whoever read the output is gone, as head is when it has enough.
var errUnread = errors.New("nobody reads the output")

// outlet tells a broken pipe of the output from that of a socket, which is an error like any other.
type outlet struct{ io.Writer }

func (o outlet) Write(b []byte) (int, error) {
	n, err := o.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		err = errUnread
	}
	return n, err
}

// report prints an error for people and gives the code to exit with.
func report(con *console, err error) int {
	var f *failure
	var problems config.Problems
	var refusal *identity.Refusal
	switch {
	case err == nil, errors.Is(err, errUnread):
		return exitOK
	case errors.As(err, &problems):
		fmt.Fprintln(con.err, problems.Error())
		fmt.Fprintf(con.err, "%s; nothing was started.\n", problems.Count())
		return exitConfig
	case errors.As(err, &refusal):
		fmt.Fprintf(con.err, "error: %v\n", err)
		return exitConfig
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(con.err, "interrupted")
		for _, other := range besides(err, context.Canceled) {
			fmt.Fprintf(con.err, "error: %v\n", other)
		}
		return exitFailed
	case errors.As(err, &f):
		if f.err != nil {
			fmt.Fprintf(con.err, "error: %v\n", err)
		}
		return f.code
	}
	fmt.Fprintf(con.err, "error: %v\n", err)
	return exitFailed
}

// besides gives the errors that are joined with a target.
func besides(err, target error) (list []error) {
	if !errors.Is(err, target) {
		return []error{err}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			list = append(list, besides(one, target)...)
		}
	}
	return list
}
