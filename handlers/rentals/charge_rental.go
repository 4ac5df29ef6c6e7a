package rentals

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/buyer"
	"troupe/domain/rental"
	"troupe/events"
	provider "troupe/providers/payment"
)

// of is a fact or a command about a rental.
type of interface {
	choreo.Fact
	Rental() string
}

// ChargeRental on RentalRequested, or when commanded, charges the guest's card,
// once, unless the rental is withdrawn by then. Emits RentalCharged; fails with
// RentalChargeFailed or RentalChargeUnknown. Undone by refund-rental.
type ChargeRental[F of] struct {
	Payments provider.Payments
	CardKey  []byte
}

// chargeable is what a charge needs.
type chargeable struct {
	amount    provider.Money
	cardToken string
}

// Load notes the charge as intended: what refund-rental goes by.
func (c ChargeRental[F]) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) (in chargeable, err error) {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return in, cmp.Or(err, choreo.Skip)
	}
	due, err := r.Charge(e.ID)
	if err != nil {
		return in, choreo.Refused(err)
	}
	if !due {
		return in, choreo.Skip
	}
	token, err := buyer.CardToken(ctx, tx, c.CardKey, r.AccountID, r.PaymentMethodID)
	if errors.Is(err, buyer.ErrErased) {
		err = choreo.Refused(err)
	}
	return chargeable{provider.Money(r.Price), token}, cmp.Or(err, r.Save(ctx, tx))
}

// Call charges under the key of the step.
func (c ChargeRental[F]) Call(ctx context.Context, key string, e choreo.Event[F], in chargeable) (provider.Charge, error) {
	charge, err := c.Payments.Capture(ctx, provider.Request{Key: key, Reference: e.Fact.Rental(), Amount: in.amount}, in.cardToken)
	if errors.Is(err, provider.ErrDeclined) || errors.Is(err, provider.ErrCanceled) {
		err = choreo.Refused(err)
	}
	return charge, err
}

// Ask finds a charge whose answer was lost. To find none proves nothing: the
// provider's search is behind, so that the outcome stays unknown.
func (c ChargeRental[F]) Ask(ctx context.Context, key string) (provider.Charge, bool, error) {
	charge, found, err := c.Payments.Find(ctx, key)
	if err == nil && !found {
		err = choreo.ErrOutcomeUnknown
	}
	return charge, found, err
}

// Record notes the charge, also of a rental that is withdrawn meanwhile: the next
// step fails then.
func (c ChargeRental[F]) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[F], charge provider.Charge) error {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return err
	}
	r.Charged(charge.PaymentID, events.Money(charge.Amount))
	return r.Save(ctx, tx)
}

// ChargeGivenUp says whether nothing was charged, or nobody knows.
func ChargeGivenUp[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F], cause error) (choreo.Fact, error) {
	r, found, err := rental.For(ctx, tx, e.Meta, e.Fact.Rental())
	if err != nil || !found {
		return nil, cmp.Or(err, fmt.Errorf("there is no rental %s to be charged", e.Fact.Rental()))
	}
	if errors.Is(cause, choreo.ErrOutcomeUnknown) {
		return r.ChargeUnknown("unknown"), r.Save(ctx, tx)
	}
	return r.ChargeFailed(chargeReason(cause)), r.Save(ctx, tx)
}

func chargeReason(cause error) string {
	answer, answered := errors.AsType[*provider.Error](cause)
	switch {
	case errors.Is(cause, rental.ErrWithdrawn):
		return "withdrawn"
	case errors.Is(cause, buyer.ErrErased):
		return "erased"
	case answered && answer.Code() != "":
		return answer.Code()
	default:
		return "unavailable"
	}
}
