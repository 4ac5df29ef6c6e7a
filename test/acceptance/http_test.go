package acceptance

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// problem is what every refusal is.
type problem struct {
	Status int
	Title  string
	Errors []struct{ Location string }
}

// badRequests are refused with the right status, and change nothing.
func (s shared) badRequests(t *testing.T) {
	t.Parallel()
	me, other := s.join(t, "me"), s.join(t, "other")
	s.mailState(t, me, "sent")
	s.mailState(t, other, "sent")
	theirs, _ := s.place(t, other, "tok_visa")
	theirPost, theirSaga := s.write(t, other, nil)
	theirFile := s.upload(t, other, "theirs.png", picture(5))
	before := s.traces(t, me)

	order := func(change func(map[string]any)) map[string]any {
		o := orderRequest("tok_visa")
		change(o)
		return o
	}
	line := func(o map[string]any, field string, value any) {
		o["lines"].([]any)[0].(map[string]any)[field] = value
	}
	post := func(change func(map[string]any)) map[string]any {
		p := postRequest([]string{"tag"}, nil)
		change(p)
		return p
	}
	account := map[string]string{"email": s.email("new"), "password": password, "name": "Marker Name"}
	unlike := func(field, value string) map[string]string {
		c := maps.Clone(account)
		c[field] = value
		return c
	}
	large := strings.Repeat("x", 600<<10)

	for _, c := range []struct {
		method, path, bearer string
		body                 any
		status               int
		location             string // of the field, where there is one
	}{
		// Malformed JSON.
		{"POST", "/accounts", "", `{"email":`, 400, ""},
		{"POST", "/sessions", "", `nonsense`, 400, ""},
		{"POST", "/verifications", "", `{`, 400, ""},
		{"POST", "/orders", me.token, `{"lines":[}`, 400, ""},
		{"POST", "/posts", me.token, "\x00", 400, ""},
		{"PUT", "/accounts/" + me.id + "/password", me.token, `{"current"`, 400, ""},
		// Nobody, or a token that is none.
		{"POST", "/orders", "", orderRequest("tok_visa"), 401, ""},
		{"POST", "/orders", "no-token-of-ours", orderRequest("tok_visa"), 401, ""},
		{"POST", "/posts", "", post(func(map[string]any) {}), 401, ""},
		{"POST", "/attachments", "", nil, 401, ""},
		{"DELETE", "/posts/" + theirPost, "", nil, 401, ""},
		{"GET", "/orders/" + theirs, "", nil, 401, ""},
		{"GET", "/accounts/" + me.id, "", nil, 401, ""},
		{"GET", "/events", "", nil, 401, ""},
		{"GET", "/sandbox/mail", "", nil, 401, ""},
		{"POST", "/sessions", "", map[string]string{"email": me.email, "password": "wrong password"}, 401, ""},
		{"POST", "/sessions", "", map[string]string{"email": s.email("nobody"), "password": password}, 401, ""},
		// Not for everybody.
		{"POST", "/orders/" + theirs + "/shipment", other.token, nil, 403, ""},
		{"GET", "/events", me.token, nil, 403, ""},
		{"GET", "/sagas", me.token, nil, 403, ""},
		{"GET", "/sandbox/mail", me.token, nil, 403, ""},
		{"GET", "/sandbox/payments", me.token, nil, 403, ""},
		{"PUT", "/accounts/" + me.id + "/password", me.token, map[string]string{"current": "wrong password", "new": "another password"}, 403, ""},
		// Somebody else's, and nobody's.
		{"GET", "/orders/" + theirs, me.token, nil, 404, ""},
		{"POST", "/orders/" + theirs + "/cancellation", me.token, nil, 404, ""},
		{"DELETE", "/posts/" + theirPost, me.token, nil, 404, ""},
		{"GET", "/accounts/" + other.id, me.token, nil, 404, ""},
		{"GET", "/sagas/" + theirSaga, me.token, nil, 404, ""},
		{"POST", "/accounts/" + other.id + "/verification-mails", me.token, nil, 404, ""},
		{"PUT", "/accounts/" + other.id + "/password", me.token, map[string]string{"current": password, "new": "another password"}, 404, ""},
		{"GET", "/orders/01890000-0000-7000-8000-000000000000", me.token, nil, 404, ""},
		{"POST", "/orders/nonsense/cancellation", me.token, nil, 404, ""},
		{"GET", "/posts/nonsense", "", nil, 404, ""},
		{"GET", "/sagas/nonsense", staff, nil, 404, ""},
		{"POST", "/verifications", "", map[string]string{"token": "nonsense"}, 404, ""},
		{"GET", "/files/blog-post/../../secrets.json", "", nil, 404, ""},
		{"GET", "/nothing/here", "", nil, 404, ""},
		// Against a rule.
		{"POST", "/accounts", "", unlike("email", me.email), 409, ""},
		{"POST", "/accounts", "", unlike("email", "  "+strings.ToUpper(me.email)+" "), 409, ""},
		// Too much.
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["contents"] = []any{map[string]string{"text": large}} }), 413, ""},
		{"POST", "/orders", me.token, order(func(o map[string]any) { o["cardToken"] = large + large }), 413, ""},
		// A wrong type, rule or unknown field.
		{"POST", "/accounts", "", unlike("email", "no address"), 422, "body.email"},
		{"POST", "/accounts", "", unlike("password", "short"), 422, "body.password"},
		{"POST", "/accounts", "", unlike("password", strings.Repeat("long", 20)), 422, "body.password"},
		{"POST", "/accounts", "", unlike("name", ""), 422, "body.name"},
		{"POST", "/accounts", "", unlike("role", "staff"), 422, "body.role"},
		{"POST", "/accounts", "", map[string]any{"email": 7, "password": password, "name": "N"}, 422, "body.email"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "quantity", 0) }), 422, "body.lines[0].quantity"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "quantity", 1000) }), 422, "body.lines[0].quantity"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "quantity", "2") }), 422, "body.lines[0].quantity"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "quantity", 1.5) }), 422, "body.lines[0].quantity"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "unitPrice", money{1, "USD"}) }), 422, "body.lines[1].unitPrice.currency"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "unitPrice", money{-1, "EUR"}) }), 422, "body.lines[0].unitPrice.amount"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { line(o, "free", true) }), 422, "body.lines[0].free"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { o["lines"] = []any{} }), 422, "body.lines"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { o["total"] = money{1, "EUR"} }), 422, "body.total"},
		{"POST", "/orders", me.token, order(func(o map[string]any) { o["cardToken"] = "" }), 422, "body.cardToken"},
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["title"] = " " }), 422, "body.title"},
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["contents"] = []any{"text"} }), 422, "body.contents[0]"},
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["fileUrls"] = []string{theirFile} }), 422, "body.fileUrls[0]"},
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["fileUrls"] = []string{"/files/temp/nonsense"} }), 422, "body.fileUrls[0]"},
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["tagNames"] = []string{"fine", " "} }), 422, "body.tagNames[1]"},
		{"POST", "/posts", me.token, post(func(p map[string]any) { p["tagNames"] = "fine" }), 422, "body.tagNames"},
	} {
		a, err := s.try(c.method, c.path, c.bearer, c.body)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, c.path, err)
		}
		s.isProblem(t, c.method+" "+c.path, a, c.status, c.location)
	}
	a, err := s.tryUpload(me.token, "file", "page.png", []byte("<html><script>alert(1)</script></html>"))
	if err != nil {
		t.Fatal(err)
	}
	s.isProblem(t, "uploading HTML", a, 422, "body.file")
	if a, err = s.tryUpload(me.token, "other", "one.png", picture(4)); err != nil {
		t.Fatal(err)
	}
	s.isProblem(t, "uploading in another field", a, 422, "body.other")
	if after := s.traces(t, me); after != before {
		t.Errorf("refused requests left something: %d facts and rows of the account; before %d", after, before)
	}
}

func (s shared) isProblem(t *testing.T, what string, a *answer, status int, location string) {
	t.Helper()
	var p problem
	if err := json.Unmarshal(a.body, &p); err != nil || a.status != status || p.Status != status || p.Title == "" ||
		!strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
		t.Errorf("%s answers %s (%s); want a problem with %d", what, a, a.header.Get("Content-Type"), status)
		return
	}
	if bytes.Contains(a.body, []byte(password)) {
		t.Errorf("%s answers with the password: %s", what, a)
	}
	if a.header.Get("Troupe-Event") != "" {
		t.Errorf("%s was refused and names an event", what)
	}
	if location == "" {
		return
	}
	for _, e := range p.Errors {
		if e.Location == location {
			return
		}
	}
	t.Errorf("%s answers %s; want an error at %s", what, a, location)
}

// traces counts what stands of an account in facts and rows.
func (s shared) traces(t *testing.T, p person) int {
	t.Helper()
	return s.count(t, `select
		(select count(*) from choreo.event_log where strpos(convert_from(data, 'UTF8'), $1) > 0) +
		(select count(*) from choreo.outbox where strpos(convert_from(data, 'UTF8'), $1) > 0) +
		(select count(*) from orders where account_id = $1) + (select count(*) from buyers where account_id = $1) +
		(select count(*) from blog_posts where author_id = $1) + (select count(*) from attachments where owner_id = $1)`, p.id)
}
