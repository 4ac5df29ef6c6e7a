package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is a part of the system that is started again whenever it ends, as
// an orchestrator does.
type process struct {
	name string
	args []string
	env  []string
	log  string

	mu      sync.Mutex
	cmd     *exec.Cmd
	stopped bool
	ended   chan struct{}
	lives   int
}

func launch(dir, binary, name string, env []string, args ...string) (*process, error) {
	p := &process{name: name, args: append([]string{binary}, args...), env: env, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	if err := p.start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go p.keep()
	return p, nil
}

func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	cmd := exec.Command(p.args[0], p.args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), p.env...), log, log
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	p.cmd = cmd
	p.lives++
	return nil
}

// keep waits for its end, and starts it again.
func (p *process) keep() {
	defer close(p.ended)
	for {
		p.mu.Lock()
		cmd := p.cmd
		p.mu.Unlock()
		_ = cmd.Wait() // how it ended stands in its log
		p.mu.Lock()
		stopped := p.stopped
		p.mu.Unlock()
		if stopped {
			return
		}
		<-time.After(300 * time.Millisecond) // restart: unless-stopped
		if p.start() != nil {
			return
		}
	}
}

func (p *process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd.ProcessState != nil {
		return os.ErrProcessDone
	}
	return p.cmd.Process.Signal(s)
}

// stop ends it for good, by SIGTERM, else after the patience by SIGKILL.
func (p *process) stop(patience time.Duration) {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	_ = p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.signal(syscall.SIGKILL)
		<-p.ended
	}
}
