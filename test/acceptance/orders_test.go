package acceptance

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// comesOut checks how an order and its money ended.
func (s *system) comesOut(t *testing.T, id, saga string, want orderBody, charges, refunds int) sagaBody {
	t.Helper()
	g := s.settled(t, saga)
	var o orderBody
	eventually(t, 30*time.Second, func() error { // no saga waits for a view
		if o = s.order(t, id); o.State != want.State || o.RefundStatus != want.RefundStatus {
			return fmt.Errorf("order %s is %s, refund %s; want %s, %s", id, o.State, o.RefundStatus, want.State, want.RefundStatus)
		}
		return nil
	})
	gotCharges, gotRefunds, kept := s.payments(t, id)
	if gotCharges != charges || gotRefunds != refunds {
		t.Errorf("it was charged %d times and refunded %d times; want %d and %d", gotCharges, gotRefunds, charges, refunds)
	}
	if o.Captured.Amount-o.Refunded.Amount != kept || kept != int64(charges-refunds)*orderTotal || o.Total.Amount != orderTotal {
		t.Errorf("captured %v, refunded %v of %v; the provider holds %d", o.Captured, o.Refunded, o.Total, kept)
	}
	return g
}

func (s shared) orders(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	const none = "none"
	for _, c := range []struct {
		card, state, refund string
		charges, refunds    int
		facts               []string
	}{
		{cardMarker, "confirmed", none, 1, 0, []string{"orders.OrderSubmitted", "payments.PaymentCaptured", "orders.OrderConfirmed", "orders.BuyerMailed"}},
		{"tok_timeout_after_charge", "confirmed", none, 1, 0, []string{"payments.PaymentCaptured", "orders.OrderConfirmed"}},
		{"tok_flaky", "confirmed", none, 1, 0, []string{"payments.PaymentCaptured", "orders.OrderConfirmed"}},
		{"tok_slow", "confirmed", none, 1, 0, []string{"payments.PaymentCaptured", "orders.OrderConfirmed"}},
		{"tok_declined", "canceled", none, 0, 0, []string{"payments.PaymentDeclined", "orders.OrderCanceled", "payments.RefundNotNeeded", "orders.RefundCompleted"}},
	} {
		t.Run(c.card, func(t *testing.T) {
			t.Parallel()
			id, saga := s.place(t, buyer, c.card)
			g := s.comesOut(t, id, saga, orderBody{State: c.state, RefundStatus: c.refund}, c.charges, c.refunds)
			for _, fact := range c.facts {
				if n := g.has(fact); n != 1 {
					t.Errorf("%d facts %s; want one: %+v", n, fact, g.Steps)
				}
			}
		})
	}
}

func (s shared) refundedOnce(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	id, saga := s.place(t, buyer, "tok_visa")
	s.confirmed(t, id)
	event := s.cancel(t, buyer, id).header.Get("Troupe-Event")
	if event == "" {
		t.Error("the cancellation answers no event")
	}
	again := s.cancel(t, buyer, id)
	if got := again.header.Get("Troupe-Saga"); got != saga {
		t.Errorf("canceled again it answers saga %s; want %s", got, saga)
	}
	g := s.comesOut(t, id, saga, orderBody{State: "canceled", RefundStatus: "completed"}, 1, 1)
	if g.Outcome != "undone" || g.has("orders.OrderCanceled") != 1 || g.has("payments.PaymentRefunded") != 1 {
		t.Errorf("the saga came out %s: %+v", g.Outcome, g.Steps)
	}
	if m := s.mails(t, buyer.email, "order-confirmed", "succeeded"); len(m) != 1 {
		t.Errorf("the buyer got %d mails; want one", len(m))
	}
}

func (s shared) refundOwed(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	id, saga := s.place(t, buyer, "tok_refund_fails")
	s.confirmed(t, id)
	s.cancel(t, buyer, id)
	g := s.comesOut(t, id, saga, orderBody{State: "canceled", RefundStatus: "failed"}, 1, 0)
	if len(g.Owed) != 1 || g.Owed[0].Undo != "refund-payment" || g.Owed[0].Of != "capture-payment" {
		t.Errorf("owed is %+v; want refund-payment of capture-payment", g.Owed)
	}
}

func (s shared) canceledInCapture(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	for _, card := range []string{"tok_slow", "tok_timeout_after_charge"} {
		t.Run(card, func(t *testing.T) {
			t.Parallel()
			id, saga := s.place(t, buyer, card)
			eventually(t, 30*time.Second, func() error {
				if s.count(t, `select count(*) from choreo.steps where consumer = 'capture-payment' and saga = $1 and state = 'calling'`, saga) == 0 {
					return fmt.Errorf("the capture of order %s is not under way", id)
				}
				return nil
			})
			s.cancel(t, buyer, id)
			s.settled(t, saga)
			o := s.order(t, id)
			_, _, kept := s.payments(t, id)
			if o.State != "canceled" || kept != 0 || o.Captured != o.Refunded || o.RefundStatus != "completed" && o.RefundStatus != "none" {
				t.Errorf("the provider holds %d of an order that is %+v", kept, o)
			}
		})
	}
}

func (s shared) shipped(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	id, saga := s.place(t, buyer, "tok_visa")
	s.confirmed(t, id)
	s.call(t, http.StatusOK, http.MethodPost, "/orders/"+id+"/shipment", staff, nil)
	s.call(t, http.StatusConflict, http.MethodPost, "/orders/"+id+"/shipment", staff, nil)
	s.call(t, http.StatusConflict, http.MethodPost, "/orders/"+id+"/cancellation", buyer.token, nil)
	s.comesOut(t, id, saga, orderBody{State: "shipped", RefundStatus: "none"}, 1, 0)
}
