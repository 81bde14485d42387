package harness

import (
	"os/exec"
	"syscall"
)

// Child starts a command that is killed when this process ends, however it ends.
func Child(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return launch(cmd)
}
