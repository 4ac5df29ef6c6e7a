package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dataDir is the path of a server's data directory.
type dataDir string

// ensureData makes the data directory unless it is there. It is made beside its
// place and renamed, so that one that is there is whole.
func ensureData(ctx context.Context, path string, o PostgresOptions, bin binaries, as account) (dataDir, error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return dataDir(path), err
	}
	fresh := dataDir(path + ".new")
	if err := os.RemoveAll(string(fresh)); err != nil {
		return "", err
	}
	if err := os.Mkdir(string(fresh), 0o700); err != nil {
		return "", err
	}
	if err := as.own(string(fresh)); err != nil {
		return "", err
	}
	password, err := os.Open(filepath.Join(o.Dir, "password"))
	if err != nil {
		return "", err
	}
	defer func() { _ = password.Close() }()
	cmd, closeFiles, err := fresh.command(as, bin.initdb, "-D")
	if err != nil {
		return "", err
	}
	defer closeFiles()
	cmd.Args = append(cmd.Args, "--username="+database, "--auth=scram-sha-256", "--pwfile="+as.pathOf(cmd, password),
		"--locale=C", "--encoding=UTF8", "--no-instructions",
		"--no-sync") // half of its time; for the half minute until the kernel has written it, there is little to lose
	dieWithParent(cmd.SysProcAttr)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	p, err := start(cmd)
	if err != nil {
		return "", err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.signal(syscall.SIGTERM)
		<-p.done
		return "", fmt.Errorf("initdb: %w", ctx.Err())
	}
	if !p.cmd.ProcessState.Success() {
		return "", fmt.Errorf("initdb (%s): %s:\n%s", bin.initdb, p.state(), strings.TrimSpace(out.String()))
	}
	return dataDir(path), os.Rename(string(fresh), path)
}

// command prepares a program that is told this directory by flag, runs as the
// account, and is out of reach of the terminal's Ctrl-C.
func (d dataDir) command(as account, program, flag string) (_ *exec.Cmd, closeFiles func(), err error) {
	dir, err := os.Open(string(d))
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program)
	cmd.Args = append(cmd.Args, flag, as.pathOf(cmd, dir))
	// Not our environment: PGDATA, PGPORT or a secret of ours has no place there.
	// TZ spares initdb a search through all time zones.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.Dir = "/" // ours may be closed to the account
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: as.credential()}
	return cmd, func() { _ = dir.Close() }, nil
}

// pidFile reads what the server notes about itself: its pid and "starting",
// "stopping", "ready" or "standby". It is 0 and "" when there is no such file.
func (d dataDir) pidFile() (pid int, state string) {
	lines := d.notes()
	pid, _ = strconv.Atoi(lines[0])
	if len(lines) > 7 {
		state = lines[7]
	}
	return pid, state
}

// port is where the server listens that is ready.
func (d dataDir) port() (port int) {
	if lines := d.notes(); len(lines) > 3 {
		port, _ = strconv.Atoi(lines[3])
	}
	return port
}

func (d dataDir) notes() []string {
	b, _ := os.ReadFile(filepath.Join(string(d), "postmaster.pid"))
	lines := strings.Split(string(b), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return lines
}

// mark is the cluster_name of a server on this directory. Postgres shows it in
// the command line of each of its processes, where anybody may read it; reading
// a process's working directory instead takes a capability when it runs as
// another user, which root in a container has not. It is made of the inode, not
// of something stored, so that a copy of the directory has another.
func (d dataDir) mark() string {
	var st syscall.Stat_t
	if err := syscall.Stat(string(d), &st); err != nil {
		return "troupe"
	}
	return fmt.Sprintf("troupe-%x-%x", st.Dev, st.Ino)
}

// serves says whether the process is a Postgres on this directory, started by us
// or by hand.
func (d dataDir) serves(pid int) bool {
	name, args := commandOf(pid)
	if name != "postgres" {
		return false
	}
	if mark := d.mark(); slices.ContainsFunc(args, func(arg string) bool {
		return arg == "cluster_name="+mark || strings.HasPrefix(arg, "postgres: "+mark+": ")
	}) {
		return true
	}
	here, err := os.Stat(string(d))
	if err != nil {
		return false
	}
	there, err := os.Stat(fmt.Sprintf("/proc/%d/cwd", pid))
	return err == nil && os.SameFile(here, there)
}

func (d dataDir) servers() []int {
	return slices.DeleteFunc(allPids(), func(pid int) bool { return !d.serves(pid) })
}

// endLeftovers ends the server of a run that was killed, and processes of it that
// outlived even their postmaster; both would keep a new server from starting. We
// hold the directory's lock, so no live run of ours needs them. It never signals
// a process that is not a Postgres on this very directory.
func (d dataDir) endLeftovers(ctx context.Context, log *slog.Logger) error {
	left := d.servers()
	if len(left) > 0 {
		log.Warn("ending the Postgres that a killed run left behind", "dir", string(d), "pids", left)
	}
	for _, attempt := range []struct {
		sig  syscall.Signal
		wait time.Duration
	}{{syscall.SIGINT, 20 * time.Second}, {syscall.SIGQUIT, 10 * time.Second}} {
		if len(left) == 0 {
			break
		}
		sig := attempt.sig
		if main, _ := d.pidFile(); slices.Contains(left, main) {
			left = []int{main} // its children are its own affair
		} else {
			sig = syscall.SIGQUIT // to them, SIGINT cancels a query
		}
		for _, pid := range left {
			d.signal(pid, sig)
		}
		var err error
		if left, err = d.awaitNone(ctx, attempt.wait); err != nil {
			return fmt.Errorf("waiting for the Postgres of a killed run to end (pids %v): %w", left, err)
		}
	}
	if len(left) > 0 {
		if err := d.killAll(); err != nil {
			return err
		}
	}
	// Whatever process has the pid in it now is a stranger, who must not keep
	// Postgres from starting.
	if err := os.Remove(filepath.Join(string(d), "postmaster.pid")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the stale pid file: %w", err)
	}
	return nil
}

// signal signals the process if it is (still) one of ours: the handle is taken
// before looking, so that a pid given to a stranger in between is not hit.
func (d dataDir) signal(pid int, sig syscall.Signal) {
	handle, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer func() { _ = handle.Release() }()
	if d.serves(pid) {
		_ = handle.Signal(sig)
		_ = handle.Signal(syscall.SIGCONT) // a stopped one would never hear it
	}
}

func (d dataDir) awaitNone(ctx context.Context, atMost time.Duration) (left []int, err error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(atMost)
	for {
		if left = d.servers(); len(left) == 0 {
			return nil, nil
		}
		select {
		case <-tick.C:
		case <-deadline:
			return left, nil
		case <-ctx.Done():
			return left, ctx.Err()
		}
	}
}

// killAll is for a server that heeds nothing else. It recovers at its next start.
func (d dataDir) killAll() error {
	for _, pid := range d.servers() {
		d.signal(pid, syscall.SIGKILL)
	}
	left, err := d.awaitNone(context.Background(), 5*time.Second)
	if len(left) > 0 {
		return fmt.Errorf("postgres processes %v on %s do not end, even when killed", left, d)
	}
	return err
}

// account is the user that the server runs as. Postgres refuses to be root.
type account struct {
	uid, gid uint32
	dropped  bool // we are root, and it is not
}

// accountFor chooses the owner of the data, else, when we are root, an account
// that may do little.
func accountFor(data string) (account, error) {
	if os.Getuid() != 0 {
		return account{}, nil
	}
	var st syscall.Stat_t
	if err := syscall.Stat(data, &st); err == nil {
		if st.Uid == 0 {
			return account{}, fmt.Errorf("%s belongs to root, as which Postgres does not run: chown -R it to another user", data)
		}
		return account{st.Uid, st.Gid, true}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			if err1 == nil && err2 == nil {
				return account{uint32(uid), uint32(gid), true}, nil
			}
		}
	}
	return account{65534, 65534, true}, nil
}

func (a account) own(path string) error {
	if !a.dropped {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

func (a account) credential() *syscall.Credential {
	if !a.dropped {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid} // and no supplementary group
}

// pathOf is a path by which the command reaches a file that we have open, and
// the account owns, wherever it lies. Its folders may be closed to the account
// (mode 0700 of root), so the command inherits the descriptor and goes through
// /proc/self/fd: the kernel follows that link to the open file without walking
// the folders, Postgres changes into it and uses relative paths from then on. It
// opens that one directory and nothing else. The other way, the capability
// CAP_DAC_READ_SEARCH, would let every SQL superuser read every file of the
// machine, and needs a container that grants it. The children that Postgres and
// initdb fork inherit the descriptor too.
func (a account) pathOf(cmd *exec.Cmd, f *os.File) string {
	if !a.dropped || runtime.GOOS != "linux" {
		return f.Name()
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	return fmt.Sprintf("/proc/self/fd/%d", 2+len(cmd.ExtraFiles))
}

// openLog opens the server's log to append, putting a big one aside first.
func openLog(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Size() > 16<<20 {
		if err := os.Rename(path, path+".old"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// logTail is the log's last lines, for a message.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > 2000 {
		_, _ = f.Seek(-2000, 2)
	}
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return strings.Join(lines[max(0, len(lines)-8):], "\n")
}
