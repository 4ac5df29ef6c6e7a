package orders_test

import (
	"strings"
	"testing"

	"troupe/domain/order"
	"troupe/events"
)

func TestMailBuyer(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.given(p, (*order.Order).Confirm)
	confirmed := events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID}
	r := s.When("mail-buyer", confirmed, p.saga)
	r.Emits(events.BuyerMailed{OrderID: p.id})
	s.Again(r).Emits(events.BuyerMailed{OrderID: p.id})
	s.When("mail-buyer", confirmed, "another saga").Emits() // a copy of the fact
	got := s.sandbox.Mail()
	if len(got) != 1 || got[0].To != "ana@example.com" || got[0].Kind != "order-confirmed" || !strings.Contains(got[0].Text, p.id) {
		t.Errorf("mails: %+v", got)
	}
}

func TestMailBuyerTriesAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("flaky@example.com"), "tok_visa")
	s.given(p, (*order.Order).Confirm)
	r := s.When("mail-buyer", events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID}, p.saga)
	for tries := 0; r.State == "waiting" && tries < 4; tries++ {
		r.Emits()
		s.due(r)
		r = s.Again(r)
	}
	r.Emits(events.BuyerMailed{OrderID: p.id})
}

func TestMailBuyerFails(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, c := range []struct{ name, email, forget, reason string }{
		{"refused", "bounce@example.com", "", "refused"},
		{"erased", "ana@example.com", `delete from accounts where email = 'ana@example.com'`, "erased"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := s.order(s.customer(c.email), "tok_visa")
			s.given(p, (*order.Order).Confirm)
			if c.forget != "" {
				s.exec(c.forget)
			}
			s.When("mail-buyer", events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID}, p.saga).
				Emits(events.BuyerMailFailed{OrderID: p.id, Reason: c.reason})
			s.isState(p, order.Confirmed, order.RefundNone, 0, 0)
		})
	}
}

func TestMailBuyerOnlyOfAnOrderThatWasConfirmed(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.When("mail-buyer", events.OrderConfirmed{OrderID: p.id, AccountID: p.submitted.AccountID}, p.saga).Emits()
	s.When("mail-buyer", events.OrderConfirmed{OrderID: "nobody's", AccountID: p.submitted.AccountID}, "").Emits()
	if got := s.sandbox.Mail(); len(got) > 0 {
		t.Errorf("mails: %+v", got)
	}
}
