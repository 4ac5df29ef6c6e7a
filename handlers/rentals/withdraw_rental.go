package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/rental"
)

// WithdrawRental on RentalChargeFailed or RentalRefunded, or when commanded, ends
// the rental: nothing of it is left. Emits RentalWithdrawn. Undoes request-rental
// and complete-rental.
func WithdrawRental[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	r.Finish()
	return r.Save(ctx, tx)
}
