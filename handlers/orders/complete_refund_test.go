package orders_test

import (
	"testing"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
)

func TestCompleteRefund(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.customer("ana@example.com")
	for name, c := range map[string]struct {
		because func(id string) choreo.Fact
		end     order.RefundStatus
	}{
		"refunded": {func(id string) choreo.Fact {
			return events.PaymentRefunded{OrderID: id, RefundID: "re_1", Amount: total}
		}, order.RefundCompleted},
		"not needed": {func(id string) choreo.Fact { return events.RefundNotNeeded{OrderID: id} }, order.RefundNone},
	} {
		t.Run(name, func(t *testing.T) {
			p := s.order(ana, "tok_visa")
			s.When("complete-refund", c.because(p.id), p.saga).Emits()
			s.isState(p, order.Submitted, order.RefundNone, 0, 0)
			s.cancel(p)
			s.When("complete-refund", c.because(p.id), p.saga).Emits(events.RefundCompleted{OrderID: p.id})
			s.isState(p, order.Canceled, c.end, 0, 0)
			s.When("complete-refund", c.because(p.id), p.saga).Emits()

			owed := s.order(ana, "tok_visa")
			s.cancel(owed)
			s.given(owed, (*order.Order).FlagRefund)
			s.When("complete-refund", c.because(owed.id), owed.saga).Emits(events.RefundCompleted{OrderID: owed.id})
			s.isState(owed, order.Canceled, c.end, 0, 0)

			s.When("complete-refund", c.because("nobody's"), "").Emits()
		})
	}
}
