package orders_test

import (
	"testing"

	"troupe/domain/order"
	"troupe/events"
)

func TestSyncCarrierTellsTheCarrier(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"54321", "00001"} { // the latter is flaky
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := open(t)
			p := s.order(s.customer("ana@example.com"), "tok_visa")
			s.goes(p, "12345", order.CarrierNone)
			m := s.move(p, code)
			if m.fact.Version != 2 {
				t.Errorf("the first change has version %d", m.fact.Version)
			}
			s.goes(p, code, order.CarrierPending)
			r := s.When("sync-carrier", m.fact, m.saga)
			for tries := 0; r.State == "waiting" && tries < 4; tries++ {
				s.due(r)
				r = s.Again(r)
			}
			r.Emits(synced(m))
			s.goes(p, code, order.CarrierSynced)
			updates := s.sandbox.Updates()
			last := updates[len(updates)-1]
			if last.Status != "succeeded" || last.OrderID != p.id || last.ChangeID != m.fact.ChangeID ||
				last.ShippingInfo.Street != "2 Lane" || last.Key == "" {
				t.Errorf("the carrier was told %+v", last)
			}

			s.Again(r).Emits(synced(m))                            // what came of it the first time
			s.When("sync-carrier", m.fact, m.saga).Emits()         // a copy of the fact
			s.When("sync-carrier", m.fact, "another saga").Emits() //
			s.When("sync-carrier", events.ShippingInfoChanged{     //
				OrderID: "nobody's", ChangeID: "c", Version: 2}, "").Emits()
			if len(s.sandbox.Updates()) != len(updates) {
				t.Error("the carrier was told again")
			}
		})
	}
}

func TestSyncCarrierRefusedForGood(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	m := s.move(p, "00000")
	s.When("sync-carrier", m.fact, m.saga).Emits(syncFailed(m, "refused"))
}

func TestSyncCarrierOfAnErasedPerson(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	m := s.move(p, "54321")
	s.exec(`delete from shipping_infos`)
	s.When("sync-carrier", m.fact, m.saga).Emits(syncFailed(m, "erased"))
	if len(s.sandbox.Updates()) > 0 {
		t.Error("the carrier was told")
	}
}

func TestSyncCarrierGivesUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deaf   bool
		reason string
	}{
		"nobody can say": {true, "unknown"},
		"it had been":    {false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, loseCarrier(&c.deaf))
			p := s.order(s.customer("ana@example.com"), "tok_visa")
			m := s.move(p, "54321")
			r := s.When("sync-carrier", m.fact, m.saga)
			r.Emits()
			s.old(r)
			if c.reason == "" {
				s.Again(r).Emits(synced(m))
			} else {
				s.Again(r).Emits(syncFailed(m, c.reason))
			}
		})
	}
}
