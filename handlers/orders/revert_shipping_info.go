package orders

import (
	"context"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
)

// RevertShippingInfo on CarrierSyncFailed takes the change back: the order goes
// where the carrier last agreed to bring it, else where it was ordered to. With
// a newer change nothing is reverted, and it answers all the same. Emits
// ShippingInfoReverted. Undoes change-shipping-info.
func RevertShippingInfo(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.CarrierSyncFailed]) error {
	d, found, err := order.LoadDelivery(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return err
	}
	d.Revert(e.Fact.ChangeID, e.Saga)
	return d.Save(ctx, tx)
}
