package rentals_test

import (
	"errors"
	"testing"

	"troupe/choreo"
	"troupe/domain/rental"
	"troupe/events"
)

func TestReleaseRoom(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		for name, c := range map[string]struct {
			upTo    func(*inn, rented)
			because func(id string) choreo.Fact
		}{
			"canceled": {
				func(i *inn, r rented) { i.completed(r); i.mustEnd(r) },
				func(id string) choreo.Fact { return events.RentalCanceled{RentalID: id} },
			},
			"not completed": {
				func(i *inn, r rented) {
					i.occupied(r)
					i.mustEnd(r)
					i.step("complete-rental", r, events.RoomOccupied{RentalID: r.id})
				},
				func(id string) choreo.Fact { return events.RentalCompletionFailed{RentalID: id, Reason: "withdrawn"} },
			},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				i := open(t, mode)
				r := i.rent("tok_visa")
				c.upTo(i, r)
				i.emits(i.step("release-room", r, c.because(r.id)), events.RoomReleased{RentalID: r.id})
				if i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); i.holds(r) {
					t.Error("the room is still held")
				}
				i.emits(i.step("release-room", r, c.because(r.id))) // a copy
			})
		}
	})
}

// A rental that stands lets its room go on nobody's word.
func TestReleaseRoomOfARentalThatStands(t *testing.T) {
	t.Parallel()
	i := open(t, events.ModeChoreography)
	r := i.rent("tok_visa")
	i.completed(r)
	i.emits(i.step("release-room", r, events.RentalCanceled{RentalID: r.id}))
	if !i.holds(r) {
		t.Error("the room was released")
	}
}

// But its process manager decides alone.
func TestReleaseRoomOnCommandAlone(t *testing.T) {
	t.Parallel()
	i := open(t, events.ModeManager)
	r := i.rent("tok_visa")
	i.occupied(r)
	i.emits(i.step("release-room", r, nil), events.RoomReleased{RentalID: r.id})
	if got := i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); got.Reason != "unavailable" {
		t.Errorf("the reason is %q", got.Reason)
	}
}

func TestEndingARental(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		if err := i.change("request-withdrawal", r, func(r *rental.Rental) error { return r.Withdraw(r.From) }); !errors.Is(err, rental.ErrBegun) {
			t.Errorf("a rental that has begun: %v", err)
		}
		for range 2 {
			i.mustEnd(r)
		}
		if n := i.Count(`select count(*) from choreo.outbox where key = $1 and type like '%RentalWithdrawalRequested.v1'`, r.id); n != 1 {
			t.Errorf("%d facts of the withdrawal", n)
		}
		i.step("charge-rental", r, requested(r))
		i.emits(i.step("withdraw-rental", r, events.RentalChargeFailed{RentalID: r.id, Reason: "withdrawn"}),
			events.RentalWithdrawn{RentalID: r.id, Reason: "withdrawn"})
		if err := i.end(r); !errors.Is(err, rental.ErrWithdrawn) {
			t.Errorf("a rental that is withdrawn: %v", err)
		}
	})
}
