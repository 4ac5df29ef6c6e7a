package orders_test

import (
	"testing"

	"troupe/domain/order"
	"troupe/events"
)

func TestConfirmOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	captured := events.PaymentCaptured{OrderID: p.id, PaymentID: "pi_1", Amount: total}
	s.When("confirm-order", captured, p.saga).Emits(events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID})
	s.isState(p, order.Confirmed, order.RefundNone, 0, 0)
	s.When("confirm-order", captured, p.saga).Emits()

	canceled := s.order(p.submitted.AccountID, "tok_visa")
	s.cancel(canceled)
	s.When("confirm-order", events.PaymentCaptured{OrderID: canceled.id, PaymentID: "pi_2", Amount: total}, canceled.saga).Emits()
	s.isState(canceled, order.Canceled, order.RefundStarted, 0, 0)

	s.When("confirm-order", events.PaymentCaptured{OrderID: "nobody's", PaymentID: "pi_3", Amount: total}, "").Emits()
}
