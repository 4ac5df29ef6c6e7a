package embedded

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a child process of ours.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and been waited for
}

// start starts the command. The kernel sends the signal for a dead parent when
// the starting *thread* ends, and Go ends threads; so one thread is kept for
// starting the child and waiting for it.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // the state says how it ended
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("running %s: %w", cmd.Path, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

// state says how the process ended. Only once done is closed.
func (p *process) state() string { return p.cmd.ProcessState.String() }
