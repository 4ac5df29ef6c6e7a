package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"troupe/choreo"
	"troupe/events"
)

// leave deletes an account and gives the saga.
func (r *rig) leave(id, token string) string {
	r.t.Helper()
	return r.do("DELETE", "/accounts/"+id, token, nil).is(http.StatusAccepted).header.Get("Troupe-Saga")
}

// settle lets the consumers end a closing: the account is erased, or restored.
func (r *rig) settle(id, saga string, erase bool) {
	r.t.Helper()
	if !erase {
		r.react("restore-account", events.ProjectsDeletionFailed{AccountID: id, Reason: "x"}, saga)
		return
	}
	r.react("delete-account", events.AccountDeletionRequested{AccountID: id}, saga)
	r.react("erase-account", events.AccountDeleted{AccountID: id}, saga)
	r.react("erase-account", events.ProjectsDeleted{AccountID: id, ProjectIDs: []string{}}, saga)
}

// react runs the reaction of a consumer to a fact at once, without its steps.
func (r *rig) react(consumer string, fact choreo.Fact, saga string) {
	r.t.Helper()
	data, err := json.Marshal(fact)
	if err != nil {
		r.t.Fatal(err)
	}
	rule := r.db.Flow().Consumer(consumer).Rule(fact.FactType())
	m := choreo.Meta{ID: uuid.NewString(), Source: "/test", Type: rule.On, Key: fact.Key(), Saga: saga}
	event, err := rule.Decode(m, data)
	if err == nil {
		err = r.db.InUnit(r.t.Context(), func(ctx context.Context, u *choreo.Unit) error {
			return rule.React(ctx, u.For(rule, &m, 0, nil), event)
		})
	}
	if err != nil {
		r.t.Fatalf("%s on %s: %v", consumer, rule.On, err)
	}
}

func TestWhatAClosingAccountMayDo(t *testing.T) {
	t.Parallel()
	r := start(t)
	id, token := r.signedIn("ana@example.com")
	var order struct{ OrderID string }
	r.do("POST", "/orders", token, anOrder(nil)).is(202).into(&order)
	var post struct{ PostID string }
	r.do("POST", "/posts", token, map[string]any{"title": "x", "contents": []any{}}).is(201).into(&post)
	var project projectBody
	r.do("POST", "/accounts/"+id+"/projects", token, map[string]string{"name": "x"}).is(201).into(&project)
	verification := r.tokenOfMail(id)

	_, bobs := r.signedIn("bob@example.com")
	r.do("DELETE", "/accounts/"+id, bobs, nil).is(404)
	r.do("DELETE", "/accounts/"+id, staffToken, nil).is(403)
	var a accountBody
	got := r.do("DELETE", "/accounts/"+id, token, nil).is(202).into(&a)
	saga := got.header.Get("Troupe-Saga")
	if a.State != "closing" || saga == "" || got.header.Get("Troupe-Event") == "" || got.header.Get("Location") != "/sagas/"+saga {
		t.Errorf("closing: %+v with %v", a, got.header)
	}
	again := r.do("DELETE", "/accounts/"+id, token, nil).is(202)
	if again.header.Get("Troupe-Saga") != saga || again.header.Get("Troupe-Event") != got.header.Get("Troupe-Event") {
		t.Errorf("asked again it answers %v, want that of the first, %v", again.header, got.header)
	}
	for _, path := range []string{"/accounts/" + id, "/accounts/" + id + "/projects", "/orders", "/orders/" + order.OrderID, "/posts/" + post.PostID, "/sagas/" + saga} {
		r.do("GET", path, token, nil).is(200)
	}
	r.do("POST", "/orders/"+order.OrderID+"/cancellation", token, nil).is(202)
	refused := func(status int) {
		t.Helper()
		for _, c := range []struct {
			method, path string
			body         any
		}{
			{"POST", "/orders", anOrder(nil)},
			{"POST", "/posts", map[string]any{"title": "x", "contents": []any{}}},
			{"DELETE", "/posts/" + post.PostID, nil},
			{"POST", "/accounts/" + id + "/projects", map[string]string{"name": "x"}},
			{"PUT", "/projects/" + project.ProjectID + "/members/" + id, nil},
			{"POST", "/accounts/" + id + "/verification-mails", nil},
			{"PUT", "/accounts/" + id + "/password", map[string]string{"current": "correct horse", "new": "battery staple"}},
		} {
			r.do(c.method, c.path, token, c.body).is(status)
		}
	}
	refused(403)
	r.do("POST", "/verifications", "", map[string]string{"token": verification}).is(403)
	unknown := r.do("POST", "/sessions", "", map[string]string{"email": "nobody@example.com", "password": "correct horse"}).is(401)
	closing := r.do("POST", "/sessions", "", map[string]string{"email": "ana@example.com", "password": "correct horse"}).is(401)
	if !bytes.Equal(unknown.body, closing.body) {
		t.Errorf("a closing account is told apart: %s, %s", closing.body, unknown.body)
	}
	r.do("POST", "/accounts", "", map[string]string{"email": "ana@example.com", "password": "correct horse", "name": "Ana"}).is(409)

	r.settle(id, saga, false)
	r.do("POST", "/accounts/"+id+"/projects", token, map[string]string{"name": "x"}).is(201)
	r.signIn("ana@example.com", "correct horse")

	if _, err := r.db.Pool().Exec(`update orders set refund_status = 'none'`); err != nil { // as its consumers do
		t.Fatal(err)
	}
	r.settle(id, r.leave(id, token), true)
	var left struct{ AuthorID *string }
	r.do("GET", "/posts/"+post.PostID, "", nil).is(200).into(&left)
	if left.AuthorID != nil {
		t.Errorf("the post still has its author %s", *left.AuthorID)
	}
	var erased struct{ ShippingInfo struct{ Name, Street string } }
	r.do("GET", "/orders/"+order.OrderID, staffToken, nil).is(200).into(&erased)
	if erased.ShippingInfo.Name+erased.ShippingInfo.Street != "" {
		t.Errorf("the order still says where it goes: %+v", erased)
	}
	refused(401)
	r.do("GET", "/accounts/"+id, token, nil).is(401)
	r.do("DELETE", "/accounts/"+id, token, nil).is(401)
	r.do("POST", "/verifications", "", map[string]string{"token": verification}).is(404)
	r.do("POST", "/sessions", "", map[string]string{"email": "ana@example.com", "password": "correct horse"}).is(401)
	r.do("GET", "/accounts/"+id, staffToken, nil).is(200).into(&a)
	if a != (accountBody{id, "", "", "erased", a.Mail}) {
		t.Errorf("erased: %+v", a)
	}
	r.do("POST", "/accounts", "", map[string]string{"email": "ana@example.com", "password": "correct horse", "name": "Ana"}).is(201)
}

// Orders race with the deletion: each is there before it, or refused.
func TestNoWorkSlipsInWhileAnAccountCloses(t *testing.T) {
	t.Parallel()
	r := start(t)
	id, token := r.signedIn("ana@example.com")
	counts := r.atOnce(20, func(i int) *reply {
		if i == 10 {
			return r.do("DELETE", "/accounts/"+id, token, nil)
		}
		return r.do("POST", "/orders", token, anOrder(nil))
	})
	if counts[202]+counts[403] != 20 || counts[202] < 1 {
		t.Errorf("statuses %v", counts)
	}
	var late int
	err := r.db.Pool().QueryRow(`select count(*) from choreo.outbox o where o.type = 'orders.OrderSubmitted.v1' and o.id >
		(select id from choreo.outbox where type = 'accounts.AccountDeletionRequested.v1')`).Scan(&late)
	if err != nil || late != 0 {
		t.Errorf("%d orders (%v) came after the request", late, err)
	}
}
