package tutorial

import (
	"time"

	"troupe/choreo"
)

// Flow says who reacts to what, what may come of it, what undoes it, and how
// long it may take.
func Flow(post Post) (*choreo.Flow, error) {
	return choreo.NewFlow(
		choreo.Command("book-trip").Emits(TripBooked{}),

		choreo.On("hold-seat", HoldSeat).
			Emits(SeatHeld{}).Within(5*time.Second),
		choreo.On("charge-fare", ChargeFare).
			Emits(FareCharged{}).FailsWith(FareRefused{}).Within(5*time.Second),
		choreo.OnEffect("send-ticket", SendTicket{Post: post}).
			Emits(TicketSent{}).FailsWith(TicketNotSent{}).GivesUp(24*time.Hour, TicketGivenUp).
			Irreversible("a letter cannot be called back").Within(time.Minute),

		choreo.On("release-seat", ReleaseSeat).
			Emits(SeatReleased{}).Undoes("hold-seat").Within(5*time.Second),
		choreo.On("cancel-trip", CancelTrip).
			Emits(TripCanceled{}).Undoes("book-trip").Within(5*time.Second),

		choreo.Final(TicketSent{}, choreo.Completed),
		choreo.Final(TicketNotSent{}, choreo.Completed),
		choreo.Final(TripCanceled{}, choreo.Undone),
	)
}
