package rentals_test

import (
	"context"
	"strings"
	"testing"

	"troupe/domain/rental"
	"troupe/events"
	"troupe/handlers"
	"troupe/providers/sms"
)

// lostGateway sends, and loses what is answered.
type lostGateway struct{ sms.Gateway }

func (g lostGateway) Send(ctx context.Context, key string, m sms.Message) error {
	if err := g.Gateway.Send(ctx, key, m); err != nil {
		return err
	}
	return errLost
}

func losingTexts(o *handlers.Outside) { o.SMS = lostGateway{o.SMS} }

func TestTextGuest(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		because := events.RentalCompleted{RentalID: r.id}
		i.emits(i.step("text-guest", r, because)) // before its time
		i.completed(r)
		i.emits(i.step("text-guest", r, because), events.GuestTexted{RentalID: r.id})
		if got := i.is(r, rental.Completed, rental.RefundNone, 27000, 0); got.SMS != rental.SMSSent {
			t.Errorf("the SMS is %s", got.SMS)
		}
		i.emits(i.step("text-guest", r, because)) // a copy
		sent := i.sandbox.Texts()
		if len(sent) != 1 || sent[0].To != "+4915112345678" || !strings.Contains(sent[0].Text, "room-1") || !strings.Contains(sent[0].Text, r.id) {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestTextGuestIsRefused(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rentFor(mode, "tok_visa", "+491700000", 0)
		i.completed(r)
		i.emits(i.step("text-guest", r, events.RentalCompleted{RentalID: r.id}), events.GuestTextFailed{RentalID: r.id, Reason: "refused"})
		if got := i.is(r, rental.Completed, rental.RefundNone, 27000, 0); got.SMS != rental.SMSFailed {
			t.Errorf("the SMS is %s", got.SMS)
		}
	})
}

func TestTextGuestWhoIsErased(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.completed(r)
		i.exec(`delete from rental_guests`)
		i.emits(i.step("text-guest", r, events.RentalCompleted{RentalID: r.id}), events.GuestTextFailed{RentalID: r.id, Reason: "erased"})
	})
}

func TestTextGuestOfACanceledRental(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.completed(r)
		i.mustEnd(r)
		i.emits(i.step("text-guest", r, events.RentalCompleted{RentalID: r.id}))
		if got := i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); got.SMS != rental.SMSNone || len(i.sandbox.Texts()) > 0 {
			t.Errorf("the SMS is %s, sent %v", got.SMS, i.sandbox.Texts())
		}
	})
}

// The cancellation may have freed the room before the text is on its way.
func TestTextGuestOfARentalThatHasReleasedItsRoom(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode)
		r := i.rent("tok_visa")
		i.completed(r)
		i.mustEnd(r)
		i.step("release-room", r, events.RentalCanceled{RentalID: r.id})
		i.emits(i.step("text-guest", r, events.RentalCompleted{RentalID: r.id}))
		if got := i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); got.SMS != rental.SMSNone || i.holds(r) {
			t.Errorf("the SMS is %s, the room held: %t", got.SMS, i.holds(r))
		}
	})
}

// What went out before the cancellation did go out.
func TestTextGuestWhoseAnswerWasLostBeforeTheCancellation(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode, losingTexts)
		r := i.rent("tok_visa")
		i.completed(r)
		text := i.step("text-guest", r, events.RentalCompleted{RentalID: r.id})
		i.mustEnd(r)
		i.old(text)
		i.emits(i.Again(text), events.GuestTexted{RentalID: r.id})
		if got := i.is(r, rental.Withdrawing, rental.RefundStarted, 27000, 0); got.SMS != rental.SMSSent || len(i.sandbox.Texts()) != 1 {
			t.Errorf("the SMS is %s, sent %v", got.SMS, i.sandbox.Texts())
		}
	})
}

func TestTextGuestIsAskedForBeforeItGivesUp(t *testing.T) {
	inBoth(t, func(t *testing.T, mode string) {
		i := open(t, mode, losingTexts)
		r := i.rent("tok_visa")
		i.completed(r)
		text := i.step("text-guest", r, events.RentalCompleted{RentalID: r.id})
		i.emits(text)
		i.old(text)
		i.emits(i.Again(text), events.GuestTexted{RentalID: r.id})
	})
}
