package embedded

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is also the program that gets killed: with HELPER set it starts
// one of the servers on HELPER_DIR, prints its address and waits for its end.
func TestMain(m *testing.M) {
	if os.Getenv("HELPER") == "" {
		// In memory, where there is plenty: a dozen initdbs are slow on some disks.
		var shm syscall.Statfs_t
		if os.Getenv("TMPDIR") == "" && syscall.Statfs("/dev/shm", &shm) == nil && shm.Bavail*uint64(shm.Bsize) > 4<<30 {
			os.Setenv("TMPDIR", "/dev/shm")
		}
		os.Exit(m.Run())
	}
	address, err := helper(os.Getenv("HELPER"), os.Getenv("HELPER_DIR"))
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(address)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is gone
}

func helper(kind, dir string) (address string, err error) {
	if kind == "kafka" {
		k, err := StartKafka(KafkaOptions{Dir: dir, Addr: os.Getenv("HELPER_ADDR")})
		if err != nil {
			return "", err
		}
		return k.Addr(), nil
	}
	p, err := StartPostgres(context.Background(), PostgresOptions{Dir: dir, outlive: kind == "outliving postgres"})
	if err != nil {
		return "", err
	}
	return p.URL(), nil
}

// startHelper returns the server's address and a function that kills its process
// with SIGKILL.
func startHelper(t *testing.T, kind, dir string, env ...string) (address string, kill9 func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "HELPER="+kind, "HELPER_DIR="+dir)
	cmd.Env = append(cmd.Env, env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill9 = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		stdin.Close()
	}
	t.Cleanup(kill9)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error:") {
		t.Fatalf("helper %q: %s %v", kind, line, err)
	}
	return strings.TrimSpace(line), kill9
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !met() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
