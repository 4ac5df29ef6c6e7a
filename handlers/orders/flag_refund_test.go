package orders_test

import (
	"testing"

	"troupe/domain/order"
	"troupe/events"
)

func TestFlagRefund(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	failed := events.RefundFailed{OrderID: p.id, Reason: "refused"}
	s.When("flag-refund", failed, p.saga).Emits()
	s.isState(p, order.Submitted, order.RefundNone, 0, 0)
	s.cancel(p)
	s.When("flag-refund", failed, p.saga).Emits()
	s.isState(p, order.Canceled, order.RefundFailed, 0, 0)

	// One that comes after a refund done again changes nothing.
	s.given(p, func(o *order.Order) { o.SettleRefund(true) })
	s.When("flag-refund", failed, p.saga).Emits()
	s.isState(p, order.Canceled, order.RefundCompleted, 0, 0)

	s.When("flag-refund", events.RefundFailed{OrderID: "nobody's"}, "").Emits()
}
