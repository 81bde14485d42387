// Command pinion is the one binary: `pinion start` is the broker, the other verbs are its client. It owns the command line, the
// exit codes and the wiring of the rooms into a running node (serve.go); it decides nothing about records.
//
// Data goes to stdout and everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some items failed and some
// did not, 4 damage found (check, restore), 78 wrong configuration (EX_CONFIG, on which the systemd unit does not restart).
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// console is what a command may see of the process that runs it; tests hand in their own.
type console struct {
	in       io.Reader
	out, err io.Writer
	env      []string
	inTTY    bool // stdin is a terminal: a person can be asked
	outTTY   bool // stdout is a terminal: a person reads
}

func main() {
	// A reader that goes away (head) must end a command quietly: without this the runtime kills the process on EPIPE at stdout.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal kills at once
	con := &console{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.Environ(),
		inTTY: isTerminal(os.Stdin), outTTY: isTerminal(os.Stdout),
	}
	os.Exit(run(ctx, con, os.Args[1:]))
}

// isTerminal reports whether the file is a character device other than /dev/null, which is close enough to decide whom to write for.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
