//go:build !linux

package embedded

import (
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// dieWithParent: only Linux can. Elsewhere the next start ends a left-over.
func dieWithParent(*syscall.SysProcAttr) {}

// commandOf is a process's program name and arguments, "" when there is none.
func commandOf(pid int) (name string, args []string) {
	out, err := exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", nil
	}
	line := strings.TrimSpace(string(out))
	if strings.HasPrefix(line, "postgres: ") {
		return "postgres", []string{line}
	}
	args = strings.Fields(line)
	if len(args) == 0 {
		return "", nil
	}
	return filepath.Base(args[0]), args
}

func allPids() []int {
	out, err := exec.Command("ps", "-axo", "pid=,command=").Output()
	if err != nil {
		return nil
	}
	var pids []int
	for line := range strings.Lines(string(out)) {
		if !strings.Contains(line, "postgres") {
			continue
		}
		if pid, err := strconv.Atoi(strings.Fields(line)[0]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
