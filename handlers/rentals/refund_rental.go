package rentals

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/rental"
	"troupe/events"
	provider "troupe/providers/payment"
)

// RefundRental on RoomOccupationFailed, RoomReleased or RentalChargeUnknown, or
// when commanded, makes sure that the charge is given back, or can never be made.
// It asks the provider by the charge's own key, unless the charge was never
// begun. Emits RentalRefunded; fails with RentalRefundFailed. Undoes
// charge-rental.
type RefundRental[F of] struct{ Payments provider.Payments }

// Load names the charge to the provider as the charge named itself.
func (g RefundRental[F]) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) (in provider.Request, err error) {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found || !r.GiveBack() {
		return in, cmp.Or(err, choreo.Skip)
	}
	if !r.ChargeBegun() {
		return in, cmp.Or(r.Reversed(rental.Reversal{}), r.Save(ctx, tx), choreo.Skip)
	}
	charge, ok := choreo.UndoOf[provider.Charge](tx)
	if !ok || !charge.Begun {
		return in, fmt.Errorf("the charge of rental %s was begun, and its step is not to be found", r.ID)
	}
	return provider.Request{Key: charge.Key, Reference: r.ID, Amount: provider.Money(r.Price)}, r.Save(ctx, tx)
}

// Call gives back what was taken, and lets nothing be taken any more.
func (g RefundRental[F]) Call(ctx context.Context, key string, _ choreo.Event[F], in provider.Request) (provider.Reversal, error) {
	reversal, err := g.Payments.Reverse(ctx, in, key)
	return reversal, choreo.RefusedIf(err, provider.ErrRefused)
}

// Ask finds a reversal whose answer was lost.
func (g RefundRental[F]) Ask(ctx context.Context, _ string, e choreo.Event[F]) (provider.Reversal, bool, error) {
	return g.Payments.FindReversal(ctx, e.Fact.Rental())
}

// Record notes what the provider found and did.
func (g RefundRental[F]) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[F], did provider.Reversal) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	if err := r.Reversed(rental.Reversal{
		PaymentID: did.PaymentID, Captured: events.Money(did.Captured),
		RefundID: did.RefundID, Refunded: events.Money(did.Refunded),
	}); err != nil {
		return err
	}
	return r.Save(ctx, tx)
}

// RefundGivenUp says that the money, if any was taken, is owed.
func RefundGivenUp[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F], cause error) (choreo.Fact, error) {
	r, err := rental.Known(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil {
		return nil, err
	}
	reason := "unavailable"
	if errors.Is(cause, provider.ErrRefused) {
		reason = "refused"
	}
	return r.RefundFailed(reason), nil
}
