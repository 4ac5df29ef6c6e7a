package tutorial

import (
	"context"

	"troupe/choreo"
)

// HoldSeat on TripBooked holds a seat. Emits SeatHeld. Undone by release-seat.
func HoldSeat(ctx context.Context, tx *choreo.Tx, e choreo.Event[TripBooked]) error {
	_, err := tx.ExecContext(ctx, `insert into seats (trip_id) values ($1)`, e.Fact.TripID)
	tx.Emit(SeatHeld(e.Fact))
	return err
}

// ChargeFare on SeatHeld takes the fare from the traveler's balance. Emits
// FareCharged; fails with FareRefused.
func ChargeFare(ctx context.Context, tx *choreo.Tx, e choreo.Event[SeatHeld]) error {
	paid, err := tx.ExecContext(ctx, `update balances set cents = cents - $2 where traveler = $1 and cents >= $2`,
		e.Fact.Traveler, e.Fact.Fare)
	if err != nil {
		return err
	}
	switch n, err := paid.RowsAffected(); {
	case err != nil:
		return err
	case n == 0:
		tx.Emit(FareRefused{TripID: e.Fact.TripID, Reason: "balance"})
	default:
		tx.Emit(FareCharged{TripID: e.Fact.TripID, Traveler: e.Fact.Traveler})
	}
	return nil
}
