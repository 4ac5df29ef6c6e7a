package orders

import (
	"context"

	"troupe/choreo"
	"troupe/domain/order"
)

// unpaid is a fact that says why an order could not be paid.
type unpaid interface {
	choreo.Fact
	Order() string
	FailureReason() string
}

// CancelUnpaidOrder on PaymentDeclined or PaymentUnknown cancels the order,
// unless it is canceled already. Emits OrderCanceled. Undoes place-order.
func CancelUnpaidOrder[F unpaid](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	o, found, err := order.Load(ctx, tx, e.Fact.Order())
	if err != nil || !found {
		return err
	}
	o.CancelUnpaid(e.Fact.FailureReason())
	return o.Save(ctx, tx)
}
