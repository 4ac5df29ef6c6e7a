package api_test

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"troupe/api"
)

func rate(t *testing.T, text string) api.Rate {
	t.Helper()
	r, err := api.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	r.Loopback = true
	return r
}

func TestParseRate(t *testing.T) {
	t.Parallel()
	if r, err := api.ParseRate("10/1m30s"); err != nil || r != (api.Rate{Times: 10, Per: 90 * time.Second}) {
		t.Errorf("%v, %v", r, err)
	}
	for _, off := range []string{"off", "0"} {
		if r, err := api.ParseRate(off); err != nil || r.Times != 0 {
			t.Errorf("%s: %v, %v", off, r, err)
		}
	}
	for _, bad := range []string{"", "10", "10/", "/1m", "-1/1m", "0/1m", "10/0s", "10/-1m", "x/y"} {
		if _, err := api.ParseRate(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// isTooMany checks that an answer says when to come again.
func (p *reply) isTooMany() {
	p.t.Helper()
	seconds, err := strconv.Atoi(p.is(http.StatusTooManyRequests).header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 3600 {
		p.t.Errorf("Retry-After: %q", p.header.Get("Retry-After"))
	}
}

func TestRatesOfSignUpSignInAndSendAgain(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) {
		o.Rates = api.Rates{SignUp: rate(t, "2/1h"), SignIn: rate(t, "3/1h"), SendAgain: rate(t, "1/1h")}
	})
	up := func(email string) *reply {
		return r.do("POST", "/accounts", "", map[string]string{"email": email, "password": "correct horse", "name": "Ana"})
	}
	up("ana@example.com").is(201)
	up("ana@example.com").is(409) // a refusal counts too
	up("bob@example.com").isTooMany()
	in := func(password string) *reply {
		return r.do("POST", "/sessions", "", map[string]string{"email": "ana@example.com", "password": password})
	}
	in("correct horse").is(201)
	in("wrong horse").is(401)
	in("wrong horse").is(401)
	in("correct horse").isTooMany()

	id, token := r.signedIn("eve@example.com")
	other, others := r.signedIn("bob@example.com")
	again := func(id, token string) *reply { return r.do("POST", "/accounts/"+id+"/verification-mails", token, nil) }
	again(id, token).is(202)
	again(id, token).isTooMany()
	again(other, others).is(202) // each account has its own share
	r.do("GET", "/accounts/"+id, token, nil).is(200)
}

func TestRatesLetLoopbackPassUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	bounded := rate(t, "1/1h")
	bounded.Loopback = false
	r := start(t, func(o *api.Options) {
		o.Rates = api.Rates{SignIn: bounded, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	})
	in := func(forwarded string) *reply {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/sessions", strings.NewReader(`{"email":"a@b.example","password":"x"}`))
		if err != nil {
			t.Fatal(err)
		}
		if forwarded != "" {
			req.Header.Set("X-Forwarded-For", forwarded)
		}
		return r.send(req)
	}
	for range 3 {
		in("").is(401)
	}
	in("192.0.2.1").is(401)
	in("192.0.2.1").isTooMany()
	in("198.51.100.7, 192.0.2.1").isTooMany() // what a client wrote itself is not believed
	in("192.0.2.2, 127.0.0.9").is(401)
	in("2001:db8::1").is(401)
	in("2001:db8::2").isTooMany() // one client owns a /64
	in("2001:db8:0:1::2").is(401)
}

func TestARateComesBackWithTime(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) { o.Rates = api.Rates{SignIn: rate(t, "1/300ms")} })
	in := func() int {
		return r.do("POST", "/sessions", "", map[string]string{"email": "a@b.example", "password": "x"}).status
	}
	deadline := time.Now().Add(10 * time.Second)
	for got := []int{in()}; len(got) <= 1 || got[len(got)-1] != 401; got = append(got, in()) {
		if time.Now().After(deadline) {
			t.Fatalf("statuses %v", got)
		}
	}
}
