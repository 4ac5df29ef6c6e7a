package demo

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// breaking answers the first calls by closing the connection, as a process does
// that is killed in the middle.
func breaking(t *testing.T, lost int64) (*client, *atomic.Int64) {
	t.Helper()
	calls := &atomic.Int64{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) <= lost {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(server.Close)
	c, err := newClient(server.URL, "", "", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return c, calls
}

func TestALostCommandIsNotRepeated(t *testing.T) {
	t.Parallel()
	c, calls := breaking(t, 1)
	if _, err := c.do(t.Context(), post("/orders", "", nil)); !errors.Is(err, ErrLost) {
		t.Errorf("a command whose answer was lost says %v; want ErrLost", err)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("it was sent %d times; want once", n)
	}
}

func TestWhatMayBeRepeatedIs(t *testing.T) {
	t.Parallel()
	c, calls := breaking(t, 2)
	a, err := c.do(t.Context(), post("/accounts", "", nil).repeatable())
	if err != nil || a.status != http.StatusCreated || !a.lost {
		t.Errorf("%+v, %v; want created, with an earlier answer lost", a, err)
	}
	if n := calls.Load(); n != 3 {
		t.Errorf("it was sent %d times; want 3", n)
	}
}

func TestACommandThatNobodyHeardIsSentAgain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	c, err := newClient("http://"+address, "", "", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		_, err := c.do(t.Context(), post("/orders", "", nil))
		got <- err
	}()
	for c.waited.Load() == 0 { // until it has found nobody there
		if err := sleep(t.Context(), time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	if err := <-got; err != nil {
		t.Errorf("a command sent before the system was there: %v", err)
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	c, _ := breaking(t, 1<<40)
	c.patience = 50 * time.Millisecond
	if _, err := c.do(t.Context(), get("/", "")); err == nil || errors.Is(err, ErrLost) {
		t.Errorf("a system that stays away: %v", err)
	}
}
