package rentals_test

import (
	"context"
	"errors"
	"testing"

	"troupe/choreo/steps"
	"troupe/domain/rental"
	"troupe/events"
	provider "troupe/providers/payment"
)

func TestFlagRentalRefund(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r, because := i.taken("tok_refund_fails")
		failed := events.RentalRefundFailed{RentalID: r.id, Reason: "refused"}
		i.emits(i.step("refund-rental", r, because), failed)
		i.emits(i.step("flag-rental-refund", r, failed))
		i.is(r, rental.Withdrawn, rental.RefundFailed, 27000, 0)
		if err := i.end(r); !errors.Is(err, rental.ErrWithdrawn) {
			t.Errorf("a rental that is withdrawn: %v", err)
		}

		done, because := i.taken2("tok_visa")
		i.step("refund-rental", done, because)
		i.emits(i.step("withdraw-rental", done, events.RentalRefunded{RentalID: done.id, Amount: price}),
			events.RentalWithdrawn{RentalID: done.id, Reason: "taken"})
		i.emits(i.step("flag-rental-refund", done, events.RentalRefundFailed{RentalID: done.id, Reason: "refused"}))
		i.is(done, rental.Withdrawn, rental.RefundCompleted, 27000, 27000)
	})
}

// taken2 is taken for the guest who comes third.
func (i *inn) taken2(card string) (rented, events.RoomOccupationFailed) {
	i.t.Helper()
	r := i.rentFor(i.mode, card, "+49151", 500)
	f := events.RoomOccupationFailed{RentalID: r.id, Reason: "taken"}
	i.emits(i.step("occupy-room", r, i.charged(r)), f)
	return r, f
}

// An operator redoes the refund that was owed: it ends the rental for good.
func TestAFlaggedRefundIsRedone(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		refuse := true
		i := open(t, mode, breaking(broken{reverse: func() error {
			if refuse {
				return provider.ErrRefused
			}
			return nil
		}}))
		r, because := i.taken("tok_visa")
		failed := events.RentalRefundFailed{RentalID: r.id, Reason: "refused"}
		refund := i.step("refund-rental", r, because)
		i.emits(refund, failed)
		i.emits(i.step("flag-rental-refund", r, failed))

		refuse = false
		var id int64
		if err := i.DB.Pool().QueryRow(`select id from choreo.steps where event_id = $1`, refund.EventID()).Scan(&id); err != nil {
			t.Fatal(err)
		}
		redo(t, i, id)
		i.is(r, rental.Withdrawn, rental.RefundCompleted, 27000, 27000)
		i.emits(i.step("withdraw-rental", r, events.RentalRefunded{RentalID: r.id, Amount: price}),
			events.RentalWithdrawn{RentalID: r.id, Reason: "taken"})
		i.is(r, rental.Withdrawn, rental.RefundCompleted, 27000, 27000)
	})
}

func redo(t *testing.T, i *inn, id int64) {
	t.Helper()
	if _, err := steps.Redo(context.Background(), i.DB, id, steps.Action{Who: "operator"}); err != nil {
		t.Fatal(err)
	}
	if err := steps.NewRunner(i.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}
