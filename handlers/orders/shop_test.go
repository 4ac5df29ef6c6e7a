package orders_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/domain/payment"
	"troupe/events"
	"troupe/handlers"
	"troupe/providers/carrier"
	"troupe/providers/mail"
	provider "troupe/providers/payment"
	"troupe/sandbox/sandboxtest"
)

var (
	cardKey = bytes.Repeat([]byte{7}, 32)
	total   = events.Money{Amount: 750, Currency: "EUR"}
	none    = events.Money{Currency: "EUR"}
)

// shop is the real flow over a database of the test's own, with a sandbox that
// takes its mail and its money.
type shop struct {
	*choreotest.Stage
	t       testing.TB
	sandbox *sandboxtest.Sandbox
}

func migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	return domain.Migrate(ctx, pool)
}

func open(t testing.TB, change ...func(*handlers.Outside)) *shop {
	t.Helper()
	s := &shop{t: t, sandbox: sandboxtest.Start(t)}
	payments, err := provider.NewStripe(s.sandbox.PaymentURL(), sandboxtest.PaymentKey)
	if err != nil {
		t.Fatal(err)
	}
	mailer, err := mail.NewSMTP(s.sandbox.MailURL(), "shop@example.com")
	if err != nil {
		t.Fatal(err)
	}
	carriers, err := carrier.NewHTTP(s.sandbox.CarrierURL())
	if err != nil {
		t.Fatal(err)
	}
	out := handlers.Outside{Mail: mailer, Payments: payments, Carrier: carriers, TokenKey: []byte("token key"), CardKey: cardKey}
	for _, c := range change {
		c(&out)
	}
	flow, err := handlers.Flow(out)
	if err != nil {
		t.Fatal(err)
	}
	s.Stage = choreotest.New(t, flow, migrate)
	return s
}

// customer signs up.
func (s *shop) customer(email string) (id string) {
	s.t.Helper()
	s.Given("sign-up", func(ctx context.Context, tx *choreo.Tx) error {
		a, err := account.SignUp(ctx, tx, account.Person{Email: email, Name: "Ana"}, []byte("hash"))
		if err == nil {
			id = a.ID
		}
		return err
	})
	return id
}

// placed is an order and what was said of it.
type placed struct {
	id, saga  string
	submitted events.OrderSubmitted
}

// order places one of the customer, over 750 cents.
func (s *shop) order(accountID, card string) placed {
	s.t.Helper()
	return s.orderOf(accountID, card, total.Amount)
}

func (s *shop) orderOf(accountID, card string, amount int64) (p placed) {
	s.t.Helper()
	r := s.Given("place-order", func(ctx context.Context, tx *choreo.Tx) error {
		p.id = tx.NewID()
		lines := []events.OrderLine{{SKU: "pen", Quantity: 1, UnitPrice: events.Money{Amount: amount, Currency: "EUR"}}}
		o, err := order.Place(p.id, accountID, lines, card, order.Shipping{
			Name: "Ana", Street: "1 Road", City: "Town", PostalCode: "12345", Country: "DE",
		})
		if err != nil {
			return err
		}
		return o.Save(ctx, tx)
	})
	p.saga = r.Saga
	s.fact(p.id, &p.submitted)
	return p
}

// cancel is what the buyer does, and gives the fact that it raises.
func (s *shop) cancel(p placed) (f events.OrderCanceled) {
	s.t.Helper()
	s.Given("cancel-order", func(ctx context.Context, tx *choreo.Tx) error {
		o, _, err := order.Load(ctx, tx, p.id)
		if err != nil {
			return err
		}
		tx.JoinSaga(o.Saga)
		if err := o.Cancel("requested-by-buyer", nil, nil); err != nil {
			return err
		}
		return o.Save(ctx, tx)
	})
	s.fact(p.id, &f)
	return f
}

// given changes the order outside of any consumer.
func (s *shop) given(p placed, change func(*order.Order)) {
	s.t.Helper()
	s.Given("cancel-order", func(ctx context.Context, tx *choreo.Tx) error {
		o, _, err := order.Load(ctx, tx, p.id)
		if err != nil {
			return err
		}
		change(o)
		// Its facts are not of interest, and not of this command.
		_, err = tx.ExecContext(ctx, `update orders set state = $2, refund_status = $3 where order_id = $1`,
			p.id, string(o.State()), string(o.Refund()))
		return err
	})
}

// due lets the wait of a step be over.
func (s *shop) due(r *choreotest.Result) {
	s.t.Helper()
	s.exec(`update choreo.steps set due_at = due_at - interval '1 hour' where event_id = $1`, r.EventID())
}

// old makes a step older than any of them may become.
func (s *shop) old(r *choreotest.Result) {
	s.t.Helper()
	s.due(r)
	s.exec(`update choreo.steps set begun_at = begun_at - interval '30 days' where event_id = $1`, r.EventID())
}

func (s *shop) exec(query string, args ...any) {
	s.t.Helper()
	if _, err := s.DB.Pool().ExecContext(s.t.Context(), query, args...); err != nil {
		s.t.Fatal(err)
	}
}

// fact reads the fact of its type that a command raised.
func (s *shop) fact(key string, into choreo.Fact) {
	s.t.Helper()
	var data []byte
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select data from choreo.outbox where key = $1 and type = $2`,
		key, into.FactType()).Scan(&data)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		s.t.Fatalf("reading %s of %s: %v", into.FactType(), key, err)
	}
}

// factOf reads the fact of an event.
func (s *shop) factOf(eventID string, into choreo.Fact) {
	s.t.Helper()
	var data []byte
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select data from choreo.outbox where event_id = $1`, eventID).Scan(&data)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		s.t.Fatalf("reading event %s: %v", eventID, err)
	}
}

// isState checks the order, and that captured minus refunded is what it says.
func (s *shop) isState(p placed, state order.State, refund order.RefundStatus, captured, refunded int64) {
	s.t.Helper()
	s.Given("cancel-order", func(ctx context.Context, tx *choreo.Tx) error {
		o, _, err := order.Find(ctx, tx, p.id)
		if err != nil {
			return err
		}
		m, found, err := payment.Find(ctx, tx, p.id)
		if err != nil {
			return err
		}
		if !found {
			m = &payment.Payment{}
		}
		if o.State() != state || o.Refund() != refund || m.Captured.Amount != captured || m.Refunded.Amount != refunded {
			s.t.Errorf("order is %s, refund %s, captured %d, refunded %d; want %s, %s, %d, %d", o.State(), o.Refund(),
				m.Captured.Amount, m.Refunded.Amount, state, refund, captured, refunded)
		}
		return nil
	})
}

// provided counts what the provider did of a kind, such as "charge succeeded".
func (s *shop) provided() map[string]int {
	s.t.Helper()
	did := map[string]int{}
	for _, p := range s.sandbox.Payments() {
		did[p.Kind+" "+p.Status]++
	}
	return did
}
