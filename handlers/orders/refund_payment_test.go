package orders_test

import (
	"testing"

	"troupe/choreo/consume"
	"troupe/domain/order"
	"troupe/events"
	"troupe/handlers"
)

func TestRefundPaymentGivesBackWhatWasCaptured(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.When("capture-payment", p.submitted, p.saga).Read(&events.PaymentCaptured{})
	canceled := s.cancel(p) // says nothing of a payment id

	// A copy of the fact in another saga cannot see this one's charge.
	copied := s.When("refund-payment", canceled, "another saga")
	if copied.Emits(); copied.State != "done" {
		t.Errorf("the copy in another saga is %s: %s", copied.State, copied.Error)
	}
	r := s.When("refund-payment", canceled, p.saga)
	var f events.PaymentRefunded
	r.Read(&f)
	if f.OrderID != p.id || f.RefundID == "" || f.Amount != total {
		t.Errorf("refunded %+v", f)
	}
	s.isState(p, order.Canceled, order.RefundStarted, 750, 750)
	s.given(p, func(o *order.Order) { o.SettleRefund(true) })
	s.Again(r).Emits(f)
	s.When("refund-payment", canceled, p.saga).Emits() // a copy of the fact
	if did := s.provided(); did["refund succeeded"] != 1 || did["charge succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}

func TestRefundPaymentOfAChargeThatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	s := open(t, losingAnswers)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.When("capture-payment", p.submitted, p.saga).Emits()
	canceled := s.cancel(p)
	var f events.PaymentRefunded
	s.When("refund-payment", canceled, p.saga).Read(&f)
	s.isState(p, order.Canceled, order.RefundStarted, 750, 750)
	if did := s.provided(); did["charge succeeded"] != 1 || did["refund succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}

func TestRefundPaymentCancelsAChargeThatCouldStillSucceed(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_flaky")
	capture := s.When("capture-payment", p.submitted, p.saga)
	capture.Emits() // failed for now, to be tried again
	canceled := s.cancel(p)
	s.When("refund-payment", canceled, p.saga).Emits(events.RefundNotNeeded{OrderID: p.id})
	s.due(capture)
	s.Again(capture).Emits()
	s.isState(p, order.Canceled, order.RefundStarted, 0, 0)
	if did := s.provided(); did["charge succeeded"] != 0 || did["cancel succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}

func TestRefundPaymentAfterADecline(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_declined")
	var declined events.PaymentDeclined
	s.When("capture-payment", p.submitted, p.saga).Read(&declined)
	var canceled events.OrderCanceled
	s.When("cancel-unpaid-order", declined, p.saga).Read(&canceled)
	s.When("refund-payment", canceled, p.saga).Emits(events.RefundNotNeeded{OrderID: p.id})
	s.isState(p, order.Canceled, order.RefundStarted, 0, 0)
}

func TestRefundPaymentBeforeTheCapture(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	canceled := s.cancel(p)
	s.When("refund-payment", canceled, p.saga).Emits(events.RefundNotNeeded{OrderID: p.id})
	late := s.When("capture-payment", p.submitted, p.saga)
	late.Emits()
	if late.Outcome != consume.Undone {
		t.Errorf("the late capture was %s", late.Outcome)
	}
	if did := s.provided(); len(did) > 0 {
		t.Errorf("the provider did %v", did)
	}
}

func TestRefundPaymentRefusedForGood(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_refund_fails")
	s.When("capture-payment", p.submitted, p.saga).Read(&events.PaymentCaptured{})
	canceled := s.cancel(p)
	s.When("refund-payment", canceled, p.saga).Emits(events.RefundFailed{OrderID: p.id, Reason: "refused"})
	s.isState(p, order.Canceled, order.RefundStarted, 750, 0)
}

// A provider that cannot be asked leaves the refund owed.
func TestRefundPaymentGivesUp(t *testing.T) {
	t.Parallel()
	s := open(t, unreachable)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.When("capture-payment", p.submitted, p.saga).Emits()
	canceled := s.cancel(p)
	r := s.When("refund-payment", canceled, p.saga)
	r.Emits()
	s.old(r)
	s.Again(r).Emits(events.RefundFailed{OrderID: p.id, Reason: "unavailable"})
}

func TestRefundPaymentOfAnOrderThatOwesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *handlers.Outside) { o.Payments = nil })
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	forged := events.OrderCanceled{OrderID: p.id, By: "buyer"}
	s.When("refund-payment", forged, p.saga).Emits()
	s.When("refund-payment", events.OrderCanceled{OrderID: "nobody's", By: "buyer"}, "").Emits()
}
