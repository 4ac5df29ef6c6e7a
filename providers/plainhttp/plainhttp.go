// Package plainhttp is how the adapters of providers without a protocol of their
// own speak: JSON over HTTP, one request per attempt, under an idempotency key.
// It imports nothing of the project.
package plainhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrRefused is in the error of a request that can never succeed as it is.
var ErrRefused = errors.New("the request was refused")

// callTimeout bounds one request where its context does not.
const callTimeout = 20 * time.Second

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Error is an answer other than yes. It quotes nothing of the answer or of the
// request: those hold personal data.
type Error struct {
	doing      string
	status     int
	retryAfter time.Duration
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: the provider answered %d", e.doing, e.status)
	if e.Unwrap() != nil {
		text += ": " + ErrRefused.Error()
	}
	return text
}

// Unwrap is ErrRefused for the answers that blame the request. 401, 403 and 404
// mean a wrong address or password, a setting of ours; 409 a conflict that the
// caller understands; 408, 425 and 429 another time.
func (e *Error) Unwrap() error {
	later := []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout,
		http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests}
	if e.status >= 400 && e.status < 500 && !slices.Contains(later, e.status) {
		return ErrRefused
	}
	return nil
}

// Status is the HTTP status of the answer.
func (e *Error) Status() int { return e.status }

// RetryAfter is how long the provider asked to wait, 0 when it did not say.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Is tells whether err is an answer of this status.
func Is(err error, status int) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.status == status
}

// Client speaks to one provider. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// New makes a client of the provider at baseURL; a user and password in it are
// sent as HTTP's basic authentication. name says in errors which provider it is.
func New(name, baseURL string) (*Client, error) {
	u, err := url.Parse(baseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("the URL of the %s must be like https://host/path", name)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	transport.MaxIdleConnsPerHost = 16
	transport.IdleConnTimeout = 20 * time.Second
	return &Client{base: strings.TrimSuffix(baseURL, "/"), http: &http.Client{
		Timeout: callTimeout, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Send makes one request. The body in is sent as JSON, nil for none; the answer's
// JSON is read into out, unless that is nil. An answer other than 2xx is an
// *Error. Any other error leaves open whether the provider did what it was asked.
// doing begins the text of errors.
func (c *Client) Send(ctx context.Context, doing, method, path, key string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s: writing the request: %w", doing, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return fmt.Errorf("%s: the request could not be made", doing) // err quotes the URL
	}
	// net/http would silently send a request with a key again when a connection
	// breaks: an attempt without an answer is for the engine to see, and to pace.
	req.GetBody = nil
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if transport, ok := errors.AsType[*url.Error](err); ok {
			err = transport.Err // without the URL, which may hold a password
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return &Error{doing, res.StatusCode, RetryAfter(res.Header.Get("Retry-After"))}
	}
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", doing, err)
	}
	if out != nil && json.Unmarshal(answer, out) != nil {
		return fmt.Errorf("%s: the provider's answer could not be read", doing)
	}
	return nil
}

// RetryAfter reads the two forms of that header, seconds and an HTTP date: how
// long to wait, 0 where it does not say.
func RetryAfter(header string) time.Duration {
	header = strings.TrimSpace(header)
	if seconds, err := strconv.Atoi(header); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
