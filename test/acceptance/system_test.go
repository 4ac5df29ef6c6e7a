package acceptance

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const staff = "staff-token-of-the-tests"

// system is one `troupe up`, which may be stopped, killed and started again on
// the same data.
type system struct {
	data    string
	http    string // host:port
	kafka   string // host:port that clients bootstrap from
	prefix  string // of topics and groups
	env     []string
	args    []string
	logFile string
	tag     string // in every e-mail address

	mu    sync.Mutex
	sagas map[string]string   // by id, the test that started or joined it
	known map[string][]string // by test, the events that it has seen last
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process is gone
}

// option changes a system before it starts.
type option func(*system)

// onDatabase uses a database instead of a Postgres of its own.
func onDatabase(url string) option {
	return func(s *system) { s.env = append(s.env, "TROUPE_DATABASE_URL="+url) }
}

// onBroker uses a Kafka instead of a broker of its own.
func onBroker(address string) option {
	return func(s *system) {
		s.kafka = address
		s.env = append(s.env, "TROUPE_KAFKA_BROKERS="+address)
	}
}

// with sets a variable of the environment.
func with(name, value string) option {
	return func(s *system) { s.env = append(s.env, name+"="+value) }
}

// in keeps the data in a folder that is made for it.
func in(dir string) option { return func(s *system) { s.data = dir } }

// up starts a system and returns when it is ready.
func up(t *testing.T, options ...option) *system {
	t.Helper()
	s := &system{
		data: filepath.Join(t.TempDir(), "data"), http: freeAddress(t), kafka: freeAddress(t),
		prefix: "acc-" + token() + "-", tag: token(),
		env: append(clean(), "TROUPE_STAFF_TOKEN="+staff),
	}
	for _, o := range options {
		o(s)
	}
	s.env = append(s.env, "TROUPE_PREFIX="+s.prefix)
	s.args = []string{"up", "--http", s.http, "--data", s.data}
	if realOnes != "" {
		onBroker(realOnes)(s)
	} else {
		s.args = append(s.args, "--kafka", s.kafka)
	}
	s.logFile = filepath.Join(t.TempDir(), "log")
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the log of the system on %s ends with:\n%s", s.http, tail(s.log(t), 3000))
		}
	})
	s.start(t)
	return s
}

// start starts the process and waits until it is ready.
func (s *system) start(t *testing.T) {
	t.Helper()
	log, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(binary, s.args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = s.env, log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.ended = cmd, ended
	s.mu.Unlock()
	go func() {
		_ = cmd.Wait() // its state is looked at where it matters
		close(ended)
	}()
	eventually(t, 60*time.Second, func() error {
		select {
		case <-ended:
			t.Fatalf("troupe up ended by itself (%s):\n%s", cmd.ProcessState, tail(s.log(t), 3000))
		default:
		}
		res, err := http.Get("http://" + s.http + "/readyz")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz answers %s", res.Status)
		}
		return nil
	})
}

// kill ends the process as kill -9 does.
func (s *system) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.ended
}

// stop asks the process to end, and wants it to within 5 s and with exit code 0.
func (s *system) stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("SIGTERM does not end it within 20 s")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s; want at most 5 s", took)
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("after SIGTERM the exit code is %d; want 0", code)
	}
}

// alive tells whether the process is the one that was started.
func (s *system) alive() error {
	select {
	case <-s.ended:
		return errors.New("the process has ended")
	default:
		return nil
	}
}

// log is what the process has written to both of its outputs.
func (s *system) log(t *testing.T) string {
	t.Helper()
	body, err := os.ReadFile(s.logFile)
	if err != nil {
		t.Log(err)
	}
	return string(body)
}

// run runs a command of the binary against this system.
func (s *system) run(args ...string) (string, error) {
	cmd := exec.Command(binary, args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func token() string { return strings.ToLower(rand.Text()[:8]) }

// tail is the end of a log, without what is said of each request.
func tail(s string, n int) string {
	lines := strings.Split(s, "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "level=DEBUG") })
	s = strings.Join(lines, "\n")
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
