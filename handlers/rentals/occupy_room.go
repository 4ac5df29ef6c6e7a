package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/rental"
)

// OccupyRoom on RentalCharged, or when commanded, holds the room for its nights.
// Emits RoomOccupied; fails with RoomOccupationFailed where somebody else has it,
// or the rental was withdrawn meanwhile. Undone by release-room.
func OccupyRoom[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	if err := r.Occupy(ctx, tx); err != nil {
		return err
	}
	return r.Save(ctx, tx)
}
