package api_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"troupe/api"
	"troupe/events"
)

// again is a command that is given twice.
type again struct {
	operation string // method and path in the description
	give      func(r *rig) *reply
}

// stage is somebody with one thing of each kind, to be commanded.
type keyStage struct {
	id, token, member string
	order, confirmed  string
	post, project     string
	rental            string
}

func setStage(r *rig) *keyStage {
	s := &keyStage{}
	s.id, s.token = r.signedIn("ana@example.com")
	s.member, _ = r.signedIn("bob@example.com")
	s.order, _ = r.placed(s.token)
	s.confirmed, _ = r.placed(s.token)
	if _, err := r.db.Pool().Exec(`update orders set state = 'confirmed' where order_id = $1`, s.confirmed); err != nil {
		r.t.Fatal(err)
	}
	var p struct{ PostID, ProjectID string }
	r.do("POST", "/posts", s.token, map[string]any{"title": "x", "contents": []any{}}).is(201).into(&p)
	r.do("POST", "/accounts/"+s.id+"/projects", s.token, map[string]string{"name": "x"}).is(201).into(&p)
	s.post, s.project = p.PostID, p.ProjectID
	s.rental, _ = r.rented(s.token, aRental(nil))
	return s
}

func (s *keyStage) commands() []again {
	do := func(method, path, token string, body any) func(*rig) *reply {
		return func(r *rig) *reply { r.t.Helper(); return r.do(method, path, token, body) }
	}
	return []again{
		{"POST /accounts", do("POST", "/accounts", "", map[string]string{"email": "eve@example.com", "password": "correct horse", "name": "Eve"})},
		{"POST /accounts/{id}/verification-mails", do("POST", "/accounts/"+s.id+"/verification-mails", s.token, nil)},
		{"POST /accounts/{id}/projects", do("POST", "/accounts/"+s.id+"/projects", s.token, map[string]string{"name": "y"})},
		{"PUT /projects/{id}/members/{accountId}", do("PUT", "/projects/"+s.project+"/members/"+s.member, s.token, nil)},
		{"POST /attachments", func(r *rig) *reply { r.t.Helper(); return r.upload(s.token, "file", "a.png", pixel) }},
		{"POST /posts", do("POST", "/posts", s.token, map[string]any{"title": "y", "contents": []any{map[string]string{"a": "<b> & ü"}}})},
		{"DELETE /posts/{id}", do("DELETE", "/posts/"+s.post, s.token, nil)},
		{"POST /orders", do("POST", "/orders", s.token, anOrder(nil))},
		{"PUT /orders/{id}/shipping-info", do("PUT", "/orders/"+s.order+"/shipping-info", s.token, elsewhere(nil))},
		{"POST /orders/{id}/cancellation", do("POST", "/orders/"+s.order+"/cancellation", s.token, nil)},
		{"POST /orders/{id}/shipment", do("POST", "/orders/"+s.confirmed+"/shipment", staffToken, nil)},
		{"POST /rentals", do("POST", "/rentals", s.token, aRental(nil))},
		{"DELETE /rentals/{id}", do("DELETE", "/rentals/"+s.rental, s.token, nil)},
		{"PUT /accounts/{id}/password", do("PUT", "/accounts/"+s.id+"/password", s.token, map[string]string{"current": "correct horse", "new": "battery staple"})},
		{"DELETE /accounts/{id}", do("DELETE", "/accounts/"+s.id, s.token, nil)},
	}
}

// isSame checks that two answers are one.
func (p *reply) isSame(first *reply) {
	p.t.Helper()
	clean := func(h http.Header) http.Header { h = maps.Clone(h); h.Del("Date"); return h }
	if p.status != first.status || !bytes.Equal(p.body, first.body) || fmt.Sprint(clean(p.header)) != fmt.Sprint(clean(first.header)) {
		p.t.Errorf("the answer was %d %v %s\nand is then %d %v %s", first.status, first.header, first.body, p.status, p.header, p.body)
	}
}

// written counts what stands in the tables of the domain and the outbox.
func (r *rig) written() int {
	r.t.Helper()
	return r.count(`select (select count(*) from choreo.outbox) + (select count(*) from accounts) + (select count(*) from orders)
		+ (select count(*) from blog_posts) + (select count(*) from attachments) + (select count(*) from projects)
		+ (select count(*) from verification_mails) + (select count(*) from shipping_infos)
		+ (select count(*) from rentals)`)
}

func TestEveryCommandIsDoneOncePerKey(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	s := setStage(r)
	var tested []string
	for i, c := range s.commands() {
		tested = append(tested, c.operation)
		keyed := r.keyed(fmt.Sprint("key ", i))
		first := c.give(keyed)
		if first.status >= 300 || first.header.Get("Troupe-Event") == "" {
			t.Fatalf("%s answers %d %s with %v", c.operation, first.status, first.body, first.header)
		}
		before := r.written()
		for range 2 {
			c.give(keyed).isSame(first)
		}
		if n := r.written(); n != before {
			t.Errorf("%s twice wrote %d more rows and facts", c.operation, n-before)
		}
	}
	// No command is left out: those of the description, but sign-in and
	// verification, whose answers are secrets or depend on one.
	var all []string
	for path, item := range r.api.OpenAPI().Paths {
		for method, op := range map[string]any{"POST": item.Post, "PUT": item.Put, "DELETE": item.Delete} {
			if fmt.Sprint(op) != "<nil>" && path != "/sessions" && path != "/verifications" {
				all = append(all, method+" "+path)
			}
		}
	}
	slices.Sort(all)
	slices.Sort(tested)
	if !slices.Equal(all, tested) {
		t.Errorf("the commands are\n%v, tested are\n%v", all, tested)
	}
}

func TestAKeyIsOfOneCallerMethodPathAndBody(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	ana, anas := r.signedIn("ana@example.com")
	bob, bobs := r.signedIn("bob@example.com")
	k := r.keyed("k")
	project := func(name string) map[string]string { return map[string]string{"name": name} }
	first := k.do("POST", "/accounts/"+ana+"/projects", anas, project("x")).is(201)
	k.do("POST", "/accounts/"+ana+"/projects", anas, project("y")).is(422)
	k.do("POST", "/accounts/"+ana+"/projects", anas, `{"name": "x"}`).is(422) // not the same bytes
	k.do("POST", "/accounts/"+ana+"/projects", anas, project("x")).isSame(first)
	k.do("POST", "/accounts/"+bob+"/projects", bobs, project("y")).is(201)
	k.do("POST", "/orders", anas, anOrder(nil)).is(202)
	r.keyed("l").do("POST", "/accounts/"+ana+"/projects", anas, project("y")).is(201)
	r.do("POST", "/accounts/"+ana+"/projects", anas, project("x")).is(201)
	if n := r.count(`select count(*) from projects where account_id = $1`, ana); n != 3 {
		t.Errorf("%d projects, want 3", n)
	}
	if at := r.keyed(strings.Repeat("k", 256)).do("POST", "/orders", anas, anOrder(nil)).is(422).locations(); !slices.Equal(at, []string{"header.Idempotency-Key"}) {
		t.Errorf("at %v", at)
	}
	// A key on what only reads, and on a sign-in, does nothing.
	k.do("GET", "/accounts/"+ana, anas, nil).is(200)
	r.signUp("eve@example.com")
	if _, one := k.signIn("eve@example.com", "correct horse"); one == "" {
		t.Error("no token")
	} else if _, two := k.signIn("eve@example.com", "correct horse"); one == two {
		t.Error("the token of a session was stored and answered again")
	}
	// A form is the same whatever stands between its parts.
	file := r.keyed("file")
	uploaded := file.upload(anas, "file", "a.png", pixel).is(201)
	file.upload(anas, "file", "a.png", pixel).isSame(uploaded)
	file.upload(anas, "file", "a.png", pixel+"more").is(422)
	file.upload(anas, "file", "b.png", pixel).is(422)
	if n := r.count(`select count(*) from attachments`); n != 1 {
		t.Errorf("%d attachments", n)
	}
}

func TestRefusalsAreKeptAndFailuresAreNot(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	id, _ := r.placed(token)
	ship := func() *reply { return r.keyed("ship").do("POST", "/orders/"+id+"/shipment", staffToken, nil) }
	refused := ship().is(409)
	if _, err := r.db.Pool().Exec(`update orders set state = 'confirmed'`); err != nil {
		t.Fatal(err)
	}
	ship().isSame(refused)
	r.keyed("another").do("POST", "/orders/"+id+"/shipment", staffToken, nil).is(200)

	order := func() *reply { return r.keyed("order").do("POST", "/orders", token, anOrder(nil)) }
	if _, err := r.db.Pool().Exec(`alter table shipping_infos rename to gone`); err != nil {
		t.Fatal(err)
	}
	order().is(500)
	if _, err := r.db.Pool().Exec(`alter table gone rename to shipping_infos`); err != nil {
		t.Fatal(err)
	}
	order().is(202)
	r.keyed("nobody").do("POST", "/orders", "", anOrder(nil)).is(401)
	if n := r.count(`select count(*) from idempotency_keys where status >= 500 or status = 401`); n != 0 {
		t.Errorf("%d failures are kept", n)
	}
}

func TestAnswersAreKeptForADay(t *testing.T) {
	t.Parallel()
	r := start(t)
	id, token := r.signedIn("ana@example.com")
	give := func(key string) *reply {
		return r.keyed(key).do("POST", "/accounts/"+id+"/projects", token, map[string]string{"name": "x"}).is(201)
	}
	first := give("k")
	age := func(age string) {
		if _, err := r.db.Pool().Exec(`update idempotency_keys set at = choreo.troupe_now() - $1::interval`, age); err != nil {
			t.Fatal(err)
		}
	}
	age("23 hours 59 minutes")
	give("k").isSame(first)
	age("24 hours")
	second := give("k")
	if bytes.Equal(second.body, first.body) {
		t.Error("a day later the key is still known")
	}
	give("k").isSame(second)

	for i := range 30 {
		give(fmt.Sprint("old ", i))
	}
	age("25 hours")
	give("new 1")
	if n := r.count(`select count(*) from idempotency_keys`); n != 12 { // 31 and itself, less 20
		t.Errorf("%d answers are kept", n)
	}
	give("new 2")
	if n := r.count(`select count(*) from idempotency_keys`); n != 2 {
		t.Errorf("%d answers are kept, want the two new ones", n)
	}
}

func TestFiftyDuplicatesAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	_, token := r.signedIn("ana@example.com")
	answers := make(chan *reply, 50)
	counts := r.atOnce(50, func(int) *reply {
		got := r.keyed("k").do("POST", "/orders", token, anOrder(nil))
		answers <- got
		return got
	})
	close(answers)
	if counts[202]+counts[409] != 50 || counts[202] == 0 {
		t.Errorf("statuses %v", counts)
	}
	var first *reply
	for got := range answers {
		if first == nil {
			first = got
		} else if got.status == 202 {
			got.isSame(first)
		}
	}
	if n := r.count(`select count(*) from orders`); n != 1 {
		t.Errorf("%d orders", n)
	}
	r.keyed("k").do("POST", "/orders", token, anOrder(nil)).isSame(first)

	counts = r.atOnce(8, func(int) *reply { return r.keyed("f").upload(token, "file", "a.png", pixel) })
	if counts[201]+counts[409] != 8 || r.count(`select count(*) from attachments`) != 1 {
		t.Errorf("uploads: %v", counts)
	}
}

// Two requests of one key, of which the first is refused while the second is
// under way: both are answered alike.
func TestConcurrentRefusalsAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	r := start(t)
	id, token := r.signedIn("ana@example.com")
	answers := make(chan *reply, 6)
	r.atOnce(6, func(int) *reply {
		got := r.keyed("k").do("PUT", "/accounts/"+id+"/password", token, map[string]string{"current": "correct horse", "new": "battery staple"})
		answers <- got
		return got
	})
	close(answers)
	for got := range answers {
		got.is(200)
	}
	if n := r.count(`select count(*) from choreo.outbox where type = 'accounts.PasswordChanged.v1'`); n != 1 {
		t.Errorf("%d changes", n)
	}
}

func TestALostCommitIsDoneOnce(t *testing.T) {
	t.Parallel()
	for _, before := range []bool{false, true} {
		r := start(t)
		id, token := r.signedIn("ana@example.com")
		r.wire.before.Store(before)
		path, body := "/accounts/"+id+"/projects", map[string]string{"name": "x"}
		r.wire.lose.Store(1)
		first := r.keyed("k").do("POST", path, token, body).is(201)
		if r.wire.lost.Load() != 1 {
			t.Fatal("no COMMIT was lost: nothing is tested")
		}
		r.keyed("k").do("POST", path, token, body).isSame(first)
		r.wire.lose.Store(1)
		r.do("POST", path, token, body).is(201) // without a key too
		if n := r.count(`select count(*) from projects`); n != 2 {
			t.Errorf("%d projects of 2 commands (the COMMIT itself was lost: %t)", n, before)
		}
		if n := r.count(`select count(*) from choreo.outbox where type = 'projects.ProjectCreated.v1'`); n != 2 {
			t.Errorf("%d facts of 2 commands", n)
		}
	}
}

func TestNothingOfAPersonIsKeptInAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *api.Options) {})
	var a accountBody
	r.keyed("up").do("POST", "/accounts", "", map[string]string{"email": "ana@example.com", "password": "correct horse", "name": "Ana"}).is(201).into(&a)
	_, token := r.signIn("ana@example.com", "correct horse")
	order, _ := r.keyed("order").placed(token)
	if _, err := r.db.Pool().Exec(`update orders set state = 'confirmed'`); err != nil {
		t.Fatal(err)
	}
	r.keyed("ship").do("POST", "/orders/"+order+"/shipment", staffToken, nil).is(200) // answers with the address
	if n := r.count(`select count(*) from idempotency_keys where strpos(encode(request || scope || body, 'escape'), 'correct horse') > 0`); n != 0 {
		t.Error("a password is kept")
	}
	saga := r.keyed("leave").do("DELETE", "/accounts/"+a.AccountID, token, nil).is(202).header.Get("Troupe-Saga")
	if n := r.count(`select count(*) from idempotency_keys`); n != 4 {
		t.Fatalf("%d answers are kept", n)
	}
	r.settle(a.AccountID, saga, true)
	if n := r.count(`select count(*) from idempotency_keys`); n != 0 {
		t.Errorf("%d answers to somebody who is erased are kept", n)
	}
	// What comes too late is not kept either.
	r.react("erase-account", events.AccountDeleted{AccountID: a.AccountID}, saga)
	r.keyed("late").do("POST", "/orders/"+order+"/shipment", staffToken, nil).is(409)
	if n := r.count(`select count(*) from idempotency_keys where account_id <> ''`); n != 0 {
		t.Errorf("%d answers to somebody who is erased are kept", n)
	}
}
