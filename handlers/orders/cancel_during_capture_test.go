package orders_test

import (
	"testing"

	"troupe/choreo/choreotest"
	"troupe/domain/order"
	"troupe/events"
)

// An order canceled while its charge is under way: the refund waits for what
// comes of the charge, and gives it back.
func TestCancelWhileTheCaptureHangs(t *testing.T) {
	t.Parallel()
	var s *shop
	var p placed
	var refund *choreotest.Result
	s = open(t, during(func() {
		refund = s.When("refund-payment", s.cancel(p), p.saga)
		refund.Emits()
	}))
	p = s.order(s.customer("ana@example.com"), "tok_visa")
	var captured events.PaymentCaptured
	s.When("capture-payment", p.submitted, p.saga).Read(&captured)
	if refund.State != "waiting" {
		t.Errorf("the refund did not wait: it is %s", refund.State)
	}
	s.When("confirm-order", captured, p.saga).Emits()
	s.isState(p, order.Canceled, order.RefundStarted, 750, 0)

	s.due(refund)
	var refunded events.PaymentRefunded
	s.Again(refund).Read(&refunded)
	s.When("complete-refund", refunded, p.saga).Emits(events.RefundCompleted{OrderID: p.id})
	s.isState(p, order.Canceled, order.RefundCompleted, 750, 750)
	if did := s.provided(); did["charge succeeded"] != 1 || did["refund succeeded"] != 1 {
		t.Errorf("the provider did %v", did)
	}
}
