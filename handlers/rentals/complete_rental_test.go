package rentals_test

import (
	"testing"

	"troupe/domain/rental"
	"troupe/events"
)

func TestCompleteRental(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		because := events.RoomOccupied{RentalID: r.id}
		i.emits(i.step("complete-rental", r, because)) // before its time
		i.completed(r)
		if got := i.is(r, rental.Completed, rental.RefundNone, 27000, 0); got.SMS != rental.SMSPending {
			t.Errorf("the SMS is %s", got.SMS)
		}
		i.emits(i.step("complete-rental", r, because)) // a copy
	})
}

func TestCompleteRentalThatIsWithdrawn(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.occupied(r)
		i.mustEnd(r)
		because := events.RoomOccupied{RentalID: r.id}
		i.emits(i.step("complete-rental", r, because), events.RentalCompletionFailed{RentalID: r.id, Reason: "withdrawn"})
		i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0)
		i.emits(i.step("complete-rental", r, because)) // a copy
	})
}
