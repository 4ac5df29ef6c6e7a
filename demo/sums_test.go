package demo

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestMoney(t *testing.T) {
	t.Parallel()
	eur := func(n int64) money { return money{n, "EUR"} }
	charge := transfer{"charge", "o", 500, "EUR", "succeeded"}
	refund := transfer{"refund", "o", 500, "EUR", "succeeded"}
	replay := transfer{"charge", "o", 500, "EUR", "replayed"}
	for name, c := range map[string]struct {
		order     order
		transfers []transfer
		wrong     string // in what is wrong; empty: nothing is
	}{
		"paid":                   {order{"o", "confirmed", "none", eur(500), eur(500), eur(0)}, []transfer{charge}, ""},
		"paid, asked again":      {order{"o", "shipped", "none", eur(500), eur(500), eur(0)}, []transfer{charge, replay}, ""},
		"given back":             {order{"o", "canceled", "completed", eur(500), eur(500), eur(500)}, []transfer{charge, refund}, ""},
		"never charged":          {order{"o", "canceled", "none", eur(500), eur(0), eur(0)}, nil, ""},
		"owed":                   {order{"o", "canceled", "failed", eur(500), eur(500), eur(0)}, []transfer{charge}, ""},
		"confirmed unpaid":       {order{"o", "confirmed", "none", eur(500), eur(0), eur(0)}, nil, "holds 0.00"},
		"kept":                   {order{"o", "canceled", "completed", eur(500), eur(500), eur(0)}, []transfer{charge}, "holds 5.00"},
		"charged twice":          {order{"o", "canceled", "completed", eur(500), eur(1000), eur(1000)}, []transfer{charge, charge, refund, refund}, "charged 2 times"},
		"refunded twice":         {order{"o", "canceled", "completed", eur(500), eur(500), eur(1000)}, []transfer{charge, refund, refund}, "holds −5.00"},
		"refunded and owed":      {order{"o", "canceled", "failed", eur(500), eur(500), eur(500)}, []transfer{charge, refund}, "flagged as owed"},
		"still submitted":        {order{"o", "submitted", "none", eur(500), eur(0), eur(0)}, nil, "not done"},
		"refund under way":       {order{"o", "canceled", "started", eur(500), eur(0), eur(0)}, nil, "not done"},
		"order says otherwise":   {order{"o", "confirmed", "none", eur(500), eur(0), eur(0)}, []transfer{charge}, "provider says 5.00"},
		"a charge for no order":  {order{"o", "confirmed", "none", eur(500), eur(500), eur(0)}, []transfer{charge, {"charge", "x", 1, "EUR", "succeeded"}}, "no order"},
		"what failed is nothing": {order{"o", "canceled", "none", eur(500), eur(0), eur(0)}, []transfer{{"charge", "o", 500, "EUR", "declined"}}, ""},
	} {
		s := moneySum([]string{"o"}, []*order{&c.order}, c.transfers, true)
		if said := strings.Join(s.Wrong, "\n"); !strings.Contains(said, c.wrong) || (c.wrong == "") != (said == "") {
			t.Errorf("%s: says %q; want %q", name, said, c.wrong)
		}
	}
	if s := moneySum([]string{"o"}, []*order{nil}, nil, true); len(s.Wrong) != 1 {
		t.Errorf("an order that is gone: %q", s.Wrong)
	}
}

func TestMails(t *testing.T) {
	t.Parallel()
	facts := func(types ...string) (list []fact) {
		list = append(list, fact{Type: "accounts.AccountRegistered.v1", Key: "a", Data: []byte(`{"accountId":"a"}`)})
		for i, name := range types {
			list = append(list, fact{ID: fmt.Sprint(i), Type: name, Key: "a"})
		}
		return list
	}
	ana := []*account{{AccountID: "a", Email: "ana@example.com"}, nil}
	const sent, failed = "accounts.VerificationMailSent.v1", "accounts.VerificationMailFailed.v1"
	to := func(status string) letter { return letter{To: "ana@example.com", Kind: "verification", Status: status} }
	for name, c := range map[string]struct {
		facts   []fact
		letters []letter
		wrong   int
	}{
		"sent":               {facts(sent), []letter{to("failed"), to("succeeded"), to("replayed")}, 0},
		"given up":           {facts(failed), []letter{to("declined")}, 0},
		"twice":              {facts(sent), []letter{to("succeeded"), to("succeeded")}, 1},
		"lost":               {facts(sent), nil, 1},
		"forgotten":          {facts(), nil, 1},
		"not known of":       {facts(failed), []letter{to("succeeded")}, 1},
		"of another kind":    {facts(sent), []letter{{To: "ana@example.com", Kind: "order-confirmed", Status: "succeeded"}}, 2},
		"to somebody else":   {facts(sent), []letter{to("succeeded"), {To: "bob@example.com", Kind: "verification", Status: "succeeded"}}, 0},
		"two outcomes of it": {facts(sent, failed), []letter{to("succeeded")}, 1},
	} {
		if s := mailSum(c.facts, ana, c.letters); len(s.Wrong) != c.wrong {
			t.Errorf("%s: %d things are wrong, want %d: %q", name, len(s.Wrong), c.wrong, s.Wrong)
		}
	}
}

func TestPosts(t *testing.T) {
	t.Parallel()
	asked := fact{Data: []byte(`{"tagNames":["a","b","a"],"fileUrls":["/files/temp/1/x"]}`)}
	file := func(urls ...string) (list []struct {
		URL string `json:"url"`
	}) {
		for _, u := range urls {
			list = append(list, struct {
				URL string `json:"url"`
			}{u})
		}
		return list
	}
	for name, c := range map[string]struct {
		post article
		ok   bool
	}{
		"published":       {article{"p", "published", []string{"a", "b"}, file("/files/blog-post/p/1/x")}, true},
		"without a tag":   {article{"p", "published", []string{"a"}, file("/files/blog-post/p/1/x")}, false},
		"not moved":       {article{"p", "published", []string{"a", "b"}, file("/files/temp/1/x")}, false},
		"withdrawn":       {article{"p", "withdrawn", nil, file("/files/temp/1/x")}, true},
		"withdrawn, copy": {article{"p", "withdrawn", nil, file("/files/blog-post/p/1/x")}, false},
		"deleted, tags":   {article{"p", "deleted", []string{"a"}, nil}, false},
		"processing":      {article{"p", "processing", nil, nil}, false},
	} {
		if wrong := checkPost(&c.post, asked); (len(wrong) == 0) != c.ok {
			t.Errorf("%s: %q", name, wrong)
		}
	}
}

func TestAPlanIsDrawnFromItsSeed(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(draw(60, 7), draw(60, 7)) {
		t.Error("the same seed draws two plans")
	}
	if reflect.DeepEqual(draw(60, 7), draw(60, 8)) {
		t.Error("two seeds draw the same plan")
	}
	for n := range 70 {
		p := draw(n, 1)
		if got := len(p.people) + len(p.chores) + len(p.posts) + len(p.orders) + len(p.rentals) + len(p.leavers); got != max(n, 3) {
			t.Errorf("a plan of %d sagas has %d", n, got)
		}
	}
}
