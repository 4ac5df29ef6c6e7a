// Package payment is the aggregate of an order's payment: what was taken and
// what was given back, as the provider said it. There is one per order, from
// the moment that a charge was intended.
package payment

import (
	"fmt"

	"troupe/choreo"
	"troupe/events"
)

type state string

// A payment is requested before the provider is called, then captured if it
// says so. A refund ends it from both: the provider may have taken what nobody
// learned of. Released is a payment that took nothing and never will.
const (
	requested state = "requested"
	captured  state = "captured"
	refunded  state = "refunded"
	released  state = "released"
)

// Payment is one payment. Get it by Request or Load.
type Payment struct {
	OrderID  string
	Amount   events.Money // to be taken
	Captured events.Money // taken
	Refunded events.Money // given back
	ID       string       // the provider's, empty until a charge is known

	state       state
	requestedBy string
	refundID    string
	raised      []choreo.Fact
}

// Awaits tells whether this event asked for the charge, and nothing is known to
// have come of it. No other event may make the provider take anything.
func (p *Payment) Awaits(eventID string) bool {
	return p.state == requested && p.requestedBy == eventID
}

// Capture notes what the provider took of a requested payment.
func (p *Payment) Capture(paymentID string, amount events.Money) {
	if p.state != requested {
		return
	}
	p.state, p.ID, p.Captured = captured, paymentID, amount
	p.raise(events.PaymentCaptured{OrderID: p.OrderID, PaymentID: paymentID, Amount: amount})
}

// Reversal is what the provider found and did when asked to undo the capture:
// what had been taken, all of it given back. Without a payment id nothing was
// taken, and nothing can be any more.
type Reversal struct {
	PaymentID string
	Captured  events.Money
	RefundID  string
	Refunded  events.Money
}

// GivenBack tells whether what was taken is known to have been given back.
func (p *Payment) GivenBack() bool { return p.state == refunded }

// Reverse notes a reversal, once. A charge that nobody had reported counts as
// captured from now on, also one that came to light after it was said that
// nothing had been taken. It is an error if the provider denies a charge that it
// reported before.
func (p *Payment) Reverse(r Reversal) error {
	switch {
	case p.state == refunded || p.state == released && r.PaymentID == "":
	case r.PaymentID != "":
		p.state, p.ID, p.refundID = refunded, r.PaymentID, r.RefundID
		p.Captured, p.Refunded = r.Captured, r.Refunded
		p.raise(events.PaymentRefunded{OrderID: p.OrderID, RefundID: r.RefundID, Amount: r.Refunded})
	case p.Captured.Amount > 0:
		return fmt.Errorf("the provider knows nothing of payment %s, which it captured for order %s: ask its support", p.ID, p.OrderID)
	default:
		p.state = released
		p.raise(events.RefundNotNeeded{OrderID: p.OrderID})
	}
	return nil
}

func (p *Payment) raise(f choreo.Fact) { p.raised = append(p.raised, f) }
