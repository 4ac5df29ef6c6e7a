package orders

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/domain/payment"
	"troupe/events"
	provider "troupe/providers/payment"
)

// RefundPayment on OrderCanceled makes sure that the order's charge is given
// back, or can never be made. It trusts no missing payment id: it asks the
// provider by the capture's own key, unless the capture was never begun. Emits
// PaymentRefunded or RefundNotNeeded; fails with RefundFailed. Undoes
// capture-payment.
type RefundPayment struct{ Payments provider.Payments }

// Load names the capture to the provider as the capture named itself.
func (r RefundPayment) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderCanceled]) (in provider.Request, err error) {
	o, found, err := order.Find(ctx, tx, e.Fact.OrderID)
	// Only the cancellation that stands in the order, and in its own saga: the
	// capture of another cannot be seen from here.
	if err != nil || !found || o.State() != order.Canceled || o.Saga != e.Saga {
		return in, cmp.Or(err, choreo.Skip)
	}
	p, requested, err := payment.Load(ctx, tx, o.ID)
	if err != nil {
		return in, err
	}
	capture, ok := choreo.UndoOf[provider.Charge](tx)
	late := ok && capture.Known && requested && !p.GivenBack() // it came to light after the refund was settled
	if !o.RefundDue() && !late {
		return in, choreo.Skip
	}
	if !requested || p.Amount.Amount == 0 {
		tx.Emit(events.RefundNotNeeded{OrderID: o.ID})
		return in, choreo.Skip
	}
	if !ok || !capture.Begun {
		return in, fmt.Errorf("the charge of order %s was requested, and its step is not to be found", o.ID)
	}
	return provider.Request{Key: capture.Key, Reference: o.ID, Amount: provider.Money(p.Amount)}, nil
}

// Call gives back what was taken, and lets nothing be taken any more.
func (r RefundPayment) Call(ctx context.Context, key string, _ choreo.Event[events.OrderCanceled], in provider.Request) (provider.Reversal, error) {
	reversal, err := r.Payments.Reverse(ctx, in, key)
	return reversal, choreo.RefusedIf(err, provider.ErrRefused)
}

// Ask finds a reversal whose answer was lost.
func (r RefundPayment) Ask(ctx context.Context, _ string, e choreo.Event[events.OrderCanceled]) (provider.Reversal, bool, error) {
	return r.Payments.FindReversal(ctx, e.Fact.OrderID)
}

// Record notes what the provider found and did.
func (r RefundPayment) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderCanceled], did provider.Reversal) error {
	p, found, err := payment.Load(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return err
	}
	if err := p.Reverse(payment.Reversal{
		PaymentID: did.PaymentID, Captured: events.Money(did.Captured),
		RefundID: did.RefundID, Refunded: events.Money(did.Refunded),
	}); err != nil {
		return err
	}
	return p.Save(ctx, tx)
}

// RefundGivenUp says that the money, if any was taken, is owed.
func RefundGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.OrderCanceled], cause error) (choreo.Fact, error) {
	reason := "unavailable"
	if errors.Is(cause, provider.ErrRefused) {
		reason = "refused"
	}
	return events.RefundFailed{OrderID: e.Fact.OrderID, Reason: reason}, nil
}
