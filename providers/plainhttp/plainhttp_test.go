package plainhttp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"troupe/providers/plainhttp"
)

// provider answers every request as given, and keeps the last.
type provider struct {
	status  int
	headers map[string]string
	body    string
	hang    chan struct{}

	method, path, key, user, sent string
	requests                      int
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.requests++
	body, _ := io.ReadAll(r.Body)
	p.method, p.path, p.key, p.sent = r.Method, r.URL.String(), r.Header.Get("Idempotency-Key"), string(body)
	p.user, _, _ = r.BasicAuth()
	if p.hang != nil {
		<-p.hang
	}
	for k, v := range p.headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(p.status)
	_, _ = io.WriteString(w, p.body)
}

func serve(t *testing.T, p *provider) *plainhttp.Client {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	client, err := plainhttp.New("tester", strings.Replace(server.URL, "http://", "http://anna:secret@", 1)+"/base/")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func send(ctx context.Context, c *plainhttp.Client) (out struct{ N int }, err error) {
	err = c.Send(ctx, "asking", http.MethodPost, "/things", "the key", map[string]string{"to": "+49170555"}, &out)
	return out, err
}

func TestSend(t *testing.T) {
	t.Parallel()
	p := &provider{status: http.StatusCreated, body: `{"n": 7}`}
	out, err := send(t.Context(), serve(t, p))
	if err != nil || out.N != 7 {
		t.Errorf("%+v, %v", out, err)
	}
	if p.method != "POST" || p.path != "/base/things" || p.key != "the key" || p.user != "anna" || p.sent != `{"to":"+49170555"}` {
		t.Errorf("the provider got %+v", p)
	}
}

func TestWhatAnswersMean(t *testing.T) {
	t.Parallel()
	for status, refused := range map[int]bool{
		400: true, 402: true, 410: true, 413: true, 422: true,
		401: false, 403: false, 404: false, 408: false, 409: false, 425: false, 429: false,
		500: false, 502: false, 503: false, 504: false, 301: false,
	} {
		p := &provider{status: status, headers: map[string]string{"Retry-After": "7", "Location": "/elsewhere"}, body: "you said +49170555"}
		_, err := send(t.Context(), serve(t, p))
		if errors.Is(err, plainhttp.ErrRefused) != refused || !plainhttp.Is(err, status) {
			t.Errorf("%d: %v", status, err)
		}
		answer, ok := errors.AsType[*plainhttp.Error](err)
		if !ok || answer.RetryAfter() != 7*time.Second || answer.Status() != status || p.requests != 1 {
			t.Errorf("%d: %v after %d requests", status, err, p.requests)
		}
	}
}

// A provider that hangs, is not there, or says what nobody understands: tried
// again later. No error says what was sent, or the password.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	gone, err := plainhttp.New("tester", "http://anna:secret@127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	for name, client := range map[string]*plainhttp.Client{
		"hangs":    serve(t, &provider{status: 200, hang: release}),
		"gone":     gone,
		"nonsense": serve(t, &provider{status: 200, body: "<html>+49170555"}),
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := send(ctx, client)
		cancel()
		if err == nil || errors.Is(err, plainhttp.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		} else if text := err.Error(); strings.Contains(text, "secret") || strings.Contains(text, "49170") || !strings.HasPrefix(text, "asking: ") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestRetryAfterAsADate(t *testing.T) {
	t.Parallel()
	p := &provider{status: 429, headers: map[string]string{"Retry-After": time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}
	_, err := send(t.Context(), serve(t, p))
	answer, ok := errors.AsType[*plainhttp.Error](err)
	if !ok || answer.RetryAfter() < 59*time.Minute || answer.RetryAfter() > time.Hour {
		t.Errorf("%v, to be tried again after %v", err, answer.RetryAfter())
	}
}

func TestNewRefusesWhatIsNoURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "carrier", "ftp://carrier", "http://", "http://a b"} {
		if _, err := plainhttp.New("tester", url); err == nil || !strings.Contains(err.Error(), "tester") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
