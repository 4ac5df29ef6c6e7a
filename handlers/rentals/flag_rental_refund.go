package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/rental"
)

// FlagRentalRefund on RentalRefundFailed, or when commanded, ends the rental and
// shows to operators that its money is owed, unless it is withdrawn already.
// Emits nothing: a refund that is done again ends it for good. Undoes
// request-rental and complete-rental.
func FlagRentalRefund[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	r.Flag()
	return r.Save(ctx, tx)
}
