package rentals

import (
	"cmp"
	"context"
	"errors"

	"troupe/choreo"
	"troupe/domain/buyer"
	"troupe/domain/rental"
	"troupe/events"
	provider "troupe/providers/payment"
)

// ChargeRental on RentalRequested, or when commanded, charges the guest's card,
// once, unless the rental is withdrawn by then. Emits RentalCharged; fails with
// RentalChargeFailed or RentalChargeUnknown. Undone by refund-rental.
type ChargeRental[F of] struct {
	Payments provider.Payments
	CardKey  []byte
}

// chargeable is what a charge needs.
type chargeable struct {
	amount    provider.Money
	cardToken string
}

// Load notes the charge as intended: what refund-rental goes by.
func (c ChargeRental[F]) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) (in chargeable, err error) {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return in, cmp.Or(err, choreo.Skip)
	}
	due, err := r.Charge(e.ID)
	if err != nil {
		return in, choreo.Refused(err)
	}
	if !due {
		return in, choreo.Skip
	}
	token, err := buyer.CardToken(ctx, tx, c.CardKey, r.AccountID, r.PaymentMethodID)
	return chargeable{provider.Money(r.Price), token}, cmp.Or(choreo.RefusedIf(err, buyer.ErrErased), r.Save(ctx, tx))
}

// Call charges under the key of the step.
func (c ChargeRental[F]) Call(ctx context.Context, key string, e choreo.Event[F], in chargeable) (provider.Charge, error) {
	charge, err := c.Payments.Capture(ctx, provider.Request{Key: key, Reference: e.Fact.Rental(), Amount: in.amount}, in.cardToken)
	return charge, choreo.RefusedIf(err, provider.ErrDeclined, provider.ErrCanceled)
}

// Ask finds a charge whose answer was lost. To find none proves nothing: the
// provider's search is behind, so that the outcome stays unknown.
func (c ChargeRental[F]) Ask(ctx context.Context, key string) (provider.Charge, bool, error) {
	charge, found, err := c.Payments.Find(ctx, key)
	if err == nil && !found {
		err = choreo.ErrOutcomeUnknown
	}
	return charge, found, err
}

// Record notes the charge, also of a rental that is withdrawn meanwhile: the next
// step fails then.
func (c ChargeRental[F]) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[F], charge provider.Charge) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	r.Charged(charge.PaymentID, events.Money(charge.Amount))
	return r.Save(ctx, tx)
}

// ChargeGivenUp says whether nothing was charged, or nobody knows.
func ChargeGivenUp[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F], cause error) (choreo.Fact, error) {
	r, err := rental.Known(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil {
		return nil, err
	}
	if errors.Is(cause, choreo.ErrOutcomeUnknown) {
		return r.ChargeUnknown("unknown"), r.Save(ctx, tx)
	}
	reason := cmp.Or(provider.Code(cause), "unavailable")
	switch {
	case errors.Is(cause, rental.ErrWithdrawn):
		reason = "withdrawn"
	case errors.Is(cause, buyer.ErrErased):
		reason = "erased"
	}
	return r.ChargeFailed(reason), r.Save(ctx, tx)
}
