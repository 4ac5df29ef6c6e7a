package tutorial

import (
	"context"

	"troupe/choreo"
)

// ReleaseSeat on FareRefused gives the seat back. Emits SeatReleased. Undoes
// hold-seat.
func ReleaseSeat(ctx context.Context, tx *choreo.Tx, e choreo.Event[FareRefused]) error {
	_, err := tx.ExecContext(ctx, `delete from seats where trip_id = $1`, e.Fact.TripID)
	tx.Emit(SeatReleased{TripID: e.Fact.TripID})
	return err
}

// CancelTrip on SeatReleased marks the trip. Emits TripCanceled. Undoes
// book-trip.
func CancelTrip(ctx context.Context, tx *choreo.Tx, e choreo.Event[SeatReleased]) error {
	_, err := tx.ExecContext(ctx, `update trips set state = 'canceled' where id = $1`, e.Fact.TripID)
	tx.Emit(TripCanceled{TripID: e.Fact.TripID})
	return err
}
