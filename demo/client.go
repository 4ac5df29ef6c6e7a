package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// ErrLost is a command whose answer was lost: it may have been done or not.
var ErrLost = errors.New("the answer was lost")

// client talks to the API as a careful client does: it waits out an absence of
// the system, and repeats only what cannot be done twice.
type client struct {
	base     *url.URL
	sandbox  *url.URL // where it runs; in `troupe up` behind the API
	http     *http.Client
	staff    string        // bearer token
	patience time.Duration // with a system that is away
	waited   atomic.Int64  // requests that were tried again
}

func newClient(base, sandbox, staff string, patience time.Duration) (*client, error) {
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	s := u
	if sandbox != "" {
		if s, err = parseBase(sandbox); err != nil {
			return nil, err
		}
	}
	return &client{
		base: u, sandbox: s, staff: staff, patience: patience,
		http: &http.Client{
			Timeout:   20 * time.Second,
			Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
		},
	}, nil
}

func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL such as http://127.0.0.1:8080", base)
	}
	return u, nil
}

// request is one call. Again tells that doing it twice is doing it once, so it
// is repeated when its answer is lost.
type request struct {
	method, path string
	token        string
	contentType  string
	body         []byte
	again        bool
	key          string // Idempotency-Key; empty: none
}

func get(path, token string) request {
	return request{method: http.MethodGet, path: path, token: token, again: true}
}

func post(path, token string, body any) request {
	r := request{method: http.MethodPost, path: path, token: token, contentType: "application/json"}
	if body != nil {
		r.body, _ = json.Marshal(body) //nolint:errchkjson // our own structs, and maps of strings and those
	}
	return r
}

// put sends something that is the same however often it is sent.
func put(path, token string, body any) request {
	r := post(path, token, body).keyed()
	r.method = http.MethodPut
	return r
}

// keyed makes a request one that is done once however often it is sent.
func (r request) keyed() request {
	r.key, r.again = rand.Text(), true
	return r
}

// repeatable marks a request that may be repeated.
func (r request) repeatable() request {
	r.again = true
	return r
}

// answer is what came back; lost tells that an earlier try of it was lost.
type answer struct {
	status int
	header http.Header
	body   []byte
	lost   bool
}

// into reads the body of an answer that has one of the statuses.
func (a *answer) into(out any, statuses ...int) error {
	for _, s := range statuses {
		if a.status != s {
			continue
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(a.body, out); err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		return nil
	}
	return fmt.Errorf("answered %d: %s", a.status, bytes.TrimSpace(a.body[:min(len(a.body), 300)]))
}

// do makes the call. While the system is away it tries again, up to the
// client's patience. The error is ErrLost where the call went out, nothing came
// back, and it may not be repeated.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	var since time.Time
	lost, pause := false, 50*time.Millisecond
	for {
		a, err := c.once(ctx, r)
		if err == nil && a.status < http.StatusInternalServerError && a.status != http.StatusTooManyRequests {
			a.lost = lost
			return a, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if arrived := err == nil && a.status >= 500 || err != nil && !neverSent(err); arrived {
			if lost = true; !r.again {
				return nil, fmt.Errorf("%s %s: %w", r.method, r.path, ErrLost)
			}
		}
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) > c.patience {
			if err == nil {
				err = fmt.Errorf("it answers %d", a.status)
			}
			return nil, fmt.Errorf("%s %s failed for %s: %w", r.method, r.path, c.patience, err)
		}
		c.waited.Add(1)
		wait := pause
		if err == nil {
			wait = max(wait, retryAfter(a.header))
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		pause = min(2*pause, time.Second)
	}
}

func (c *client) once(ctx context.Context, r request) (*answer, error) {
	base := c.base
	if strings.HasPrefix(r.path, "/sandbox/") {
		base = c.sandbox
	}
	target, err := base.Parse(r.path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err != nil {
		return nil, err
	}
	return &answer{status: res.StatusCode, header: res.Header, body: body}, nil
}

// neverSent tells whether nobody was there to hear the call.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 10)) * time.Second
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
