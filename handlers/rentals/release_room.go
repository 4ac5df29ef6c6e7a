package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/rental"
)

// ReleaseRoom on RentalCompletionFailed or RentalCanceled, or when commanded, lets
// the room go. Emits RoomReleased. Undoes occupy-room.
func ReleaseRoom[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	if err := r.Release(ctx, tx); err != nil {
		return err
	}
	return r.Save(ctx, tx)
}
