package harness

import (
	"os/exec"
	"syscall"
)

// Child starts another program than a broker of ours, which ends when this process does.
func Child(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return launch(cmd)
}
