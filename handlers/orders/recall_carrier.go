package orders

import (
	"cmp"
	"context"
	"fmt"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
	"troupe/providers/carrier"
)

// RecallCarrier on ShippingInfoReverted tells the carrier where the order goes
// now, since it may have heard of the change all the same. Where it was never
// called, or a newer change is pending, there is nothing to tell. Emits
// CarrierRecalled; fails with CarrierRecallFailed. Undoes sync-carrier.
type RecallCarrier struct{ Carrier carrier.Carrier }

// Load reads where the order goes now.
func (r RecallCarrier) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.ShippingInfoReverted]) (in carrier.Update, err error) {
	d, found, err := order.LoadDelivery(ctx, tx, e.Fact.OrderID)
	if err != nil || !found || !d.Reverted(e.Fact.ChangeID, e.Saga) {
		return in, cmp.Or(err, choreo.Skip)
	}
	errand, due := d.Recall()
	if sync, ok := choreo.UndoOf[carrier.Answer](tx); !due || !ok || !sync.Begun {
		tx.Emit(events.CarrierRecalled{OrderID: e.Fact.OrderID, ChangeID: e.Fact.ChangeID})
		return in, choreo.Skip
	}
	return updateOf(ctx, tx, d, e.Fact.ChangeID, errand)
}

// Call tells the carrier. Where the order goes may have changed since the last
// attempt: what is told then has another sequence, and so a key of its own. A
// carrier that has heard something later needs to be told no more.
func (r RecallCarrier) Call(ctx context.Context, key string, _ choreo.Event[events.ShippingInfoReverted], in carrier.Update) (struct{}, error) {
	_, err := r.Carrier.Tell(ctx, fmt.Sprintf("%s#%d", key, in.Sequence), in)
	return struct{}{}, choreo.RefusedIf(err, carrier.ErrRefused)
}

// Record says that the carrier knows nothing of the change any more.
func (r RecallCarrier) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[events.ShippingInfoReverted], _ struct{}) error {
	tx.Emit(events.CarrierRecalled{OrderID: e.Fact.OrderID, ChangeID: e.Fact.ChangeID})
	return nil
}

// RecallGivenUp says that the carrier may still go by the change.
func RecallGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.ShippingInfoReverted], cause error) (choreo.Fact, error) {
	return events.CarrierRecallFailed{OrderID: e.Fact.OrderID, ChangeID: e.Fact.ChangeID, Reason: carrierReason(cause)}, nil
}
