package payment

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"troupe/choreo/embedded/embeddedtest"
	"troupe/providers/plainhttp"
	"troupe/sandbox"
	"troupe/sandbox/sandboxtest"
)

func provider(t *testing.T, box *sandboxtest.Sandbox) *Stripe {
	t.Helper()
	s, err := NewStripe(box.PaymentURL(), sandboxtest.PaymentKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(name string) Request {
	return Request{Key: "capture:" + name, Reference: "order " + name, Amount: Money{Amount: 1999, Currency: "EUR"}}
}

// listed are the attempts at a reference as "charge succeeded, …".
func listed(box *sandboxtest.Sandbox, reference string) string {
	var all []string
	for _, p := range box.Payments() {
		if p.Reference == reference {
			all = append(all, p.Kind+" "+p.Status)
		}
	}
	return strings.Join(all, ", ")
}

// balance is what a reference has paid and not got back.
func balance(box *sandboxtest.Sandbox, reference string) (charged, refunded int64) {
	for _, p := range box.Payments() {
		if p.Reference != reference || p.Status != "succeeded" {
			continue
		}
		switch p.Kind {
		case "charge":
			charged += p.Amount
		case "refund":
			refunded += p.Amount
		}
	}
	return charged, refunded
}

func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrDeclined):
		return "declined"
	case errors.Is(err, ErrCanceled):
		return "canceled"
	case errors.Is(err, ErrRefused):
		return "refused"
	default:
		return "later"
	}
}

func TestCaptureByCard(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	s := provider(t, box)
	for _, c := range []struct {
		card     string
		outcomes []string
		listed   string
	}{
		{"tok_visa", []string{"ok", "ok"}, "charge succeeded, charge replayed"},
		{"pm_card_visa", []string{"ok"}, "charge succeeded"},
		{"tok_slow", []string{"ok"}, "charge succeeded"},
		{"tok_declined", []string{"declined", "declined"}, "charge declined, charge replayed"},
		{"tok_flaky", []string{"later", "later", "ok"}, "charge failed, charge failed, charge succeeded"},
		{"tok_timeout_after_charge", []string{"later", "ok"}, "charge succeeded, charge replayed"},
		{"", []string{"declined"}, ""}, // refused before anything was tried
	} {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			r := request(c.card)
			for i, want := range c.outcomes {
				charge, err := s.Capture(t.Context(), r, c.card)
				if got := outcome(err); got != want {
					t.Fatalf("attempt %d: %s (%v), want %s", i+1, got, err, want)
				}
				if err == nil && (charge.Amount != r.Amount || charge.PaymentID == "") {
					t.Errorf("attempt %d: %+v", i+1, charge)
				}
				if err != nil && c.card != "" && strings.Contains(err.Error(), c.card) {
					t.Errorf("the error tells the card: %v", err)
				}
			}
			if got := listed(box, r.Reference); got != c.listed {
				t.Errorf("listed %q, want %q", got, c.listed)
			}
			found, ok, err := s.Find(t.Context(), r.Key)
			taken := c.outcomes[len(c.outcomes)-1] == "ok"
			if err != nil || ok != taken || taken && found.Amount != r.Amount {
				t.Errorf("found %+v, %v, %v", found, ok, err)
			}
		})
	}
}

func TestTheKeyListedIsTheCallers(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	s := provider(t, box)
	for _, key := range []string{"saga:capture-payment:order#1", "it's \\ 'quoted'", strings.Repeat("long", 60)} {
		r := Request{Key: key, Reference: key, Amount: Money{100, "USD"}}
		if _, err := s.Capture(t.Context(), r, "tok_visa"); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := s.Find(t.Context(), key); !ok || err != nil {
			t.Errorf("key %q is not found: %v", key, err)
		}
		if _, err := s.Reverse(t.Context(), r, "refund-"+key); err != nil {
			t.Fatal(err)
		}
	}
	got := box.Payments()[:4]
	for i, want := range []string{"saga:capture-payment:order#1", "refund-saga:capture-payment:order#1", "it's \\ 'quoted'", "refund-it's \\ 'quoted'"} {
		if got[i].Key != want {
			t.Errorf("item %d has key %q, want %q", i, got[i].Key, want)
		}
	}
}

func TestDeclinedSaysWhy(t *testing.T) {
	t.Parallel()
	s := provider(t, sandboxtest.Start(t))
	_, err := s.Capture(t.Context(), request("x"), "tok_declined")
	var answer *Error
	if !errors.As(err, &answer) || Code(err) != "generic_decline" {
		t.Errorf("got %v", err)
	}
}

func TestReverse(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t, func(o *sandbox.Options) { o.SearchLag = time.Hour }) // search is of no help
	s := provider(t, box)
	zero := Money{0, "EUR"}
	capture := func(r Request, card string) { _, _ = s.Capture(t.Context(), r, card) }
	for name, c := range map[string]struct {
		card   string
		before func(r Request) // what there was
		taken  bool
		after  string // outcome of the same capture, come late
		listed string
	}{
		"nothing": {"tok_visa", func(Request) {}, false, "canceled", "cancel succeeded, charge declined"},
		"an unconfirmed intent": {"tok_visa", func(r Request) { _, _ = s.create(t.Context(), r) },
			false, "canceled", "cancel succeeded, charge declined"},
		"a charge": {"tok_visa", func(r Request) { capture(r, "tok_visa") },
			true, "ok", "charge succeeded, refund succeeded, charge replayed"},
		"a declined charge": {"tok_declined", func(r Request) { capture(r, "tok_declined") },
			false, "declined", "charge declined, cancel succeeded, charge replayed"},
		"a failed charge": {"tok_flaky", func(r Request) { capture(r, "tok_flaky") },
			false, "canceled", "charge failed, cancel succeeded, charge declined"},
		"a charge that got no answer": {"tok_timeout_after_charge", func(r Request) { capture(r, "tok_timeout_after_charge") },
			true, "ok", "charge succeeded, refund succeeded, charge replayed"},
		"an amount never taken": {"tok_visa", func(r Request) { capture(r, "tok_visa") }, false, "declined", ""},
		"an earlier reverse too": {"tok_visa", func(r Request) { _, _ = s.Reverse(t.Context(), r, "another key") },
			false, "canceled", "cancel succeeded, charge declined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(name)
			if name == "an amount never taken" {
				r.Amount.Amount = -1 // the provider refuses the capture, and refuses to be asked so
			}
			c.before(r)
			want := Reversal{Captured: zero, Refunded: zero}
			if c.taken {
				want.Captured, want.Refunded = r.Amount, r.Amount
			}
			var first Reversal
			for i, key := range []string{"undo " + name, "undo " + name, "redone " + name} {
				got, err := s.Reverse(t.Context(), r, key)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = got
				}
				if got != first || got.Taken() != c.taken || (got.RefundID != "") != c.taken || (got.PaymentID != "") != c.taken {
					t.Errorf("reversal %d: %+v, the first %+v", i+1, got, first)
				}
				got.RefundID, got.PaymentID = "", ""
				if got != want {
					t.Errorf("reversal %d: %+v, want %+v", i+1, got, want)
				}
			}
			if _, err := s.Capture(t.Context(), r, c.card); outcome(err) != c.after {
				t.Errorf("the late capture: %v, want %s", err, c.after)
			}
			if got := listed(box, r.Reference); got != c.listed {
				t.Errorf("listed %q, want %q", got, c.listed)
			}
			if charged, refunded := balance(box, r.Reference); charged != refunded {
				t.Errorf("charged %d, refunded %d", charged, refunded)
			}
		})
	}
}

// TestAfterTheWindow reverses when Stripe has forgotten every idempotency key.
func TestAfterTheWindow(t *testing.T) {
	t.Parallel()
	url := embeddedtest.Database(t, sandbox.Migrate)
	box := sandboxtest.StartOn(t, url)
	db, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	forget := func() {
		if _, err := db.ExecContext(t.Context(), "DELETE FROM sandbox.answer"); err != nil {
			t.Fatal(err)
		}
	}
	s, r := provider(t, box), request("x")
	charge, err := s.Capture(t.Context(), r, "tok_visa")
	if err != nil {
		t.Fatal(err)
	}
	var first Reversal
	for i := range 3 {
		forget()
		got, err := s.Reverse(t.Context(), r, "undo")
		if i == 0 {
			first = got
		}
		if err != nil || got != first || got.PaymentID != charge.PaymentID || got.Refunded != r.Amount {
			t.Errorf("reversal %d: %+v, %v", i+1, got, err)
		}
	}
	if _, err := s.Capture(t.Context(), r, "tok_visa"); !errors.Is(err, ErrCanceled) {
		t.Errorf("a capture after it: %v", err)
	}
	if charged, refunded := balance(box, r.Reference); charged != r.Amount.Amount || refunded != charged {
		t.Errorf("charged %d, refunded %d: %s", charged, refunded, listed(box, r.Reference))
	}
}

func TestReverseThatIsRefused(t *testing.T) {
	t.Parallel()
	box := sandboxtest.Start(t)
	s := provider(t, box)
	r := request("x")
	if _, err := s.Capture(t.Context(), r, "tok_refund_fails"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := s.Reverse(t.Context(), r, "undo")
		if outcome(err) != "refused" || !strings.Contains(err.Error(), "charge_not_refundable") {
			t.Errorf("got %v", err)
		}
	}
	if got, want := listed(box, r.Reference), "charge succeeded, refund declined, refund replayed"; got != want {
		t.Errorf("listed %q, want %q", got, want)
	}
}

func TestTheSameKeyForAnotherAmount(t *testing.T) {
	t.Parallel()
	s := provider(t, sandboxtest.Start(t))
	r := request("x")
	if _, err := s.Capture(t.Context(), r, "tok_visa"); err != nil {
		t.Fatal(err)
	}
	r.Amount.Amount++
	_, captured := s.Capture(t.Context(), r, "tok_visa")
	_, reversed := s.Reverse(t.Context(), r, "undo")
	if outcome(captured) != "later" || outcome(reversed) != "later" {
		t.Errorf("nobody can say what became of it, but: %v; %v", captured, reversed)
	}
}

// answering is a provider that gives one answer to everything.
func answering(t *testing.T, status int, header http.Header, body string) *Stripe {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name := range header {
			w.Header().Set(name, header.Get(name))
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	s, err := NewStripe(server.URL, "sk_test_secret")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnswersThatAreForNow(t *testing.T) {
	t.Parallel()
	const card = `{"error":{"type":"invalid_request_error","message":"token tok_secret","payment_intent":{"id":"pi_secret"}}}`
	for name, c := range map[string]struct {
		status int
		body   string
	}{
		"a wrong key":       {401, card},
		"no permission":     {403, card},
		"another account":   {404, card},
		"a locked object":   {429, `{"error":{"type":"invalid_request_error","code":"lock_timeout","message":"tok_secret"}}`},
		"a key in use":      {409, `{"error":{"type":"idempotency_error","message":"tok_secret"}}`},
		"a reused key":      {400, `{"error":{"type":"idempotency_error","message":"tok_secret"}}`},
		"an outage":         {500, `{"error":{"type":"api_error","message":"tok_secret"}}`},
		"a broken proxy":    {502, `<html>tok_secret</html>`},
		"a proxy's 400":     {400, `{"message":"tok_secret"}`},
		"not the provider":  {200, `<html>tok_secret</html>`},
		"a redirect":        {302, `tok_secret`},
		"an answer cut off": {200, `{"id":"pi_secret","sta`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := answering(t, c.status, nil, c.body)
			_, captured := s.Capture(t.Context(), request("x"), "tok_secret")
			_, _, found := s.Find(t.Context(), "x")
			_, reversed := s.Reverse(t.Context(), request("x"), "undo")
			for _, err := range []error{captured, found, reversed} {
				if outcome(err) != "later" || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0} {
		s := answering(t, 429, http.Header{"Retry-After": {header}}, `{"error":{"type":"invalid_request_error","code":"rate_limit"}}`)
		_, err := s.Capture(t.Context(), request("x"), "tok_visa")
		var patience interface{ RetryAfter() time.Duration }
		if !errors.As(err, &patience) || patience.RetryAfter() != want {
			t.Errorf("%q: %v", header, err)
		}
	}
	at := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := plainhttp.RetryAfter(at); got < 59*time.Minute || got > time.Hour {
		t.Errorf("%s: %s", at, got)
	}
}

func TestCallsEndWithTheContext(t *testing.T) {
	t.Parallel()
	s := provider(t, sandboxtest.Start(t, func(o *sandbox.Options) { o.Delay = time.Hour }))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Capture(ctx, request("x"), "tok_visa")
	if !errors.Is(err, context.DeadlineExceeded) || outcome(err) != "later" {
		t.Errorf("got %v", err)
	}
}

func TestNewStripe(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"ftp://x", "k"}, {"x", "k"}, {"http://", "k"}, {"http://x", ""}} {
		if _, err := NewStripe(c[0], c[1]); err == nil {
			t.Errorf("took %v", c)
		}
	}
	if _, err := NewStripe("", "k"); err != nil {
		t.Error(err)
	}
}
