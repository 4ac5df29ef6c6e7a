package orders

import (
	"cmp"
	"context"
	"errors"

	"troupe/choreo"
	"troupe/domain/buyer"
	"troupe/domain/order"
	"troupe/domain/payment"
	"troupe/events"
	provider "troupe/providers/payment"
)

// CapturePayment on OrderSubmitted charges the card, once, unless the order is
// canceled by then. Emits PaymentCaptured; fails with PaymentDeclined or
// PaymentUnknown. Undone by refund-payment.
type CapturePayment struct {
	Payments provider.Payments
	CardKey  []byte
}

// chargeable is what a charge needs.
type chargeable struct {
	amount    provider.Money
	cardToken string
}

// Load leaves the payment as requested: what refund-payment goes by.
func (c CapturePayment) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderSubmitted]) (in chargeable, err error) {
	o, found, err := order.Find(ctx, tx, e.Fact.OrderID)
	if err != nil || !found || o.State() != order.Submitted {
		return in, cmp.Or(err, choreo.Skip)
	}
	p, err := payment.Request(ctx, tx, o.ID, e.ID, o.Total)
	if err != nil || !p.Awaits(e.ID) {
		return in, cmp.Or(err, choreo.Skip)
	}
	token, err := buyer.CardToken(ctx, tx, c.CardKey, o.AccountID, e.Fact.PaymentMethodID)
	return chargeable{provider.Money(p.Amount), token}, choreo.RefusedIf(err, buyer.ErrErased)
}

// Call charges under the key of the step.
func (c CapturePayment) Call(ctx context.Context, key string, e choreo.Event[events.OrderSubmitted], in chargeable) (provider.Charge, error) {
	charge, err := c.Payments.Capture(ctx, provider.Request{Key: key, Reference: e.Fact.OrderID, Amount: in.amount}, in.cardToken)
	return charge, choreo.RefusedIf(err, provider.ErrDeclined, provider.ErrCanceled)
}

// Ask finds a charge whose answer was lost. To find none proves nothing: the
// provider's search is behind, so that the outcome stays unknown.
func (c CapturePayment) Ask(ctx context.Context, key string) (provider.Charge, bool, error) {
	charge, found, err := c.Payments.Find(ctx, key)
	if err == nil && !found {
		err = choreo.ErrOutcomeUnknown
	}
	return charge, found, err
}

// Record notes the charge.
func (c CapturePayment) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderSubmitted], charge provider.Charge) error {
	p, found, err := payment.Load(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return err
	}
	p.Capture(charge.PaymentID, events.Money(charge.Amount))
	return p.Save(ctx, tx)
}

// CaptureGivenUp says whether nothing was charged, or nobody knows.
func CaptureGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.OrderSubmitted], cause error) (choreo.Fact, error) {
	if errors.Is(cause, choreo.ErrOutcomeUnknown) {
		return events.PaymentUnknown{OrderID: e.Fact.OrderID, Reason: "unknown"}, nil
	}
	reason := cmp.Or(provider.Code(cause), "unavailable")
	if errors.Is(cause, buyer.ErrErased) {
		reason = "erased"
	}
	return events.PaymentDeclined{OrderID: e.Fact.OrderID, Reason: reason}, nil
}
