package acceptance

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The rows of the deletion saga in the catalogue, success and failures.
func (s shared) deletions(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"delete-projects and delete-account, then erase-account: nothing is left of the person":   s.erasedPerson,
		"delete-account refuses while an order is confirmed: restore-projects, restore-account":   s.deletionRefusedByOrder,
		"delete-account refuses while a rental has not ended":                                     s.deletionRefusedByRental,
		"delete-account refuses while a refund is owed":                                           s.deletionRefusedByRefund,
		"delete-projects refuses while another member works in one: restore-account":              s.deletionRefusedByMember,
		"both halves refuse: the account is restored once":                                        s.deletionRefusedByBoth,
		"request-account-deletion: a closing account reads, cancels and asks again, nothing else": s.closingAccount,
		"ProjectCreated and MemberAdded are settled at once":                                      s.projects,
		"request-account-deletion races with new orders: what came first stands":                  s.deletionRaces,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t) })
	}
}

type projectBody struct {
	ProjectID, Name string
	Members         []string
}

func (s *system) project(t *testing.T, owner person, members ...person) (p projectBody) {
	t.Helper()
	p = as[projectBody](t, s.call(t, http.StatusCreated, http.MethodPost, "/accounts/"+owner.id+"/projects", owner.token, map[string]string{"name": "A project"}))
	for _, m := range members {
		p = as[projectBody](t, s.call(t, http.StatusOK, http.MethodPut, "/projects/"+p.ProjectID+"/members/"+m.id, owner.token, nil))
	}
	return p
}

func (s *system) projectsOf(t *testing.T, p person) []projectBody {
	t.Helper()
	return get[struct{ Items []projectBody }](t, s, "/accounts/"+p.id+"/projects").Items
}

// leave asks for the deletion of an account, and gives the settled saga.
func (s *system) leave(t *testing.T, p person) sagaBody {
	t.Helper()
	a := s.call(t, http.StatusAccepted, http.MethodDelete, "/accounts/"+p.id, p.token, nil)
	if state := as[accountBody](t, a).State; state != "closing" {
		t.Errorf("the account is %s once its deletion is accepted", state)
	}
	return s.settled(t, a.header.Get("Troupe-Saga"))
}

// isRestored checks that an account is as it was before its deletion failed.
func (s *system) isRestored(t *testing.T, p person, g sagaBody, facts ...string) {
	t.Helper()
	if g.Outcome != "undone" || g.StartedBy != "request-account-deletion" || g.has("accounts.AccountErased") != 0 {
		t.Errorf("the saga is %+v", g)
	}
	for _, fact := range append(facts, "accounts.AccountRestored") {
		if g.has(fact) != 1 {
			t.Errorf("%d of %s in %+v, want one", g.has(fact), fact, g.Steps)
		}
	}
	if a := read[accountBody](t, s, "/accounts/"+p.id); a.Email != p.email || a.State != "unverified" {
		t.Errorf("after it was restored the account is %+v", a)
	}
	s.call(t, http.StatusCreated, http.MethodPost, "/accounts/"+p.id+"/projects", p.token, map[string]string{"name": "after"}) // the session of before
	s.call(t, http.StatusCreated, http.MethodPost, "/sessions", "", map[string]string{"email": p.email, "password": password})
}

func (s shared) erasedPerson(t *testing.T) {
	mark := token()
	name, street, card, phone := "Name-"+mark, "Street-"+mark, "tok_gone_"+mark, "+49"+digits(mark)
	p := person{email: s.email("gone")}
	p.id = as[accountBody](t, s.call(t, http.StatusCreated, http.MethodPost, "/accounts", "",
		map[string]string{"email": p.email, "password": password, "name": name})).AccountID
	signIn := func() *answer {
		a, err := s.try(http.MethodPost, "/sessions", "", map[string]string{"email": p.email, "password": password})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	p.token = as[struct{ Token string }](t, signIn()).Token
	s.mailState(t, p, "sent")
	mine := s.project(t, p)
	other := s.join(t, "stays")
	s.project(t, other, p)
	postID, saga := s.write(t, p, []string{"left-" + mark}, s.upload(t, p, "a.png", picture(3)))
	s.settled(t, saga)
	order := orderRequest(card)
	order["shippingInfo"] = map[string]string{"name": name, "street": street, "city": "Town", "postalCode": "12345", "country": "DE"}
	bought := as[orderBody](t, s.call(t, http.StatusAccepted, http.MethodPost, "/orders", p.token, order)).OrderID
	s.confirmed(t, bought)
	s.call(t, http.StatusOK, http.MethodPost, "/orders/"+bought+"/shipment", staff, nil)
	from, to := s.night()
	room := rentalRequest("choreography", card, from, to)
	room["guestPhone"] = phone
	r := s.rent(t, p, room)
	s.rentalIn(t, r.id, "completed")
	s.call(t, http.StatusAccepted, http.MethodDelete, "/rentals/"+r.id, p.token, nil)
	s.rentalIn(t, r.id, "withdrawn")
	s.settled(t, r.saga)
	for _, text := range []string{p.email, name, street} {
		if len(s.traced(t, text)) == 0 {
			t.Fatalf("%s is not even found before it is erased: the search finds nothing", text)
		}
	}

	g := s.leave(t, p)
	if g.Outcome != "completed" || g.has("accounts.AccountDeleted") != 1 || g.has("projects.ProjectsDeleted") != 1 || g.has("accounts.AccountErased") != 1 {
		t.Errorf("the saga is %+v", g)
	}
	if a := read[accountBody](t, s.system, "/accounts/"+p.id); a != (accountBody{AccountID: p.id, State: "erased", Mail: a.Mail}) {
		t.Errorf("the account is %+v", a)
	}
	s.call(t, http.StatusUnauthorized, http.MethodGet, "/accounts/"+p.id, p.token, nil)
	if a := signIn(); a.status != http.StatusUnauthorized {
		t.Errorf("signing in answers %s", a)
	}
	left := get[struct {
		postBody
		AuthorID *string
	}](t, s.system, "/posts/"+postID)
	if left.State != "published" || left.AuthorID != nil {
		t.Errorf("the post is %+v, want it to stay without author", left)
	}
	for _, pr := range s.projectsOf(t, other) {
		if slices.Contains(pr.Members, p.id) {
			t.Errorf("somebody erased works in %+v", pr)
		}
	}
	if n := s.count(t, `select (select count(*) from sessions where account_id = $1) + (select count(*) from payment_methods where account_id = $1)
		+ (select count(*) from projects where project_id = $2)`, p.id, mine.ProjectID); n != 0 {
		t.Errorf("%d sessions, payment methods and projects are left", n)
	}
	s.forwarded(t)
	for _, where := range s.traced(t, p.email, name, street, card, phone, mark+"-") {
		t.Errorf("something of the person stands in %s", where)
	}
	// The address is free again.
	s.call(t, http.StatusCreated, http.MethodPost, "/accounts", "", map[string]string{"email": p.email, "password": password, "name": "Somebody"})
}

// traced finds where any of the texts stands: in every table of every schema but
// the sandbox's, which is the world outside, and in every record on Kafka.
func (s shared) traced(t *testing.T, texts ...string) (places []string) {
	t.Helper()
	columns := slices.DeleteFunc(s.columns(t), func(c column) bool { return !c.written })
	if len(columns) < 60 {
		t.Fatalf("%d columns", len(columns))
	}
	for _, text := range texts {
		for _, c := range columns {
			if n := s.count(t, `select count(*) from `+c.table+` where strpos(lower(`+c.text+`), lower($1)) > 0`, text); n > 0 {
				places = append(places, fmt.Sprintf("%d rows of %s, %s", n, c.table, c.name))
			}
		}
		for _, r := range s.records(t) {
			if strings.Contains(string(r.Key)+string(r.Value), text) {
				places = append(places, "a record on "+r.Topic)
			}
		}
	}
	return places
}

func (s shared) deletionRefusedByOrder(t *testing.T) {
	p := s.join(t, "buyer")
	kept := s.project(t, p)
	id, _ := s.place(t, p, "tok_visa")
	s.confirmed(t, id)
	s.isRestored(t, p, s.leave(t, p), "accounts.AccountDeletionFailed", "projects.ProjectsRestored")
	if list := s.projectsOf(t, p); !slices.ContainsFunc(list, func(pr projectBody) bool { return pr.ProjectID == kept.ProjectID }) {
		t.Errorf("the project is not back: %+v", list)
	}
	// Once nothing stands against it, it works.
	s.cancel(t, p, id)
	eventually(t, 30*time.Second, func() error {
		if o := s.order(t, id); o.RefundStatus != "completed" {
			return fmt.Errorf("the refund is %s", o.RefundStatus)
		}
		return nil
	})
	if g := s.leave(t, p); g.has("accounts.AccountErased") != 1 {
		t.Errorf("the second deletion is %+v", g)
	}
}

func (s shared) deletionRefusedByRefund(t *testing.T) {
	p := s.join(t, "buyer")
	id, saga := s.place(t, p, "tok_refund_fails")
	s.confirmed(t, id)
	s.cancel(t, p, id)
	s.settled(t, saga)
	s.isRestored(t, p, s.leave(t, p), "accounts.AccountDeletionFailed", "projects.ProjectsRestored")
}

func (s shared) deletionRefusedByRental(t *testing.T) {
	p := s.join(t, "guest")
	from, to := s.night()
	r := s.rent(t, p, rentalRequest("manager", "tok_visa", from, to))
	s.rentalIn(t, r.id, "completed")
	s.isRestored(t, p, s.leave(t, p), "accounts.AccountDeletionFailed", "projects.ProjectsRestored")
}

// digits are those of a text, letters made some.
func digits(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			r = '0' + r%10
		}
		return r
	}, text)
}

func (s shared) deletionRefusedByMember(t *testing.T) {
	p, other := s.join(t, "owner"), s.join(t, "member")
	kept := s.project(t, p, other)
	g := s.leave(t, p)
	s.isRestored(t, p, g, "projects.ProjectsDeletionFailed")
	if g.has("accounts.AccountDeletionFailed")+g.has("projects.ProjectsDeleted") != 0 {
		t.Errorf("the saga is %+v", g)
	}
	if list := s.projectsOf(t, other); len(list) != 1 || list[0].ProjectID != kept.ProjectID {
		t.Errorf("the other member has the projects %+v", list)
	}
}

func (s shared) deletionRefusedByBoth(t *testing.T) {
	p, other := s.join(t, "owner"), s.join(t, "member")
	s.project(t, p, other)
	id, _ := s.place(t, p, "tok_visa")
	s.confirmed(t, id)
	g := s.leave(t, p)
	s.isRestored(t, p, g)
	if g.has("projects.ProjectsDeleted") != 0 {
		t.Errorf("the saga is %+v", g)
	}
}

func (s shared) closingAccount(t *testing.T) {
	p := s.join(t, "closing")
	id, _ := s.place(t, p, "tok_visa")
	s.confirmed(t, id)
	first := s.call(t, http.StatusAccepted, http.MethodDelete, "/accounts/"+p.id, p.token, nil)
	saga := first.header.Get("Troupe-Saga")
	// Both halves wait for a second: all this is said while it is closing.
	again := s.call(t, http.StatusAccepted, http.MethodDelete, "/accounts/"+p.id, p.token, nil)
	if got := again.header.Get("Troupe-Saga"); got != saga {
		t.Errorf("asked again it is saga %s, want %s", got, saga)
	}
	s.call(t, http.StatusOK, http.MethodGet, "/accounts/"+p.id, p.token, nil)
	s.call(t, http.StatusOK, http.MethodGet, "/sagas/"+saga, p.token, nil)
	s.call(t, http.StatusForbidden, http.MethodPost, "/orders", p.token, orderRequest("tok_visa"))
	s.call(t, http.StatusForbidden, http.MethodPost, "/posts", p.token, postRequest(nil, nil))
	s.call(t, http.StatusAccepted, http.MethodPost, "/orders/"+id+"/cancellation", p.token, nil)
	if g := s.settled(t, saga); g.has("accounts.AccountDeletionRequested") != 1 {
		t.Errorf("the saga is %+v", g)
	}
}

func (s shared) projects(t *testing.T) {
	p, other := s.join(t, "owner"), s.join(t, "member")
	made := s.call(t, http.StatusCreated, http.MethodPost, "/accounts/"+p.id+"/projects", p.token, map[string]string{"name": "A project"})
	pr := as[projectBody](t, made)
	s.call(t, http.StatusNotFound, http.MethodPut, "/projects/"+pr.ProjectID+"/members/"+p.id, other.token, nil)
	added := s.call(t, http.StatusOK, http.MethodPut, "/projects/"+pr.ProjectID+"/members/"+other.id, p.token, nil)
	if got := as[projectBody](t, added); !slices.Contains(got.Members, other.id) {
		t.Errorf("the project is %+v", got)
	}
	s.forwarded(t)
	want := map[string]string{
		made.header.Get("Troupe-Event"):  fmt.Sprintf(`{"accountId":%q,"projectId":%q}`, p.id, pr.ProjectID),
		added.header.Get("Troupe-Event"): fmt.Sprintf(`{"accountId":%q,"projectId":%q,"memberId":%q}`, p.id, pr.ProjectID, other.id),
	}
	for _, r := range s.records(t) {
		if data, ours := want[header(r, "ce_id")]; ours {
			delete(want, header(r, "ce_id"))
			if string(r.Value) != data || string(r.Key) != p.id || r.Topic != s.prefix+"projects" {
				t.Errorf("on %s by %s stands %s; want %s by %s", r.Topic, r.Key, r.Value, data, p.id)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not on Kafka: %v", want)
	}
}

func (s shared) deletionRaces(t *testing.T) {
	p := s.join(t, "racer")
	statuses, sagas := make(chan int, 20), make(chan string, 1)
	for i := range 20 {
		go func() {
			method, path, body := http.MethodPost, "/orders", any(orderRequest("tok_visa"))
			if i == 10 {
				method, path, body = http.MethodDelete, "/accounts/"+p.id, nil
			}
			a, err := s.try(method, path, p.token, body)
			if err != nil {
				a = &answer{}
			} else if i == 10 {
				sagas <- a.header.Get("Troupe-Saga")
			}
			statuses <- a.status
		}()
	}
	orders := -1 // the deletion is no order
	for range 20 {
		switch status := <-statuses; status {
		case http.StatusAccepted:
			orders++
		case http.StatusForbidden, http.StatusUnauthorized: // closing, or erased already
		default:
			t.Errorf("a request answers %d", status)
		}
	}
	g := s.settled(t, <-sagas)
	if erased := g.has("accounts.AccountErased") == 1; erased != (orders == 0) {
		t.Errorf("%d orders were taken, and the account was erased: %t", orders, erased)
	}
	if n := s.count(t, `select count(*) from orders where account_id = $1`, p.id); n != orders {
		t.Errorf("%d orders, %d were taken", n, orders)
	}
}
