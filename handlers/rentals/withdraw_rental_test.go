package rentals_test

import (
	"testing"

	"troupe/domain/rental"
	"troupe/events"
)

func TestWithdrawRentalThatWasNotCharged(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_declined")
		because := events.RentalChargeFailed{RentalID: r.id, Reason: "generic_decline"}
		i.emits(i.step("charge-rental", r, requested(r)), because)
		i.emits(i.step("withdraw-rental", r, because), events.RentalWithdrawn{RentalID: r.id, Reason: "generic_decline"})
		i.is(r, rental.Withdrawn, rental.RefundNone, 0, 0)
		i.emits(i.step("withdraw-rental", r, because)) // a copy
	})
}

func TestWithdrawRentalThatWasRefunded(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r, because := i.taken("tok_visa")
		refunded := events.RentalRefunded{RentalID: r.id, Amount: price}
		i.emits(i.step("withdraw-rental", r, refunded)) // before its time
		i.step("refund-rental", r, because)
		i.emits(i.step("withdraw-rental", r, refunded), events.RentalWithdrawn{RentalID: r.id, Reason: "taken"})
		i.is(r, rental.Withdrawn, rental.RefundCompleted, 27000, 27000)
	})
}

// A charge under way keeps its rental until it is known what came of it.
func TestWithdrawRentalThatStands(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.completed(r)
		i.emits(i.step("withdraw-rental", r, events.RentalChargeFailed{RentalID: r.id, Reason: "x"}))
		i.is(r, rental.Completed, rental.RefundNone, 27000, 0)
		charged := i.rent("tok_visa")
		i.charged(charged)
		i.emits(i.step("withdraw-rental", charged, events.RentalRefunded{RentalID: charged.id, Amount: none}))
		i.is(charged, rental.Charged, rental.RefundNone, 27000, 0)
	})
}

// A process manager whose first command was refused.
func TestWithdrawRentalOnCommandAlone(t *testing.T) {
	t.Parallel()
	i := open(t, events.ModeManager)
	r := i.rent("tok_visa")
	i.emits(i.step("withdraw-rental", r, nil), events.RentalWithdrawn{RentalID: r.id, Reason: "unavailable"})
	i.is(r, rental.Withdrawn, rental.RefundNone, 0, 0)
	i.emits(i.step("charge-rental", r, nil)) // that was only late
	i.did("")
}
