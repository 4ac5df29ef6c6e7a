package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"troupe/api"
	"troupe/choreo/choreotest"
)

// stream opens the stream of events, and gives its lines.
func (r *rig) stream(query, last string) *bufio.Scanner {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url+"/events/stream"+query, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+staffToken)
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = res.Body.Close() })
	if kind := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || kind != "text/event-stream" {
		r.t.Fatalf("status %d, %s", res.StatusCode, kind)
	}
	return bufio.NewScanner(res.Body)
}

// next reads lines up to the next with data, and gives the id before it.
func next(t *testing.T, lines *bufio.Scanner) (id string, e struct {
	Position  int64
	Key, Type string
}) {
	t.Helper()
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			id = text
		}
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			return id, e
		}
	}
	t.Fatalf("the stream ended: %v", lines.Err())
	return id, e
}

func TestStreamOfEvents(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) { o.Heartbeat = 50 * time.Millisecond })
	ana, token := r.signedIn("ana@example.com")
	r.sequence()
	lines := r.stream("?topic=accounts", "")
	id, e := next(t, lines)
	if id != "1" || e.Position != 1 || e.Key != ana || e.Type != "accounts.AccountRegistered.v1" {
		t.Errorf("first comes %s %+v", id, e)
	}
	for beats := 0; beats < 2 && lines.Scan(); {
		if lines.Text() == ": heartbeat" {
			beats++
		}
	}
	r.do("PUT", "/accounts/"+ana+"/password", token, map[string]string{"current": "correct horse", "new": "battery staple"}).is(200)
	r.sequence()
	if id, e := next(t, lines); id != "2" || e.Type != "accounts.PasswordChanged.v1" {
		t.Errorf("then comes %s %+v", id, e)
	}

	// A client that comes again goes on behind what it has.
	if _, e := next(t, r.stream("", "1")); e.Position != 2 {
		t.Errorf("after 1 comes %+v", e)
	}
	if _, e := next(t, r.stream("?after=1", "")); e.Position != 2 {
		t.Errorf("after 1 comes %+v", e)
	}
	req, _ := http.NewRequest(http.MethodGet, r.url+"/events/stream", nil)
	req.Header.Set("Last-Event-ID", "the first")
	req.Header.Set("Authorization", "Bearer "+staffToken)
	r.send(req).is(http.StatusUnprocessableEntity)
	r.do("GET", "/events/stream", token, nil).is(http.StatusForbidden)
	r.do("GET", "/events/stream", "", nil).is(http.StatusUnauthorized)
}

// A client that does not read holds up nobody, and is dropped.
func TestASlowStreamIsDropped(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) { o.Patience = 200 * time.Millisecond })
	for position := range int64(6) {
		r.logged(position+1, 5<<20) // more than the buffers between us hold
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /events/stream HTTP/1.1\r\nHost: troupe\r\nAuthorization: Bearer %s\r\n\r\n", staffToken)
	choreotest.Eventually(t, "the server gives it up", func() bool {
		return strings.Contains(r.logs.String(), "a stream of events has ended")
	})
	_ = conn.SetReadDeadline(time.Now().Add(choreotest.Patience))
	if n, err := io.Copy(io.Discard, conn); n >= 6*5<<20 || err != nil && strings.Contains(err.Error(), "timeout") {
		t.Errorf("it is still served: %d bytes, %v", n, err)
	}
}

func TestShutdownEndsStreams(t *testing.T) {
	t.Parallel()
	r := start(t)
	lines := r.stream("", "")
	if err := r.api.HTTPServer().Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to its end
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
}
