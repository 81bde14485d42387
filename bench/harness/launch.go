package harness

import (
	"os/exec"
	"runtime"
)

// launch starts a command from one thread that lives as long as this process: Pdeathsig fires when the *thread* that started the
// child ends, and the runtime ends idle threads of locked goroutines when it likes.
func launch(cmd *exec.Cmd) error {
	starts <- cmd
	return <-started
}

var (
	starts  = make(chan *exec.Cmd)
	started = make(chan error)
)

func init() {
	go func() {
		runtime.LockOSThread()
		for cmd := range starts {
			started <- cmd.Start()
		}
	}()
}
