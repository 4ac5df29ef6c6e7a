package orders

import (
	"context"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
)

// FlagRefund on RefundFailed marks the order's refund, if it is started, as
// failed: money owed, shown to operators. Emits nothing. Ended by a refund that
// is done again.
func FlagRefund(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.RefundFailed]) error {
	o, found, err := order.Load(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return err
	}
	o.FlagRefund()
	return o.Save(ctx, tx)
}
