package orders_test

import (
	"testing"

	"troupe/domain/order"
	"troupe/events"
	"troupe/handlers"
)

func TestCapturePaymentChargesTheCard(t *testing.T) {
	t.Parallel()
	for _, card := range []string{"tok_visa", "tok_flaky", "tok_timeout_after_charge"} {
		t.Run(card, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			p := s.order(s.customer("ana@example.com"), card)
			r := s.When("capture-payment", p.submitted, p.saga)
			for tries := 0; r.State == "waiting" && tries < 4; tries++ {
				s.due(r)
				r = s.Again(r)
			}
			var f events.PaymentCaptured
			r.Read(&f)
			if f.OrderID != p.id || f.PaymentID == "" || f.Amount != total {
				t.Errorf("captured %+v", f)
			}
			s.isState(p, order.Submitted, order.RefundNone, 750, 0)
			if n := s.provided()["charge succeeded"]; n != 1 {
				t.Errorf("charged %d times", n)
			}
			s.Again(r).Emits(f) // what came of it the first time, and nothing more
			if n := s.provided()["charge succeeded"]; n != 1 {
				t.Errorf("charged %d times after the event came again", n)
			}
		})
	}
}

func TestCapturePaymentDeclined(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_declined")
	s.When("capture-payment", p.submitted, p.saga).Emits(events.PaymentDeclined{OrderID: p.id, Reason: "generic_decline"})
	s.isState(p, order.Submitted, order.RefundNone, 0, 0)
}

func TestCapturePaymentOfAnErasedBuyer(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.exec(`delete from payment_methods`)
	s.When("capture-payment", p.submitted, p.saga).Emits(events.PaymentDeclined{OrderID: p.id, Reason: "erased"})
	if did := s.provided(); len(did) > 0 {
		t.Errorf("the provider did %v", did)
	}
}

func TestCapturePaymentGivesUp(t *testing.T) {
	t.Parallel()
	t.Run("never called", func(t *testing.T) {
		t.Parallel()
		s := open(t, func(o *handlers.Outside) { o.CardKey = cardKey[:31] })
		p := placed{id: "o", saga: "s", submitted: events.OrderSubmitted{OrderID: "o", AccountID: "a", PaymentMethodID: "m", Total: total}}
		s.exec(`insert into orders values ('o', 'a', 's', 'submitted', 'none', 'EUR', 750, '[]', 1, '', now())`)
		r := s.When("capture-payment", p.submitted, p.saga)
		r.Emits()
		s.old(r)
		s.Again(r).Emits(events.PaymentDeclined{OrderID: "o", Reason: "unavailable"})
	})
	for name, outside := range map[string]func(*handlers.Outside){
		"called, not answered, and not to be asked": unreachable,
		"called, not answered, and not found yet":   losingCalls,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, outside)
			p := s.order(s.customer("ana@example.com"), "tok_visa")
			r := s.When("capture-payment", p.submitted, p.saga)
			r.Emits()
			s.old(r)
			s.Again(r).Emits(events.PaymentUnknown{OrderID: p.id, Reason: "unknown"})
		})
	}
	t.Run("called, not answered, and found", func(t *testing.T) {
		t.Parallel()
		s := open(t, losingAnswers)
		p := s.order(s.customer("ana@example.com"), "tok_visa")
		r := s.When("capture-payment", p.submitted, p.saga)
		r.Emits()
		s.isState(p, order.Submitted, order.RefundNone, 0, 0)
		s.old(r)
		var f events.PaymentCaptured
		s.Again(r).Read(&f)
		s.isState(p, order.Submitted, order.RefundNone, 750, 0)
		if n := s.provided()["charge succeeded"]; n != 1 {
			t.Errorf("charged %d times", n)
		}
	})
}

func TestCapturePaymentLeavesACanceledOrderAlone(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	f := s.cancel(p)
	s.When("capture-payment", p.submitted, p.saga).Emits()
	s.When("refund-payment", f, p.saga).Emits(events.RefundNotNeeded{OrderID: p.id})
	if did := s.provided(); len(did) > 0 {
		t.Errorf("the provider was asked about a charge that was never made: %v", did)
	}
}

func TestCapturePaymentChargesOnceForCopiesOfTheFact(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.When("capture-payment", p.submitted, p.saga).Read(&events.PaymentCaptured{})
	s.When("capture-payment", p.submitted, p.saga).Emits()
	s.When("capture-payment", p.submitted, "another saga").Emits()
	unknown := p.submitted
	unknown.OrderID = "nobody's"
	s.When("capture-payment", unknown, "").Emits()
	if did := s.provided(); did["charge succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}

func TestCapturePaymentOfAFreeOrder(t *testing.T) {
	t.Parallel()
	s := open(t, func(o *handlers.Outside) { o.Payments = nil })
	p := s.orderOf(s.customer("ana@example.com"), "tok_visa", 0)
	var f events.PaymentCaptured
	s.When("capture-payment", p.submitted, p.saga).Read(&f)
	if f.PaymentID == "" || f.Amount != none {
		t.Errorf("captured %+v", f)
	}
	s.When("confirm-order", f, p.saga).Emits(events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID})
	canceled := s.cancel(p)
	s.When("refund-payment", canceled, p.saga).Emits(events.RefundNotNeeded{OrderID: p.id})
}
