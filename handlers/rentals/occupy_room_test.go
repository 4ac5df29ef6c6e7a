package rentals_test

import (
	"fmt"
	"sync"
	"testing"

	"troupe/choreo/choreotest"
	"troupe/domain/rental"
	"troupe/events"
)

func TestOccupyRoom(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.emits(i.step("occupy-room", r, events.RentalCharged{RentalID: r.id, PaymentID: "p"})) // before its time
		f := i.charged(r)
		i.emits(i.step("occupy-room", r, f), events.RoomOccupied{RentalID: r.id})
		i.is(r, rental.Occupied, rental.RefundNone, 27000, 0)
		if !i.holds(r) {
			t.Error("the room is not held")
		}
		i.emits(i.step("occupy-room", r, f)) // a copy
	})
}

// A room is held by the night: the day on which one leaves another may come.
func TestOccupyRoomThatIsTaken(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		i.occupied(i.rentFor(mode, "tok_visa", "+49151", 10))
		for from, taken := range map[int]bool{7: false, 8: true, 10: true, 12: true, 13: false} {
			t.Run(fmt.Sprint(from-10, " days after"), func(t *testing.T) {
				r := i.rentFor(mode, "tok_visa", "+49151", from)
				f := i.charged(r)
				if !taken {
					i.emits(i.step("occupy-room", r, f), events.RoomOccupied{RentalID: r.id})
					i.exec(`delete from room_nights where rental_id = $1`, r.id)
					return
				}
				i.emits(i.step("occupy-room", r, f), events.RoomOccupationFailed{RentalID: r.id, Reason: "taken"})
				if got := i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); got.Reason != "taken" {
					t.Errorf("the reason is %q", got.Reason)
				}
				i.emits(i.step("occupy-room", r, f)) // a copy
			})
		}
	})
}

// Many for one night at once, in both modes: the constraint lets one of them.
func TestOccupyRoomOnce(t *testing.T) {
	t.Parallel()
	i := open(t, modes[0])
	const guests = 8
	got := make([]*choreotest.Result, guests)
	charged := make([]func(), guests)
	for n := range got {
		mode := modes[n%2]
		i.mode = mode
		r := i.rentFor(mode, "tok_visa", "+49151", 0)
		f := i.charged(r)
		charged[n] = func() {
			c := *i
			c.mode = mode
			got[n] = c.step("occupy-room", r, f)
		}
	}
	var all sync.WaitGroup
	for _, occupy := range charged {
		all.Go(occupy)
	}
	all.Wait()
	if held := i.Count(`select count(*) from room_nights`); held != 1 {
		t.Errorf("%d rentals hold the room", held)
	}
	if said := i.Count(`select count(*) from choreo.outbox where type like '%rentals.RoomOccupied.v1'`); said != 1 {
		t.Errorf("%d rentals say so", said)
	}
	if failed := i.Count(`select count(*) from choreo.outbox where type like '%rentals.RoomOccupationFailed.v1'`); failed != guests-1 {
		t.Errorf("%d failed", failed)
	}
}

func TestOccupyRoomOfAWithdrawnRental(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		f := i.charged(r)
		i.mustEnd(r)
		i.emits(i.step("occupy-room", r, f), events.RoomOccupationFailed{RentalID: r.id, Reason: "withdrawn"})
		if i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); i.holds(r) {
			t.Error("the room is held")
		}
		i.emits(i.step("occupy-room", r, f)) // a copy
	})
}
