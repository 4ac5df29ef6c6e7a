package orders_test

import (
	"context"
	"testing"

	"troupe/domain/order"
	"troupe/events"
	"troupe/handlers"
	provider "troupe/providers/payment"
)

// muffled is a provider that does what it is told and whose answers are lost, and
// that cannot be asked either while it is down.
type muffled struct {
	provider.Payments
	down *bool
}

func (m muffled) Capture(ctx context.Context, r provider.Request, card string) (provider.Charge, error) {
	return loser{m.Payments}.Capture(ctx, r, card)
}

func (m muffled) Find(ctx context.Context, key string) (provider.Charge, bool, error) {
	if *m.down {
		return provider.Charge{}, false, errLost
	}
	return m.Payments.Find(ctx, key)
}

func (m muffled) Reverse(ctx context.Context, r provider.Request, key string) (provider.Reversal, error) {
	if reversal, err := m.Payments.Reverse(ctx, r, key); err != nil || !*m.down {
		return reversal, err
	}
	return provider.Reversal{}, errLost
}

func (m muffled) FindReversal(ctx context.Context, reference string) (provider.Reversal, bool, error) {
	if *m.down {
		return provider.Reversal{}, false, errLost
	}
	return m.Payments.FindReversal(ctx, reference)
}

// unknown has a capture give up without anyone knowing what came of it, and the
// order canceled for it.
func (s *shop) unknown() (p placed, canceled events.OrderCanceled, watch func()) {
	s.t.Helper()
	p = s.order(s.customer("ana@example.com"), "tok_visa")
	r := s.When("capture-payment", p.submitted, p.saga)
	r.Emits()
	s.old(r)
	lost := events.PaymentUnknown{OrderID: p.id, Reason: "unknown"}
	s.Again(r).Emits(lost)
	s.When("cancel-unpaid-order", lost, p.saga).Read(&canceled)
	return p, canceled, func() {
		s.Watch(r)
		s.Again(r).Emits(lost) // one step, one outcome
	}
}

// The charge was made, nobody could say so, and the refund found it by itself:
// what the watch finds out later changes nothing.
func TestAChargeThatTheRefundFoundIsRefundedOnce(t *testing.T) {
	t.Parallel()
	down := true
	s := open(t, func(o *handlers.Outside) { o.Payments = muffled{o.Payments, &down} })
	p, canceled, watch := s.unknown()
	down = false
	refund := s.When("refund-payment", canceled, p.saga)
	var refunded events.PaymentRefunded
	refund.Read(&refunded)
	s.When("complete-refund", refunded, p.saga).Emits(events.RefundCompleted{OrderID: p.id})
	watch()
	s.Again(refund).Emits(refunded)
	s.isState(p, order.Canceled, order.RefundCompleted, 750, 750)
	if did := s.provided(); did["charge succeeded"] != 1 || did["refund succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}

// tardy is a provider that charges long after it was asked, and after it had
// said that there is nothing to reverse.
type tardy struct {
	noProvider
	charged bool
	refunds map[string]bool
}

func (t *tardy) Find(context.Context, string) (provider.Charge, bool, error) {
	return provider.Charge{PaymentID: "late", Amount: provider.Money(total)}, t.charged, nil
}

func (t *tardy) Reverse(_ context.Context, r provider.Request, _ string) (provider.Reversal, error) {
	if !t.charged {
		return provider.Reversal{Captured: provider.Money(none), Refunded: provider.Money(none)}, nil
	}
	t.refunds[r.Key] = true
	return provider.Reversal{PaymentID: "late", Captured: r.Amount, RefundID: "back", Refunded: r.Amount}, nil
}

func TestAChargeThatComesAfterItsRefundIsRefunded(t *testing.T) {
	t.Parallel()
	bank := &tardy{refunds: map[string]bool{}}
	s := open(t, func(o *handlers.Outside) { o.Payments = bank })
	p, canceled, watch := s.unknown()
	refund := s.When("refund-payment", canceled, p.saga)
	notNeeded := events.RefundNotNeeded{OrderID: p.id}
	refund.Emits(notNeeded)
	s.When("complete-refund", notNeeded, p.saga).Emits(events.RefundCompleted{OrderID: p.id})
	s.isState(p, order.Canceled, order.RefundNone, 0, 0)
	watch() // it is not there yet

	bank.charged = true
	watch()
	refunded := events.PaymentRefunded{OrderID: p.id, RefundID: "back", Amount: total}
	s.Again(refund).Emits(notNeeded, refunded)
	s.Again(refund).Emits(notNeeded, refunded)
	s.When("complete-refund", refunded, p.saga).Emits(events.RefundCompleted{OrderID: p.id})
	s.isState(p, order.Canceled, order.RefundCompleted, 750, 750)
	if len(bank.refunds) != 1 {
		t.Errorf("refunded %d times", len(bank.refunds))
	}
}

// A refund that was made and whose answer was lost is owed until the provider can
// be asked: then it is told after all.
func TestARefundThatWasMadeIsToldWhenTheProviderCanBeAsked(t *testing.T) {
	t.Parallel()
	down := true
	s := open(t, func(o *handlers.Outside) { o.Payments = muffled{o.Payments, &down} })
	p, canceled, _ := s.unknown()
	refund := s.When("refund-payment", canceled, p.saga)
	refund.Emits()
	s.old(refund)
	owed := events.RefundFailed{OrderID: p.id, Reason: "unavailable"}
	s.Again(refund).Emits(owed)
	s.When("flag-refund", owed, p.saga)
	s.isState(p, order.Canceled, order.RefundFailed, 0, 0)

	down = false
	s.Watch(refund)
	again := s.Again(refund)
	var refunded events.PaymentRefunded
	again.Last(&refunded)
	s.When("complete-refund", refunded, p.saga).Emits(events.RefundCompleted{OrderID: p.id})
	s.isState(p, order.Canceled, order.RefundCompleted, 750, 750)
	if did := s.provided(); did["refund succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}

// A mail cannot be asked about: one that gave up is not watched.
func TestAMailThatGaveUpIsNotWatched(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("flaky@example.com"), "tok_visa")
	s.given(p, func(o *order.Order) { o.Confirm() })
	r := s.When("mail-buyer", events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID}, p.saga)
	r.Emits()
	s.old(r)
	s.Again(r).Emits(events.BuyerMailFailed{OrderID: p.id, Reason: "unavailable"})
	if n := s.Count(`select count(*) from choreo.steps where consumer = 'mail-buyer' and state = 'gave-up' and watch_at is null`); n != 1 {
		t.Error("the mail is watched")
	}
}
