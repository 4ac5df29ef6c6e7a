//go:build compose

package compose

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

// confirmations counts the mails that tell of a confirmed order.
func (p *person) confirmations(t *testing.T, o order) (n int) {
	t.Helper()
	for _, m := range sys.mails(t, p.email) {
		if strings.Contains(m.Text, o.OrderID) {
			n++
		}
	}
	return n
}

// paid checks what the provider did for an order.
func paid(t *testing.T, o order, want map[string]int) {
	t.Helper()
	if got := sys.payments(t, o.OrderID); !maps.Equal(got, want) {
		t.Errorf("the provider did %v, want %v", got, want)
	}
}

func TestOrderIsPaidMailedAndRefundedOnce(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	o := p.order(t, "tok_visa")
	sys.settled(t, o.saga, "completed")
	got := p.becomes(t, o, "confirmed", "none")
	if got.Total != (money{2500, "EUR"}) || got.Captured != got.Total || got.Refunded.Amount != 0 {
		t.Errorf("the order says %+v", got)
	}
	paid(t, o, map[string]int{"charge succeeded": 1})
	if n := p.confirmations(t, o); n != 1 {
		t.Errorf("the buyer got %d mails, want 1", n)
	}

	for range 2 {
		if joined := p.call(t, "POST", "/orders/"+o.OrderID+"/cancellation", nil).into(t, 202, nil).saga(); joined != o.saga {
			t.Errorf("canceling is of saga %s, placing of %s", joined, o.saga)
		}
	}
	settled := sys.settled(t, o.saga, "undone")
	if n := settled.count("payments.PaymentRefunded.v1"); n != 1 {
		t.Errorf("%d refunds in %+v", n, settled.Steps)
	}
	got = p.becomes(t, o, "canceled", "completed")
	if got.Captured != got.Refunded {
		t.Errorf("captured %v, refunded %v", got.Captured, got.Refunded)
	}
	paid(t, o, map[string]int{"charge succeeded": 1, "refund succeeded": 1})
}

func TestDeclinedOrderIsCanceled(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	o := p.order(t, "tok_declined")
	sys.settled(t, o.saga, "undone")
	got := p.becomes(t, o, "canceled", "none")
	if got.Captured.Amount != 0 || got.Refunded.Amount != 0 {
		t.Errorf("captured %v, refunded %v", got.Captured, got.Refunded)
	}
	counts := sys.payments(t, o.OrderID)
	if counts["charge succeeded"]+counts["refund succeeded"] > 0 || counts["charge declined"] != 1 {
		t.Errorf("the provider did %v", counts)
	}
	if n := p.confirmations(t, o); n > 0 {
		t.Errorf("the buyer got %d mails", n)
	}
}

func TestChargeWithoutAnAnswerIsNotRepeated(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	o := p.order(t, "tok_timeout_after_charge")
	sys.settled(t, o.saga, "completed")
	if got := p.becomes(t, o, "confirmed", "none"); got.Captured != got.Total {
		t.Errorf("captured %v of %v", got.Captured, got.Total)
	}
	if counts := sys.payments(t, o.OrderID); counts["charge succeeded"] != 1 || counts["charge declined"] > 0 {
		t.Errorf("the provider did %v, want one charge", counts)
	}
}

func TestOrderCanceledWhileItsCaptureHangs(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	o := p.order(t, "tok_slow")
	eventually(t, "the charge is under way", func() error {
		if !sys.charging(t, o.OrderID) {
			return errors.New("the provider was not asked")
		}
		return nil
	})
	p.call(t, "POST", "/orders/"+o.OrderID+"/cancellation", nil).into(t, 202, nil)
	sys.settled(t, o.saga, "undone")
	var got order
	p.call(t, "GET", "/orders/"+o.OrderID, nil).into(t, 200, &got)
	// Whether the charge came about before it could be stopped is the provider's to say.
	counts := sys.payments(t, o.OrderID)
	charged := counts["charge succeeded"]
	want := map[int]string{0: "none", 1: "completed"}[charged]
	if got.State != "canceled" || got.RefundStatus != want || got.Captured != got.Refunded ||
		got.Captured.Amount != int64(charged)*2500 || counts["refund succeeded"] != charged {
		t.Errorf("the order says %+v; the provider did %v", got, counts)
	}
}

func TestRefusedRefundIsOwed(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	o := p.order(t, "tok_refund_fails")
	p.becomes(t, o, "confirmed", "none")
	p.call(t, "POST", "/orders/"+o.OrderID+"/cancellation", nil).into(t, 202, nil)
	got := p.becomes(t, o, "canceled", "failed")
	if got.Captured != got.Total || got.Refunded.Amount != 0 {
		t.Errorf("captured %v, refunded %v", got.Captured, got.Refunded)
	}
	var shown saga
	call(t, sys.staffToken, "GET", sys.url+"/sagas/"+o.saga, nil).into(t, 200, &shown)
	if len(shown.Owed) != 1 || shown.Owed[0].Undo != "refund-payment" {
		t.Errorf("owed: %+v", shown.Owed)
	}
}
