package orders

import (
	"cmp"
	"context"
	"errors"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
	"troupe/providers/carrier"
)

// SyncCarrier on ShippingInfoChanged tells the carrier where the order goes,
// unless a newer change is there by then. Emits CarrierSynced or
// ShippingInfoSuperseded; fails with CarrierSyncFailed. Undone by
// recall-carrier.
type SyncCarrier struct{ Carrier carrier.Carrier }

// Load takes the change on, and reads the address.
func (s SyncCarrier) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.ShippingInfoChanged]) (in carrier.Update, err error) {
	d, found, err := order.LoadDelivery(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return in, cmp.Or(err, choreo.Skip)
	}
	errand, ok := d.Take(e.Fact.ChangeID, e.Saga, e.ID)
	if err := d.Save(ctx, tx); err != nil || !ok {
		return in, cmp.Or(err, choreo.Skip)
	}
	return updateOf(ctx, tx, d, e.Fact.ChangeID, errand)
}

// updateOf is what the carrier is told on an errand.
func updateOf(ctx context.Context, tx *choreo.Tx, d *order.Delivery, changeID string, errand order.Errand) (carrier.Update, error) {
	to, err := d.Info(ctx, tx, errand.Version)
	return carrier.Update{OrderID: d.OrderID, ChangeID: changeID, Sequence: errand.Sequence, To: carrier.Address(to)}, choreo.RefusedIf(err, order.ErrErased)
}

// Call tells the carrier.
func (s SyncCarrier) Call(ctx context.Context, key string, _ choreo.Event[events.ShippingInfoChanged], in carrier.Update) (carrier.Answer, error) {
	answer, err := s.Carrier.Tell(ctx, key, in)
	return answer, choreo.RefusedIf(err, carrier.ErrRefused)
}

// Ask finds out what became of an update whose answer was lost.
func (s SyncCarrier) Ask(ctx context.Context, key string) (carrier.Answer, bool, error) {
	return s.Carrier.Find(ctx, key)
}

// Record notes what the carrier did.
func (s SyncCarrier) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.ShippingInfoChanged], answer carrier.Answer) error {
	d, found, err := order.LoadDelivery(ctx, tx, e.Fact.OrderID)
	if err != nil || !found {
		return err
	}
	d.Sync(e.Fact.ChangeID, answer.Taken)
	return d.Save(ctx, tx)
}

// SyncGivenUp says why the carrier does not go by the change.
func SyncGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.ShippingInfoChanged], cause error) (choreo.Fact, error) {
	return events.CarrierSyncFailed{OrderID: e.Fact.OrderID, ChangeID: e.Fact.ChangeID, Reason: carrierReason(cause)}, nil
}

// carrierReason says why the carrier could not be told.
func carrierReason(cause error) string {
	switch {
	case errors.Is(cause, order.ErrErased):
		return "erased"
	case errors.Is(cause, carrier.ErrRefused):
		return "refused"
	case errors.Is(cause, choreo.ErrOutcomeUnknown):
		return "unknown"
	default:
		return "unavailable"
	}
}
