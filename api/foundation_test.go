package api_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"troupe/api"
	"troupe/choreo/choreotest"
)

func TestEveryRefusalIsAProblem(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.do("GET", "/no/such/path", "", nil).is(404)
	r.do("GET", "/", "", nil).is(404)
	got := r.do("PATCH", "/accounts", "", `{}`).is(405)
	if allow := got.header.Get("Allow"); allow != "POST" {
		t.Errorf("Allow: %q", allow)
	}
	got = r.do("GET", "/accounts/x", "", nil).is(401)
	if got.header.Get("WWW-Authenticate") == "" {
		t.Error("a 401 without WWW-Authenticate")
	}
	got = r.do("POST", "/sessions", "", map[string]string{"email": "a@b.example", "password": "x"}).is(401)
	if got.header.Get("WWW-Authenticate") == "" {
		t.Error("a 401 of a sign-in without WWW-Authenticate")
	}
	for _, path := range []string{"/accounts/%00", "/accounts/%ff"} {
		r.do("GET", path, staffToken, nil).is(422)
	}
	if got := r.do("GET", "/healthz", "", nil).is(200); got.header.Get("X-Content-Type-Options") != "nosniff" ||
		got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers: %v", got.header)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	r := start(t)
	post := func(contentType, body string) *reply {
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/verifications", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		return r.send(req)
	}
	body := `{"token": "made up"}`
	for _, kind := range []string{"", "application/json", "Application/JSON; charset=utf-8"} {
		post(kind, body).is(404)
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "application/cbor", "x;;", "multipart/form-data; boundary=x"} {
		post(kind, body).is(415)
	}
	post("application/json", `{"token": "`+strings.Repeat("x", 1<<20)+`"}`).is(413)
	post("application/json", strings.Repeat("[", 1<<19)).is(400)
}

func TestABodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	r := start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request := "POST /verifications HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := conn.Read(answer); err != nil || string(answer) != "HTTP/1.1 400" {
		t.Errorf("answered %q, %v", answer, err)
	}
}

func TestReady(t *testing.T) {
	t.Parallel()
	var missing error
	r := start(t, func(o *api.Options) { o.Ready = func(context.Context) error { return missing } })
	r.do("GET", "/readyz", "", nil).is(200)
	missing = errors.Join(errors.New("the broker does not answer"), errors.New("create-tags has not joined"))
	got := r.do("GET", "/readyz", "", nil).is(503)
	for _, what := range []string{"broker", "create-tags"} {
		if !strings.Contains(string(got.body), what) {
			t.Errorf("%s is not named: %s", what, got.body)
		}
	}
	r.do("GET", "/healthz", "", nil).is(200)
}

func TestAPanicIsLoggedAndNotTold(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) { o.Ready = func(context.Context) error { panic("the secret of the house") } })
	got := r.do("GET", "/readyz", "", nil).is(500)
	if strings.Contains(string(got.body), "secret") {
		t.Errorf("the panic is told: %s", got.body)
	}
	if !strings.Contains(r.logs.String(), "the secret of the house") {
		t.Error("the panic is not logged")
	}
}

func TestADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	r := start(t)
	_ = r.db.Pool().Close()
	for _, c := range []struct{ method, path string }{{"GET", "/accounts/x"}, {"POST", "/sessions"}} {
		got := r.do(c.method, c.path, "a token", map[string]string{"email": "ana@example.com", "password": "x"})
		if got.status < 500 || strings.Contains(string(got.body), "sql") {
			t.Errorf("%s %s: %d %s", c.method, c.path, got.status, got.body)
		}
		got.is(got.status)
	}
}

func TestTraceContextReachesTheFacts(t *testing.T) {
	t.Parallel()
	r := start(t)
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, given := range []string{trace, "not a trace\tparent"} {
		body := `{"email": "` + given[:2] + `@example.com", "password": "correct horse", "name": "Ana"}`
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/accounts", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("traceparent", given)
		r.send(req).is(201)
	}
	kept := choreotest.Column[string](t, r.db.Pool(), `select traceparent from choreo.outbox order by id`)
	if !slices.Equal(kept, []string{trace, ""}) {
		t.Errorf("kept %q", kept)
	}
}

func TestSandboxIsForStaff(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) {
		o.Sandbox = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })
	})
	r.do("GET", "/sandbox/mail", "", nil).is(401)
	_, token := r.signedIn("ana@example.com")
	r.do("GET", "/sandbox/mail", token, nil).is(403)
	if got := r.do("GET", "/sandbox/mail", staffToken, nil).is(200); string(got.body) != "/sandbox/mail" {
		t.Errorf("the sandbox saw %s", got.body)
	}
	start(t).do("GET", "/sandbox/mail", staffToken, nil).is(404)
}

func TestNoStaffWithoutAToken(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) { o.StaffToken = "" })
	for _, token := range []string{"", " ", "x"} {
		r.do("GET", "/events", token, nil).is(401)
	}
}

func TestTheDescription(t *testing.T) {
	t.Parallel()
	r := start(t)
	var d struct {
		OpenAPI string
		Paths   map[string]any
	}
	r.do("GET", "/openapi.json", "", nil).is(200).into(&d)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", d.OpenAPI)
	}
	for _, path := range []string{"/accounts", "/sessions", "/accounts/{id}/verification-mails", "/verifications",
		"/accounts/{id}/password", "/accounts/{id}", "/events", "/sagas", "/sagas/{id}", "/healthz", "/readyz"} {
		if d.Paths[path] == nil {
			t.Errorf("%s is not described", path)
		}
	}
	r.do("GET", "/docs", "", nil).is(200)
}
