package orders_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"troupe/events"
)

func TestVerifyBuyerSubmitsTheOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.customer("ana@example.com")
	p := s.order(ana, "tok_visa")
	want := events.OrderSubmitted{
		OrderID: p.id, AccountID: ana, PaymentMethodID: p.submitted.PaymentMethodID, Total: total, ShippingVersion: 1,
		Lines: []events.OrderLine{{SKU: "pen", Quantity: 1, UnitPrice: total}},
	}
	if got := fmt.Sprint(p.submitted); got != fmt.Sprint(want) || p.submitted.PaymentMethodID == "" {
		t.Errorf("submitted %s, want %v", got, want)
	}
	var started int
	if err := s.DB.Pool().QueryRow(`select count(*) from choreo.outbox where type like '%OrderStarted%'`).Scan(&started); err != nil || started != 0 {
		t.Errorf("%d OrderStarted stored, %v: it is a domain fact", started, err)
	}
}

func TestOnePaymentMethodPerCard(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana, bob := s.customer("ana@example.com"), s.customer("bob@example.com")
	race := func(card string) string { // the buyer and the card, then a card of a buyer who is there
		methods := make([]string, 12)
		var wg sync.WaitGroup
		for i := range methods {
			wg.Go(func() { methods[i] = s.order(ana, card).submitted.PaymentMethodID })
		}
		wg.Wait()
		for _, m := range methods {
			if m != methods[0] || m == "" {
				t.Fatalf("one card of one buyer became several methods: %v", methods)
			}
		}
		return methods[0]
	}
	visa, known := race("tok_visa"), map[string]bool{}
	for _, other := range []string{"tok_amex", "tok_mastercard", "tok_jcb", "tok_diners", "tok_discover"} {
		known[race(other)] = true
	}
	if known[visa] || len(known) != 5 {
		t.Error("two cards of one buyer became one method")
	}
	if m := s.order(bob, "tok_visa").submitted.PaymentMethodID; m == visa {
		t.Error("two buyers share a method")
	}
}

// A card token stands encrypted in the payment method, and nowhere else: in no
// table of any schema, and in no fact.
func TestNoCardTokenIsStoredInTheClear(t *testing.T) {
	t.Parallel()
	s := open(t)
	const card = "tok_secretive_visa"
	p := s.order(s.customer("ana@example.com"), card)
	s.When("capture-payment", p.submitted, p.saga).Read(&events.PaymentCaptured{})
	f := s.cancel(p)
	s.When("refund-payment", f, p.saga).Read(&events.PaymentRefunded{})

	columns, err := s.DB.Pool().Query(`select quote_ident(table_schema) || '.' || quote_ident(table_name), quote_ident(column_name)
		from information_schema.columns join information_schema.tables using (table_schema, table_name)
		where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	defer columns.Close()
	searched := map[string]bool{}
	for columns.Next() {
		var table, column string
		if err := columns.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		searched[table] = true
		// A bytea is shown in hex: search it for the token in both spellings.
		var n int
		err := s.DB.Pool().QueryRow(fmt.Sprintf(`select count(*) from %s where strpos(%s::text, $1) > 0 or strpos(%[2]s::text, $2) > 0`,
			table, column), card, hex.EncodeToString([]byte(card))).Scan(&n)
		if err != nil {
			t.Fatalf("%s.%s: %v", table, column, err)
		}
		if n > 0 {
			t.Errorf("the card token stands in the clear in %s.%s", table, column)
		}
	}
	if err := columns.Err(); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"public.payment_methods", "public.orders", "choreo.outbox", "choreo.steps"} {
		if !searched[table] {
			t.Errorf("%s was not searched: %v", table, searched)
		}
	}
	// The card was there to be found: it was charged.
	if did := s.provided(); did["charge succeeded"] != 1 || did["refund succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
	if data, _ := json.Marshal(p.submitted); strings.Contains(string(data), "tok_") {
		t.Errorf("a fact holds a card token: %s", data)
	}
}
