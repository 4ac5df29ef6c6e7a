package api_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"troupe/choreo/choreotest"
	"troupe/events"
)

type orderBody struct {
	OrderID                   string
	Lines                     []events.OrderLine
	Total, Captured, Refunded *events.Money
	State, RefundStatus       string
	ShippingInfo              map[string]string
	Carrier                   string
}

// anOrder is the body of a good order over 5497 cents, changed where wanted; a
// nil takes a field out.
func anOrder(change map[string]any) map[string]any {
	body := map[string]any{
		"lines": []any{
			map[string]any{"sku": "pen", "quantity": 2, "unitPrice": map[string]any{"amount": 1999, "currency": "EUR"}},
			map[string]any{"sku": "ink", "quantity": 1, "unitPrice": map[string]any{"amount": 1499, "currency": "EUR"}},
		},
		"cardToken":    "tok_visa",
		"shippingInfo": map[string]any{"name": "Ana", "street": "1 Road", "city": "Town", "postalCode": "12345", "country": "DE"},
	}
	maps.Copy(body, change)
	maps.DeleteFunc(body, func(_ string, v any) bool { return v == nil })
	return body
}

// placed is an order of the caller, and its saga.
func (r *rig) placed(token string) (id, saga string) {
	r.t.Helper()
	var o struct{ OrderID string }
	got := r.do("POST", "/orders", token, anOrder(nil)).is(http.StatusAccepted).into(&o)
	return o.OrderID, got.header.Get("Troupe-Saga")
}

// have puts the order into a state, as the consumers do.
func (r *rig) have(id, state string) {
	r.t.Helper()
	if _, err := r.db.Pool().Exec(`update orders set state = $2 where order_id = $1`, id, state); err != nil {
		r.t.Fatal(err)
	}
}

// facts are the facts of an order that were committed, oldest first.
func (r *rig) facts(id string) []string {
	r.t.Helper()
	return choreotest.Column[string](r.t, r.db.Pool(),
		`select type || ' ' || saga || ' ' || convert_from(data, 'UTF8') from choreo.outbox where key = $1 order by id`, id)
}

func TestPlaceOrder(t *testing.T) {
	t.Parallel()
	r := start(t)
	ana, token := r.signedIn("ana@example.com")
	var o struct{ OrderID string }
	got := r.do("POST", "/orders", token, anOrder(nil)).is(http.StatusAccepted).into(&o)
	saga := got.header.Get("Troupe-Saga")
	if o.OrderID == "" || saga == "" || got.header.Get("Location") != "/sagas/"+saga {
		t.Errorf("answer %s, headers %v", got.body, got.header)
	}
	facts := r.facts(o.OrderID)
	if len(facts) != 1 || !strings.HasPrefix(facts[0], "orders.OrderSubmitted.v1 "+saga) || !strings.Contains(facts[0], ana) {
		t.Errorf("facts: %v", facts)
	}
	if everything := fmt.Sprint(facts, r.logs); strings.Contains(everything, "tok_visa") || strings.Contains(everything, "Road") {
		t.Errorf("a card or an address in facts or log: %s", everything)
	}

	want := `{"orderId":"` + o.OrderID + `","lines":[` +
		`{"sku":"pen","quantity":2,"unitPrice":{"amount":1999,"currency":"EUR"}},` +
		`{"sku":"ink","quantity":1,"unitPrice":{"amount":1499,"currency":"EUR"}}],` +
		`"total":{"amount":5497,"currency":"EUR"},"state":"submitted","refundStatus":"none",` +
		`"captured":{"amount":0,"currency":"EUR"},"refunded":{"amount":0,"currency":"EUR"},` +
		`"shippingInfo":{"name":"Ana","street":"1 Road","city":"Town","postalCode":"12345","country":"DE"},"carrier":"none"}`
	if body := r.do("GET", "/orders/"+o.OrderID, token, nil).is(http.StatusOK).body; strings.TrimSpace(string(body)) != want {
		t.Errorf("order\n%s, want\n%s", body, want)
	}
}

// Troupe-Event is the id of the last fact, which is one that stands in the log.
func TestPlaceOrderNamesTheFactThatWasCommitted(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	got := r.do("POST", "/orders", token, anOrder(nil)).is(http.StatusAccepted)
	var typ string
	err := r.db.Pool().QueryRow(`select type from choreo.outbox where event_id = $1`, got.header.Get("Troupe-Event")).Scan(&typ)
	if err != nil || typ != "orders.OrderSubmitted.v1" {
		t.Errorf("Troupe-Event is that of %q, %v", typ, err)
	}
}

func TestPlaceOrderRules(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	type m = map[string]any
	price := m{"amount": 100, "currency": "EUR"}
	pen := func(change m) []any {
		line := m{"sku": "pen", "quantity": 1, "unitPrice": price}
		maps.Copy(line, change)
		maps.DeleteFunc(line, func(_ string, v any) bool { return v == nil })
		return []any{line}
	}
	lines := func(l any) m { return anOrder(m{"lines": l}) }
	for name, c := range map[string]struct {
		body   any
		status int
		at     []string
	}{
		"malformed":           {`{"lines": [`, 400, []string{"body"}},
		"empty":               {``, 400, nil},
		"too large":           {anOrder(m{"cardToken": strings.Repeat("x", 1<<20)}), 413, nil},
		"unknown field":       {anOrder(m{"total": price}), 422, []string{"body.total"}},
		"unknown in a line":   {lines(pen(m{"total": 1})), 422, []string{"body.lines[0].total"}},
		"no lines":            {anOrder(m{"lines": nil}), 422, []string{"body.lines"}},
		"null lines":          {`{"lines":null,"cardToken":"t","shippingInfo":{"name":"a","street":"b","city":"c","postalCode":"d","country":"e"}}`, 422, []string{"body.lines"}},
		"an empty list":       {lines([]any{}), 422, []string{"body.lines"}},
		"lines of text":       {lines("pen"), 422, []string{"body.lines"}},
		"quantity 0":          {lines(pen(m{"quantity": 0})), 422, []string{"body.lines[0].quantity"}},
		"quantity 1000":       {lines(pen(m{"quantity": 1000})), 422, []string{"body.lines[0].quantity"}},
		"quantity 999":        {lines(pen(m{"quantity": 999})), 202, nil},
		"quantity 1.5":        {lines(pen(m{"quantity": 1.5})), 422, []string{"body.lines[0].quantity"}},
		"quantity in words":   {lines(pen(m{"quantity": "one"})), 422, []string{"body.lines[0].quantity"}},
		"quantity over int64": {`{"lines":[{"sku":"pen","quantity":99999999999999999999,"unitPrice":{"amount":1,"currency":"EUR"}}],"cardToken":"t","shippingInfo":{"name":"a","street":"b","city":"c","postalCode":"d","country":"e"}}`, 422, nil},
		"no quantity":         {lines(pen(m{"quantity": nil})), 422, []string{"body.lines[0].quantity"}},
		"a negative price":    {lines(pen(m{"unitPrice": m{"amount": -1, "currency": "EUR"}})), 422, []string{"body.lines[0].unitPrice.amount"}},
		"a huge price":        {lines(pen(m{"unitPrice": m{"amount": int64(1) << 62, "currency": "EUR"}, "quantity": 4})), 422, []string{"body.lines[0].unitPrice.amount"}},
		"no currency":         {lines(pen(m{"unitPrice": m{"amount": 1}})), 422, []string{"body.lines[0].unitPrice.currency"}},
		"two currencies":      {lines(append(pen(nil), pen(m{"unitPrice": m{"amount": 1, "currency": "USD"}})...)), 422, []string{"body.lines[1].unitPrice.currency"}},
		"NUL in the sku":      {lines(pen(m{"sku": "p\x00n"})), 422, []string{"body.lines[0].sku"}},
		"no card":             {anOrder(m{"cardToken": nil}), 422, []string{"body.cardToken"}},
		"an empty card":       {anOrder(m{"cardToken": ""}), 422, []string{"body.cardToken"}},
		"no shipping":         {anOrder(m{"shippingInfo": nil}), 422, []string{"body.shippingInfo"}},
		"half of shipping":    {anOrder(m{"shippingInfo": m{"name": "Ana", "street": "1 Road", "city": "Town", "postalCode": "1"}}), 422, []string{"body.shippingInfo.country"}},
		"an empty city":       {anOrder(m{"shippingInfo": m{"name": "Ana", "street": "1 Road", "city": " ", "postalCode": "1", "country": "DE"}}), 422, []string{"body.shippingInfo.city"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.do("POST", "/orders", token, c.body).is(c.status)
			if c.status == 422 && c.at != nil {
				if at := got.locations(); !slices.Equal(at, c.at) {
					t.Errorf("at %v, want %v: %s", at, c.at, got.body)
				}
			}
		})
	}
	var n int
	err := r.db.Pool().QueryRow(`select (select count(*) from orders) + (select count(*) from choreo.outbox where type like 'orders.%')
		+ (select count(*) from payment_methods)`).Scan(&n)
	if err != nil || n != 3 {
		t.Errorf("%d rows and facts (%v), want those of the one good order", n, err)
	}
}

func TestWhoMayDoWhatWithOrders(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, ana := r.signedIn("ana@example.com")
	_, bob := r.signedIn("bob@example.com")
	id, _ := r.placed(ana)
	for _, c := range []struct {
		method, path         string
		body                 any
		nobody, other, staff int
	}{
		{"POST", "/orders", anOrder(nil), 401, 202, 403},
		{"GET", "/orders", nil, 401, 200, 200},
		{"GET", "/orders/" + id, nil, 401, 404, 200},
		{"GET", "/orders/unknown", nil, 401, 404, 404},
		{"POST", "/orders/" + id + "/cancellation", nil, 401, 404, 403},
		{"POST", "/orders/unknown/cancellation", nil, 401, 404, 403},
		{"POST", "/orders/" + id + "/shipment", nil, 401, 403, 409},
		{"POST", "/orders/unknown/shipment", nil, 401, 403, 404},
		{"PATCH", "/orders/" + id, nil, 405, 405, 405},
	} {
		for token, status := range map[string]int{"": c.nobody, bob: c.other, staffToken: c.staff} {
			t.Run(fmt.Sprintf("%s %s %d", c.method, c.path, status), func(t *testing.T) {
				r.do(c.method, c.path, token, c.body).is(status)
			})
		}
	}
}

func TestCancelOrder(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	id, saga := r.placed(token)
	r.have(id, "confirmed")
	_, err := r.db.Pool().Exec(`insert into payments values ($1, 'e', 'captured', 'EUR', 5497, 'pi_1', 5497, '', 0, now(), now())`, id)
	if err != nil {
		t.Fatal(err)
	}
	var o orderBody
	got := r.do("POST", "/orders/"+id+"/cancellation", token, nil).is(http.StatusAccepted).into(&o)
	if o.State != "canceled" || o.RefundStatus != "started" || o.Captured.Amount != 5497 || o.Refunded.Amount != 0 {
		t.Errorf("order %s", got.body)
	}
	if got.header.Get("Troupe-Saga") != saga || got.header.Get("Troupe-Event") == "" || got.header.Get("Location") != "/sagas/"+saga {
		t.Errorf("receipt %v, want saga %s", got.header, saga)
	}
	facts := r.facts(id)
	want := "orders.OrderCanceled.v1 " + saga + ` {"orderId":"` + id + `","paymentId":"pi_1","amount":{"amount":5497,"currency":"EUR"},` +
		`"by":"buyer","reason":"requested-by-buyer"}`
	if len(facts) != 2 || facts[1] != want {
		t.Errorf("facts %v, want the last %s", facts, want)
	}

	again := r.do("POST", "/orders/"+id+"/cancellation", token, nil).is(http.StatusAccepted)
	if again.header.Get("Troupe-Saga") != saga || again.header.Get("Location") != "/sagas/"+saga ||
		again.header.Get("Troupe-Event") != got.header.Get("Troupe-Event") {
		t.Errorf("again: receipt %v, want that of the first, %v", again.header, got.header)
	}
	if facts := r.facts(id); len(facts) != 2 {
		t.Errorf("again: facts %v", facts)
	}
}

func TestCancelOrderThatIsNotPaid(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	id, _ := r.placed(token)
	var wg sync.WaitGroup
	answers := make([]*reply, 8)
	for i := range answers {
		wg.Go(func() { answers[i] = r.do("POST", "/orders/"+id+"/cancellation", token, nil) })
	}
	wg.Wait()
	for _, a := range answers {
		a.is(http.StatusAccepted)
	}
	facts := r.facts(id)
	if len(facts) != 2 || !strings.Contains(facts[1], `"paymentId":null,"amount":null,"by":"buyer"`) {
		t.Errorf("facts %v", facts)
	}
	var o orderBody
	if r.do("GET", "/orders/"+id, token, nil).is(http.StatusOK).into(&o); o.State != "canceled" || o.RefundStatus != "started" {
		t.Errorf("order %+v", o)
	}
}

func TestShipOrder(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	id, saga := r.placed(token)
	ship, cancel := "/orders/"+id+"/shipment", "/orders/"+id+"/cancellation"
	for _, state := range []string{"submitted", "canceled", "shipped"} {
		r.have(id, state)
		r.do("POST", ship, staffToken, nil).is(http.StatusConflict)
	}
	r.have(id, "confirmed")
	var o orderBody
	got := r.do("POST", ship, staffToken, nil).is(http.StatusOK).into(&o)
	if o.State != "shipped" || got.header.Get("Troupe-Event") == "" {
		t.Errorf("%s, headers %v", got.body, got.header)
	}
	r.do("POST", ship, staffToken, nil).is(http.StatusConflict)
	r.do("POST", cancel, token, nil).is(http.StatusConflict)
	facts := r.facts(id)
	if want := "orders.OrderShipped.v1 " + saga + ` {"orderId":"` + id + `"}`; len(facts) != 2 || facts[1] != want {
		t.Errorf("facts %v, want the last %s", facts, want)
	}
}

func TestListOrders(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, ana := r.signedIn("ana@example.com")
	_, bob := r.signedIn("bob@example.com")
	var mine []string
	for range 5 {
		id, _ := r.placed(ana)
		mine = append(mine, id)
	}
	others, _ := r.placed(bob)
	slices.Sort(mine)
	slices.Reverse(mine) // newest first

	var seen []string
	path := "/orders?limit=2"
	for pages := 0; path != ""; pages++ {
		if pages > 3 {
			t.Fatal("the list does not end")
		}
		var page struct {
			Items []orderBody
			Next  *string
		}
		r.do("GET", path, ana, nil).is(http.StatusOK).into(&page)
		for _, o := range page.Items {
			seen = append(seen, o.OrderID)
		}
		if path = ""; page.Next != nil {
			path = "/orders?limit=2&cursor=" + *page.Next
		}
	}
	if !slices.Equal(seen, mine) {
		t.Errorf("listed %v, want %v", seen, mine)
	}
	if body := string(r.do("GET", "/orders", staffToken, nil).is(http.StatusOK).body); !strings.Contains(body, others) || !strings.Contains(body, mine[0]) {
		t.Errorf("staff sees %s", body)
	}
	_, carl := r.signedIn("carl@example.com")
	if body := strings.TrimSpace(string(r.do("GET", "/orders", carl, nil).is(http.StatusOK).body)); body != `{"items":[],"next":null}` {
		t.Errorf("an empty list is %s", body)
	}
	for _, query := range []string{"limit=0", "limit=201", "limit=x"} {
		r.do("GET", "/orders?"+query, ana, nil).is(http.StatusUnprocessableEntity)
	}
}

func TestBuyerFollowsTheSagaOfAnOrder(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, token := r.signedIn("ana@example.com")
	_, other := r.signedIn("bob@example.com")
	_, saga := r.placed(token)
	r.sequence()
	r.do("GET", "/sagas/"+saga, token, nil).is(http.StatusOK)
	r.do("GET", "/sagas/"+saga, other, nil).is(http.StatusNotFound)
}
