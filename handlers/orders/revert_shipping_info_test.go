package orders_test

import (
	"testing"

	"troupe/domain/order"
)

func TestRevertShippingInfo(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")

	m := s.move(p, "00000")
	s.When("revert-shipping-info", syncFailed(m, "refused"), "another saga").Emits()
	s.goes(p, "00000", order.CarrierPending)
	s.When("revert-shipping-info", syncFailed(m, "refused"), m.saga).Emits(reverted(m))
	s.goes(p, "12345", order.CarrierFailed) // as ordered
	s.When("revert-shipping-info", syncFailed(m, "refused"), m.saga).Emits()

	accepted := s.move(p, "11111")
	s.When("sync-carrier", accepted.fact, accepted.saga).Emits(synced(accepted))
	s.When("revert-shipping-info", syncFailed(accepted, "refused"), accepted.saga).Emits()
	m = s.move(p, "00000")
	if m.fact.Version != 4 {
		t.Errorf("the third change has version %d", m.fact.Version)
	}
	s.When("revert-shipping-info", syncFailed(m, "refused"), m.saga).Emits(reverted(m))
	s.goes(p, "11111", order.CarrierFailed) // as the carrier last agreed

	m.fact.OrderID = "nobody's"
	s.When("revert-shipping-info", syncFailed(m, "refused"), m.saga).Emits()
}
