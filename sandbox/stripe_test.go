package sandbox_test

import (
	"net/url"
	"testing"
	"time"

	"troupe/sandbox"
	"troupe/sandbox/sandboxtest"
)

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	base := sandboxtest.Start(t).PaymentURL()
	form := url.Values{"amount": {"500"}, "currency": {"eur"}}
	first := mustStripe(t, base, "POST", "/v1/payment_intents", "k", form)
	again := mustStripe(t, base, "POST", "/v1/payment_intents", "k", form)
	if first.status != 200 || again.ID != first.ID || first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("first %+v, again %+v", first, again)
	}
	for name, other := range map[string]reply{
		"other parameters": mustStripe(t, base, "POST", "/v1/payment_intents", "k", url.Values{"amount": {"501"}, "currency": {"eur"}}),
		"another path":     mustStripe(t, base, "POST", "/v1/payment_intents/"+first.ID+"/cancel", "k", form),
	} {
		if other.status != 400 || other.Error.Type != "idempotency_error" {
			t.Errorf("%s: %+v", name, other)
		}
	}
	if none := mustStripe(t, base, "POST", "/v1/payment_intents", "", form); none.ID == first.ID {
		t.Error("without a key it is another intent")
	}
	bad := mustStripe(t, base, "POST", "/v1/payment_intents", "b", url.Values{"amount": {"0"}, "currency": {"eur"}})
	good := mustStripe(t, base, "POST", "/v1/payment_intents", "b", form)
	if bad.status != 400 || bad.Error.Param != "amount" || good.status != 200 {
		t.Errorf("a request that was never carried out keeps its key free: %+v, %+v", bad, good)
	}
}

func TestAKeyInUse(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.Timing.Hang = time.Hour })
	id := create(t, box.PaymentURL(), "k")
	path := "/v1/payment_intents/" + id + "/confirm"
	hanging := make(chan error, 1)
	go func() {
		_, err := stripe(t, box.PaymentURL(), "POST", path, "k#confirm", withCard("tok_timeout_after_charge"))
		hanging <- err
	}()
	for deadline := time.Now().Add(10 * time.Second); len(box.Payments()) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("no charge")
		}
	}
	got := mustStripe(t, box.PaymentURL(), "POST", path, "k#confirm", withCard("tok_timeout_after_charge"))
	if got.status != 409 || got.Error.Code != "idempotency_key_in_use" {
		t.Errorf("a second use: %+v", got)
	}
	if err := box.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-hanging; err == nil {
		t.Error("the hanging call was answered")
	}
}

func TestStatesOfAnIntent(t *testing.T) {
	t.Parallel()
	base := sandboxtest.Start(t).PaymentURL()
	const unexpected = "payment_intent_unexpected_state"
	do := func(id, what string, form url.Values) (status int, code string) {
		got := mustStripe(t, base, "POST", "/v1/payment_intents/"+id+"/"+what, "", form)
		return got.status, got.Error.Code
	}
	refund := func(id, amount string) (status int, code string) {
		form := url.Values{"payment_intent": {id}}
		if amount != "" {
			form.Set("amount", amount)
		}
		got := mustStripe(t, base, "POST", "/v1/refunds", "", form)
		return got.status, got.Error.Code
	}
	check := func(step string, status int, code string, wantStatus int, wantCode string) {
		t.Helper()
		if status != wantStatus || code != wantCode {
			t.Errorf("%s: %d %s, want %d %s", step, status, code, wantStatus, wantCode)
		}
	}
	canceled, paid := create(t, base, "canceled"), create(t, base, "paid")

	status, code := refund(canceled, "")
	check("refunding what was not paid", status, code, 400, "")
	status, code = do(canceled, "confirm", nil)
	check("confirming without a card", status, code, 400, "parameter_invalid")
	status, code = do(canceled, "cancel", nil)
	check("canceling", status, code, 200, "")
	status, code = do(canceled, "cancel", nil)
	check("canceling twice", status, code, 400, unexpected)
	status, code = do(canceled, "confirm", withCard("tok_visa"))
	check("confirming what is canceled", status, code, 400, unexpected)

	status, code = do(paid, "confirm", withCard("tok_declined"))
	check("a declined card", status, code, 402, "card_declined")
	status, code = do(paid, "confirm", withCard("tok_visa"))
	check("another card then", status, code, 200, "")
	status, code = do(paid, "confirm", withCard("tok_visa"))
	check("paying twice", status, code, 400, unexpected)
	status, code = do(paid, "cancel", nil)
	check("canceling what is paid", status, code, 400, unexpected)
	status, code = refund(paid, "200")
	check("refunding a part", status, code, 200, "")
	status, code = refund(paid, "400")
	check("refunding too much", status, code, 400, "")
	status, code = refund(paid, "")
	check("refunding the rest", status, code, 200, "")
	status, code = refund(paid, "")
	check("refunding again", status, code, 400, "charge_already_refunded")
	if got := mustStripe(t, base, "GET", "/v1/refunds?payment_intent="+paid, "", nil); len(got.Data) != 2 {
		t.Errorf("listed refunds: %+v", got)
	}
	for _, path := range []string{"/nope/confirm", "/nope/cancel"} {
		if got := mustStripe(t, base, "POST", "/v1/payment_intents"+path, "", withCard("tok_visa")); got.status != 404 || got.Error.Code != "resource_missing" {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if status, code = refund("nope", ""); status != 404 {
		t.Errorf("refunding nothing: %d %s", status, code)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	base := sandboxtest.Start(t).PaymentURL()
	key := `it's a \ key`
	id := create(t, base, key)
	create(t, base, "other")
	for query, want := range map[string][]string{
		`metadata['key']:'it\'s a \\ key'`:       {id},
		`metadata['reference']:'it\'s a \\ key'`: {id},
		`metadata['key']:'nope'`:                 {},
	} {
		got := mustStripe(t, base, "GET", "/v1/payment_intents/search?query="+url.QueryEscape(query), "", nil)
		if len(got.Data) != len(want) || len(want) > 0 && got.Data[0].ID != want[0] {
			t.Errorf("%s: %+v, want %v", query, got.Data, want)
		}
	}
	for _, query := range []string{"", "amount>100", `metadata['key']:'a' OR metadata['key']:'b'`, `metadata['key']:'a'b'`} {
		if got := mustStripe(t, base, "GET", "/v1/payment_intents/search?query="+url.QueryEscape(query), "", nil); got.status != 400 {
			t.Errorf("%s: %+v", query, got)
		}
	}
}

func TestAWrongSecretKey(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.PaymentKey = "another" })
	if got := mustStripe(t, box.PaymentURL(), "POST", "/v1/payment_intents", "", nil); got.status != 401 {
		t.Errorf("got %+v", got)
	}
	if got := mustStripe(t, sandboxtest.Start(t).PaymentURL(), "GET", "/v1/customers", "", nil); got.status != 404 {
		t.Errorf("a call that is not played: %+v", got)
	}
}
