package orders

import (
	"context"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
)

// ConfirmOrder on PaymentCaptured confirms the order, unless it was canceled
// meanwhile. Emits OrderConfirmed. Undone by cancel-order.
func ConfirmOrder(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PaymentCaptured]) error {
	o, found, err := order.Load(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return err
	}
	o.Confirm()
	return o.Save(ctx, tx)
}
