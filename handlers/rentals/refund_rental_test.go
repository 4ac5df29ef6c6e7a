package rentals_test

import (
	"testing"

	"troupe/domain/rental"
	"troupe/events"
)

// taken has the room be somebody else's: the charge is to be given back.
func (i *inn) taken(card string) (rented, events.RoomOccupationFailed) {
	i.t.Helper()
	i.occupied(i.rentFor(i.mode, "tok_visa", "+49151", 500))
	r := i.rentFor(i.mode, card, "+49151", 500)
	f := events.RoomOccupationFailed{RentalID: r.id, Reason: "taken"}
	i.emits(i.step("occupy-room", r, i.charged(r)), f)
	return r, f
}

func TestRefundRental(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r, because := i.taken("tok_visa")
		refund := i.step("refund-rental", r, because)
		var f struct {
			RentalID, RefundID string
			Amount             events.Money
		}
		if refund.Read(&f); f.RentalID != r.id || f.RefundID == "" || f.Amount != price {
			t.Errorf("refunded %+v", f)
		}
		i.is(r, rental.Withdrawing, rental.RefundCompleted, 27000, 27000)
		i.emits(i.step("refund-rental", r, because)) // a copy
		i.did("charge succeeded:2 refund succeeded:1")
	})
}

// Nobody heard of the charge: the provider is asked by its key.
func TestRefundRentalOfAnUnknownCharge(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		for name, c := range map[string]struct {
			at       broken
			amount   int64
			refund   rental.RefundStatus
			provider string
		}{
			"it was made": {broken{after: lost, find: lost}, 27000, rental.RefundCompleted, "charge succeeded:1 refund succeeded:1"},
			"it was not":  {broken{before: lost}, 0, rental.RefundNone, "cancel succeeded:1"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				i := open(t, mode, breaking(c.at))
				r := i.rent("tok_visa")
				charge := i.step("charge-rental", r, requested(r))
				i.old(charge)
				unknown := events.RentalChargeUnknown{RentalID: r.id, Reason: "unknown"}
				i.emits(i.Again(charge), unknown)
				var f struct {
					RefundID *string
					Amount   events.Money
				}
				i.step("refund-rental", r, unknown).Read(&f)
				if (f.RefundID != nil) != (c.amount > 0) || f.Amount.Amount != c.amount || f.Amount.Currency != "EUR" {
					t.Errorf("refunded %+v", f)
				}
				i.is(r, rental.Withdrawing, c.refund, c.amount, c.amount)
				i.did(c.provider)
			})
		}
	})
}

func TestRefundRentalRefusedForGood(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r, because := i.taken("tok_refund_fails")
		i.emits(i.step("refund-rental", r, because), events.RentalRefundFailed{RentalID: r.id, Reason: "refused"})
		i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0)
	})
}

func TestRefundRentalGivesUp(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode, breaking(broken{reverse: lost}))
		r, because := i.taken("tok_visa")
		refund := i.step("refund-rental", r, because)
		i.emits(refund)
		i.old(refund)
		i.emits(i.Again(refund), events.RentalRefundFailed{RentalID: r.id, Reason: "unavailable"})
	})
}

// Money is not given back while the room is held, or the rental stands.
func TestRefundRentalThatOwesNothing(t *testing.T) {
	t.Parallel()
	i := open(t, events.ModeChoreography)
	r := i.rent("tok_visa")
	i.charged(r)
	i.emits(i.step("refund-rental", r, events.RoomOccupationFailed{RentalID: r.id, Reason: "taken"}))
	i.did("charge succeeded:1")
}

func TestRefundRentalOnCommandAlone(t *testing.T) {
	t.Parallel()
	i := open(t, events.ModeManager)
	r := i.rent("tok_visa")
	i.occupied(r)
	i.emits(i.step("refund-rental", r, nil)) // the room is still held
	charged := i.rent("tok_visa")
	i.charged(charged)
	i.step("refund-rental", charged, nil).Read(&struct{ RentalID string }{})
	i.is(charged, rental.Withdrawing, rental.RefundCompleted, 27000, 27000)
}
