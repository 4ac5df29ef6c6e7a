package rentals

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/rental"
	"troupe/providers/sms"
)

// TextGuest on RentalCompleted, or when commanded, tells the guest by SMS, unless
// the rental is canceled by then. Emits GuestTexted; fails with GuestTextFailed,
// which changes nothing for the rental. Irreversible.
type TextGuest[F of] struct{ SMS sms.Gateway }

// Load takes the SMS on, and reads the number.
func (g TextGuest[F]) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) (m sms.Message, err error) {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return m, cmp.Or(err, choreo.Skip)
	}
	due := r.Text(e.ID)
	if err := r.Save(ctx, tx); err != nil || !due {
		return m, cmp.Or(err, choreo.Skip)
	}
	m.Text = fmt.Sprintf("Your room %s is booked from %s to %s. Booking number: %s", r.RoomID, r.From, r.To, r.ID)
	m.To, err = r.Phone(ctx, tx)
	return m, choreo.RefusedIf(err, rental.ErrErased)
}

// Call sends the SMS.
func (g TextGuest[F]) Call(ctx context.Context, key string, _ choreo.Event[F], m sms.Message) (struct{}, error) {
	err := g.SMS.Send(ctx, key, m)
	return struct{}{}, choreo.RefusedIf(err, sms.ErrRefused)
}

// Ask finds out whether an SMS was sent whose answer was lost.
func (g TextGuest[F]) Ask(ctx context.Context, key string) (struct{}, bool, error) {
	sent, err := g.SMS.Find(ctx, key)
	return struct{}{}, sent, err
}

// Record says that it was sent.
func (g TextGuest[F]) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[F], _ struct{}) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	r.Texted()
	return r.Save(ctx, tx)
}

// TextGivenUp says why it was not.
func TextGivenUp[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F], cause error) (choreo.Fact, error) {
	r, err := rental.Known(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil {
		return nil, err
	}
	reason := "unavailable"
	switch {
	case errors.Is(cause, rental.ErrErased):
		reason = "erased"
	case errors.Is(cause, sms.ErrRefused):
		reason = "refused"
	}
	return r.TextFailed(reason), r.Save(ctx, tx)
}
