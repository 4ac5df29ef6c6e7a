package orders_test

import (
	"testing"

	"troupe/domain/order"
	"troupe/events"
)

// The carrier took the change and its answer was lost for a day: it is told
// where the order goes now.
func TestRecallCarrier(t *testing.T) {
	t.Parallel()
	deaf := false
	s := open(t, loseCarrier(&deaf))
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	m := s.move(p, "54321")
	sync := s.When("sync-carrier", m.fact, m.saga)
	sync.Emits()
	if last, _ := s.told(); last != "54321" {
		t.Fatalf("the carrier was told %q", last)
	}
	s.old(sync)
	deaf = true
	s.Again(sync).Emits(syncFailed(m, "unknown"))
	s.When("revert-shipping-info", syncFailed(m, "unknown"), m.saga).Emits(reverted(m))
	s.When("recall-carrier", reverted(m), "another saga").Emits()
	recall := s.When("recall-carrier", reverted(m), m.saga)
	recall.Emits() // for now
	s.old(recall)
	s.Again(recall).Emits(events.CarrierRecallFailed{OrderID: p.id, ChangeID: m.fact.ChangeID, Reason: "unknown"})
	s.goes(p, "12345", order.CarrierFailed)
}

func TestRecallCarrierTellsWhereTheOrderGoesNow(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	m := s.move(p, "00000")
	s.When("sync-carrier", m.fact, m.saga).Emits(syncFailed(m, "refused"))
	s.When("revert-shipping-info", syncFailed(m, "refused"), m.saga).Emits(reverted(m))
	r := s.When("recall-carrier", reverted(m), m.saga)
	r.Emits(recalled(m))
	if last, inVain := s.told(); last != "12345" || inVain != 1 {
		t.Errorf("the carrier brings it to %q, told %d times in vain", last, inVain)
	}
	s.Again(r).Emits(recalled(m))
	s.goes(p, "12345", order.CarrierFailed)
}

// What the carrier never heard of need not be recalled.
func TestRecallCarrierOfAnErasedPerson(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	m := s.move(p, "54321")
	s.exec(`delete from shipping_infos`)
	s.When("sync-carrier", m.fact, m.saga).Emits(syncFailed(m, "erased"))
	s.When("revert-shipping-info", syncFailed(m, "erased"), m.saga).Emits(reverted(m))
	s.When("recall-carrier", reverted(m), m.saga).Emits(recalled(m))
	if len(s.sandbox.Updates()) > 0 {
		t.Error("the carrier was told")
	}
}
