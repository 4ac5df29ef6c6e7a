package rentals_test

import (
	"context"
	"errors"
	"testing"

	"troupe/domain/rental"
	"troupe/events"
	"troupe/handlers"
	provider "troupe/providers/payment"
)

var errLost = errors.New("connection reset")

// broken is a provider that fails at a place.
type broken struct {
	provider.Payments
	before, after func() error // around a capture
	find          func() error
	reverse       func() error
}

func (b broken) Capture(ctx context.Context, r provider.Request, card string) (provider.Charge, error) {
	if b.before != nil {
		if err := b.before(); err != nil {
			return provider.Charge{}, err
		}
	}
	charge, err := b.Payments.Capture(ctx, r, card)
	if err == nil && b.after != nil {
		err = b.after()
	}
	return charge, err
}

func (b broken) Find(ctx context.Context, key string) (provider.Charge, bool, error) {
	if b.find != nil {
		if err := b.find(); err != nil {
			return provider.Charge{}, false, err
		}
	}
	return b.Payments.Find(ctx, key)
}

func (b broken) Reverse(ctx context.Context, r provider.Request, key string) (provider.Reversal, error) {
	if b.reverse != nil {
		if err := b.reverse(); err != nil {
			return provider.Reversal{}, err
		}
	}
	return b.Payments.Reverse(ctx, r, key)
}

func lost() error { return errLost }

// breaking puts a provider that fails at a place before the real one.
func breaking(b broken) func(*handlers.Outside) {
	return func(o *handlers.Outside) { b.Payments = o.Payments; o.Payments = b }
}

func requested(r rented) events.RentalRequested {
	return events.RentalRequested{RentalID: r.id, AccountID: r.account, RoomID: "room-1", From: day(0), To: day(3), Price: price}
}

func TestChargeRental(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		f := i.charged(r)
		if f.RentalID != r.id || f.PaymentID == "" || f.Amount != price {
			t.Errorf("charged %+v", f)
		}
		i.is(r, rental.Charged, rental.RefundNone, 27000, 0)
		i.emits(i.step("charge-rental", r, requested(r))) // a copy
		i.did("charge succeeded:1")
	})
}

// A rental is led in one way only: what is said or commanded in the other does
// nothing, and neither does what is of another saga.
func TestChargeRentalOfTheOtherMode(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		if i.mode = modes[0]; mode == modes[0] {
			i.mode = modes[1]
		}
		i.emits(i.step("charge-rental", r, requested(r)))
		i.mode = mode
		i.emits(i.step("charge-rental", rented{r.id, "another saga", r.account}, requested(r)))
		i.emits(i.step("charge-rental", rented{"nobody's", r.saga, r.account}, requested(rented{id: "nobody's", account: "a"})))
		i.did("")
	})
}

func TestChargeRentalDeclined(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_declined")
		i.emits(i.step("charge-rental", r, requested(r)), events.RentalChargeFailed{RentalID: r.id, Reason: "generic_decline"})
		if got := i.is(r, rental.Withdrawing, rental.RefundNone, 0, 0); got.Reason != "generic_decline" {
			t.Errorf("the reason is %q", got.Reason)
		}
	})
}

func TestChargeRentalOfAnErasedGuest(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.exec(`delete from payment_methods`)
		i.emits(i.step("charge-rental", r, requested(r)), events.RentalChargeFailed{RentalID: r.id, Reason: "erased"})
		i.did("")
	})
}

func TestChargeRentalThatWasWithdrawnBefore(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.mustEnd(r)
		i.is(r, rental.Withdrawing, rental.RefundStarted, 0, 0)
		i.emits(i.step("charge-rental", r, requested(r)), events.RentalChargeFailed{RentalID: r.id, Reason: "withdrawn"})
		i.is(r, rental.Withdrawing, rental.RefundNone, 0, 0)
		i.did("")
	})
}

// Withdrawn while the provider is called: what came of the call is noted, and the
// next step fails.
func TestChargeRentalThatIsWithdrawnMeanwhile(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		var i *inn
		var r rented
		i = open(t, mode, breaking(broken{before: func() error { i.mustEnd(r); return nil }}))
		r = i.rent("tok_visa")
		f := i.charged(r)
		i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0)
		i.emits(i.step("occupy-room", r, f), events.RoomOccupationFailed{RentalID: r.id, Reason: "withdrawn"})
	})
}

// Called and not answered, and withdrawn meanwhile: nobody knows, unless the
// provider can tell that it charged.
func TestChargeRentalThatIsWithdrawnUnanswered(t *testing.T) {
	for name, find := range map[string]func() error{"nobody knows": lost, "the provider tells": nil} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, func(t *testing.T, mode string) {
				i := open(t, mode, breaking(broken{after: lost, find: find}))
				r := i.rent("tok_visa")
				charge := i.step("charge-rental", r, requested(r))
				i.emits(charge)
				i.mustEnd(r)
				i.due(charge)
				if find != nil {
					i.emits(i.Again(charge), events.RentalChargeUnknown{RentalID: r.id, Reason: "unknown"})
					i.is(r, rental.Withdrawing, rental.RefundStarted, 0, 0)
				} else {
					i.Again(charge).Read(&struct{ RentalID string }{})
					i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0)
				}
				i.did("charge succeeded:1")
			})
		})
	}
}

func TestChargeRentalGivesUp(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		for name, c := range map[string]struct {
			at   broken
			card string
		}{
			"answers are lost":                  {broken{after: lost, find: lost}, "tok_visa"},
			"calls are lost, and not found yet": {broken{before: lost}, "tok_visa"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				i := open(t, mode, breaking(c.at))
				r := i.rent(c.card)
				charge := i.step("charge-rental", r, requested(r))
				i.emits(charge)
				i.old(charge)
				i.emits(i.Again(charge), events.RentalChargeUnknown{RentalID: r.id, Reason: "unknown"})
				i.is(r, rental.Withdrawing, rental.RefundStarted, 0, 0)
			})
		}
		t.Run("never called", func(t *testing.T) {
			t.Parallel()
			i := open(t, mode, func(o *handlers.Outside) { o.CardKey = cardKey[:31] })
			r := i.rent("tok_visa")
			charge := i.step("charge-rental", r, requested(r))
			i.emits(charge)
			i.old(charge)
			i.emits(i.Again(charge), events.RentalChargeFailed{RentalID: r.id, Reason: "unavailable"})
			i.did("")
		})
	})
}

func TestChargeRentalTriesAgain(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		for _, card := range []string{"tok_flaky", "tok_timeout_after_charge"} {
			r := i.rent(card)
			charge := i.step("charge-rental", r, requested(r))
			for tries := 0; charge.State == "waiting" && tries < 4; tries++ {
				i.due(charge)
				charge = i.Again(charge)
			}
			i.is(r, rental.Charged, rental.RefundNone, 27000, 0)
		}
		if n := i.provided()["charge succeeded"]; n != 2 {
			t.Errorf("charged %d times", n)
		}
	})
}
