package acceptance

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The process is killed twice in the middle of a demo and started again on the
// same data: the demo goes on, and everything adds up.
func TestKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	s := up(t)
	args := []string{"demo", "--url", "http://" + s.http, "--sagas", "48", "--seed", fmt.Sprint(time.Now().Unix()), "--patience", "40s", "--wait", "60s"}
	demo := exec.Command(binary, args...)
	var out bytes.Buffer
	demo.Env, demo.Stdout, demo.Stderr = s.env, &out, &out
	demo.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	for _, facts := range []int{40, 110} {
		eventually(t, 40*time.Second, func() error {
			if n := len(get[struct{ Items []struct{} }](t, s, "/events?limit=1000").Items); n < facts {
				return fmt.Errorf("there are %d facts; waiting for %d", n, facts)
			}
			return nil
		})
		select {
		case err := <-ended:
			t.Fatalf("the demo ended before it was disturbed (%v):\n%s", err, tail(out.String(), 3000))
		default:
		}
		s.kill()
		s.start(t)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("troupe %q: %v\n%s", args, err, tail(out.String(), 4000))
		}
	case <-time.After(100 * time.Second):
		_ = demo.Process.Kill()
		t.Fatal("the demo does not end")
	}
	if out, err := s.run("demo", "--verify", "--url", "http://"+s.http); err != nil {
		t.Errorf("troupe demo --verify: %v\n%s", err, out)
	} else {
		t.Logf("\n%s", out)
	}
}

// Two systems side by side, with everything of their own; one keeps its data
// below a folder that only its owner may enter. Stopped in the middle of a
// mail, it goes on where it was.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	private := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	s := up(t, in(filepath.Join(private, "data")))
	t.Run("the other", func(t *testing.T) {
		o := up(t)
		p := o.join(t, "other")
		o.mailState(t, p, "sent")
		q := s.join(t, "here")
		s.mailState(t, q, "sent")
		if n := len(o.mails(t, q.email, "", "")) + len(s.mails(t, p.email, "", "")); n > 0 {
			t.Errorf("%d mails went to the other system", n)
		}
		if a, err := o.try("GET", "/accounts/"+q.id, q.token, nil); err != nil || a.status != 401 {
			t.Errorf("the other system knows the session: %v, %v", a, err)
		}
		o.stop(t)
	})

	slow := s.signUp(t, "slow")
	if n := len(s.mails(t, slow.email, "", "")); n > 0 {
		t.Error("the slow mail is there at once: nothing is shown")
	}
	s.stop(t)
	if info, err := os.Stat(filepath.Join(s.data, "secrets.json")); err == nil && info.Mode().Perm() != 0o600 {
		t.Errorf("the secrets have mode %s; want 0600", info.Mode().Perm())
	}
	s.start(t)
	s.mailState(t, slow, "sent")
	if n := len(s.mails(t, slow.email, "", "succeeded")); n != 1 {
		t.Errorf("over the restart %d mails came; want one", n)
	}
}

// What stands in the way is said in words, at once, with exit code 1; a wrong
// command line has exit code 2.
func TestWhatStandsInTheWay(t *testing.T) {
	t.Parallel()
	s := &system{env: clean()}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"up", "--http", taken.Addr().String(), "--data", t.TempDir()}, 1, "--http"},
		{[]string{"up", "--nonsense"}, 2, "--help"},
		{[]string{"run", "nobody"}, 2, "TROUPE_DATABASE_URL"},
		{[]string{"api"}, 2, "TROUPE_DATABASE_URL"},
		{[]string{"demo", "--data", t.TempDir()}, 2, "TROUPE_STAFF_TOKEN"},
	} {
		out, err := s.run(c.args...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code || !strings.Contains(out, c.says) {
			t.Errorf("troupe %q: %v, %s; want exit code %d and a word about %s", c.args, err, out, c.code, c.says)
		}
	}
}
