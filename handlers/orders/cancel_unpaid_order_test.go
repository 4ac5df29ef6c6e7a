package orders_test

import (
	"testing"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
)

func TestCancelUnpaidOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.customer("ana@example.com")
	for name, because := range map[string]func(id, reason string) choreo.Fact{
		"declined": func(id, reason string) choreo.Fact { return events.PaymentDeclined{OrderID: id, Reason: reason} },
		"unknown":  func(id, reason string) choreo.Fact { return events.PaymentUnknown{OrderID: id, Reason: reason} },
	} {
		t.Run(name, func(t *testing.T) {
			p := s.order(ana, "tok_visa")
			fact := because(p.id, name)
			s.When("cancel-unpaid-order", fact, p.saga).Emits(events.OrderCanceled{OrderID: p.id, By: "payment", Reason: name})
			s.isState(p, order.Canceled, order.RefundStarted, 0, 0)
			s.When("cancel-unpaid-order", fact, p.saga).Emits()

			canceled := s.order(ana, "tok_visa")
			s.cancel(canceled)
			s.When("cancel-unpaid-order", because(canceled.id, name), canceled.saga).Emits()

			s.When("cancel-unpaid-order", because("nobody's", name), "").Emits()
		})
	}
}
