package orders

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/events"
	"troupe/providers/mail"
)

// MailBuyer on OrderConfirmed tells the buyer. Emits BuyerMailed; fails with
// BuyerMailFailed, which changes nothing for the order. Irreversible.
type MailBuyer struct{ Mail mail.Mailer }

// addressee is whom the mail goes to.
type addressee struct{ email, name string }

// Load takes the mail on, once per order, and reads the address.
func (m MailBuyer) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderConfirmed]) (to addressee, err error) {
	o, found, err := order.Load(ctx, tx, e.Fact.OrderID)
	if err != nil || !found || !o.MailFor(e.ID) {
		return to, cmp.Or(err, choreo.Skip)
	}
	if err := o.Save(ctx, tx); err != nil {
		return to, err
	}
	to.email, to.name, err = account.Address(ctx, tx, o.AccountID)
	return to, choreo.RefusedIf(err, account.ErrNotFound)
}

const confirmation = `Hello %s,

thank you: your order is paid and confirmed. Its number is

%s

It will be packed next. Until it is shipped you can still cancel it.
`

// Call sends the mail.
func (m MailBuyer) Call(ctx context.Context, key string, e choreo.Event[events.OrderConfirmed], to addressee) (struct{}, error) {
	err := m.Mail.Send(ctx, key, mail.Message{
		To: to.email, Kind: "order-confirmed", Subject: "Your order is confirmed",
		Text: fmt.Sprintf(confirmation, to.name, e.Fact.OrderID),
	})
	return struct{}{}, choreo.RefusedIf(err, mail.ErrRefused)
}

// Record says that it was sent.
func (m MailBuyer) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[events.OrderConfirmed], _ struct{}) error {
	tx.Emit(events.BuyerMailed{OrderID: e.Fact.OrderID})
	return nil
}

// BuyerMailGivenUp says why it was not.
func BuyerMailGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.OrderConfirmed], cause error) (choreo.Fact, error) {
	reason := "unavailable"
	switch {
	case errors.Is(cause, account.ErrNotFound):
		reason = "erased"
	case errors.Is(cause, mail.ErrRefused):
		reason = "refused"
	}
	return events.BuyerMailFailed{OrderID: e.Fact.OrderID, Reason: reason}, nil
}
