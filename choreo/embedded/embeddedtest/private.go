package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"troupe/choreo/embedded"
)

// leash is the watchdog's stdin. It is kept because the garbage collector would
// close it, and so end the server.
var leash io.WriteCloser //nolint:unused // to be held is its use

// startPrivate starts the server of this test binary. A test binary may end at
// any point and without running anything of ours (os.Exit, a panic, -timeout,
// kill -9), so a shell is told to clean up once it sees our end of a pipe
// closed. The server itself is ended by the kernel where it can do that.
func startPrivate() (url string, err error) {
	dir, err := os.MkdirTemp(tempDir(), "troupe-test-")
	if err != nil {
		return "", err
	}
	if err := startWatchdog(dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience) // it may have to be fetched
	defer cancel()
	p, err := embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: dir, Fast: true, MaxConnections: 400})
	if err != nil {
		return "", err
	}
	return p.URL(), nil
}

// tempDir is in memory where there is plenty: making the server and each database
// is about three times as fast there. TMPDIR, when set, is heeded.
func tempDir() string {
	const shm, plenty = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if os.Getenv("TMPDIR") == "" && syscall.Statfs(shm, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= plenty {
		return shm
	}
	return ""
}

// The file is there only while the server is.
const watchdog = `cat >/dev/null
for i in $(seq 500); do
	pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null || break
	sleep 0.02
done
rm -rf -- "$1"`

func startWatchdog(dir string) error {
	cmd := exec.Command("sh", "-c", watchdog, "sh", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // not ended by our Ctrl-C
	// It prints nothing, but go test waits for all who hold its output.
	cmd.Stdout = os.Stdout
	var err error
	if leash, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the watchdog of the tests' Postgres: %w", err)
	}
	return nil
}
