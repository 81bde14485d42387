package main

import (
	"bytes"
	"errors"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// firstLines keeps what is written and tells when so many lines of progress have come.
type firstLines struct {
	mu      sync.Mutex
	text    strings.Builder
	want    int
	reached chan struct{}
}

func (l *firstLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if l.want > 0 {
		if l.want -= bytes.Count(b, []byte("s] ")); l.want <= 0 {
			close(l.reached)
		}
	}
	return len(b), nil
}

func (l *firstLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// runProgram runs the real binary.
func runProgram(t *testing.T, args ...string) result {
	t.Helper()
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), problems.String()}
}
