package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/rental"
)

// CompleteRental on RoomOccupied, or when commanded, makes the rental stand.
// Emits RentalCompleted; fails with RentalCompletionFailed where it was withdrawn
// meanwhile. Undone by withdraw-rental.
func CompleteRental[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	r.Complete()
	return r.Save(ctx, tx)
}
