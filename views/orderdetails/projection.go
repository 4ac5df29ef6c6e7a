// Package orderdetails is the view behind GET /orders/{id}: an order with what
// was paid and given back, from the facts of orders and payments. Where it goes
// is personal, and not in it.
package orderdetails

import (
	"context"
	_ "embed"
	"encoding/json"

	"troupe/choreo"
	"troupe/events"
)

// Name of the view.
const Name = "order-details"

// Tables makes its tables.
//
//go:embed tables.sql
var Tables string

// Submitted adds the order.
func Submitted(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderSubmitted]) error {
	lines, err := json.Marshal(e.Fact.Lines)
	if err != nil {
		return err
	}
	return exec(ctx, tx, `insert into orders (order_id, account_id, lines, currency, total, state)
		values ($1, $2, $3::jsonb, $4, $5, 'submitted') on conflict do nothing`,
		e.Fact.OrderID, e.Fact.AccountID, string(lines), e.Fact.Total.Currency, e.Fact.Total.Amount)
}

// Confirmed confirms a submitted order.
func Confirmed(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderConfirmed]) error {
	return exec(ctx, tx, `update orders set state = 'confirmed' where order_id = $1 and state = 'submitted'`, e.Fact.OrderID)
}

// Shipped ships a confirmed order.
func Shipped(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderShipped]) error {
	return exec(ctx, tx, `update orders set state = 'shipped' where order_id = $1 and state = 'confirmed'`, e.Fact.OrderID)
}

// Canceled cancels an order that is not shipped: from now on its refund is
// started, whatever was paid.
func Canceled(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderCanceled]) error {
	return exec(ctx, tx, `update orders set state = 'canceled' where order_id = $1 and state in ('submitted', 'confirmed')`, e.Fact.OrderID)
}

// RefundCompleted settles a canceled order.
func RefundCompleted(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.RefundCompleted]) error {
	return exec(ctx, tx, `update orders set settled = true where order_id = $1 and state = 'canceled'`, e.Fact.OrderID)
}

// ShippingChanged puts a change of where it goes in the place of older ones.
func ShippingChanged(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.ShippingInfoChanged]) error {
	return exec(ctx, tx, `update orders set change_id = $2, version = $3, carrier = 'pending' where order_id = $1 and version < $3`,
		e.Fact.OrderID, e.Fact.ChangeID, e.Fact.Version)
}

// CarrierSynced notes that the carrier took the newest change.
func CarrierSynced(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.CarrierSynced]) error {
	return exec(ctx, tx, `update orders set carrier = 'synced' where order_id = $1 and change_id = $2 and carrier = 'pending'`,
		e.Fact.OrderID, e.Fact.ChangeID)
}

// CarrierFailed notes that the carrier would not have the newest change.
func CarrierFailed(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.CarrierSyncFailed]) error {
	return exec(ctx, tx, `update orders set carrier = 'failed' where order_id = $1 and change_id = $2 and carrier = 'pending'`,
		e.Fact.OrderID, e.Fact.ChangeID)
}

// Captured notes what was taken.
func Captured(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PaymentCaptured]) error {
	return exec(ctx, tx, `insert into payments as p (order_id, captured) values ($1, $2)
		on conflict (order_id) do update set captured = greatest(p.captured, excluded.captured)`, e.Fact.OrderID, e.Fact.Amount.Amount)
}

// Refunded notes what was given back. A charge that nobody had reported counts
// as taken, too.
func Refunded(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PaymentRefunded]) error {
	return exec(ctx, tx, `insert into payments as p (order_id, captured, refunded, refund) values ($1, $2, $2, 'done')
		on conflict (order_id) do update set captured = greatest(p.captured, excluded.captured), refunded = excluded.refunded,
			refund = excluded.refund`, e.Fact.OrderID, e.Fact.Amount.Amount)
}

// RefundNotNeeded notes that nothing was taken.
func RefundNotNeeded(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.RefundNotNeeded]) error {
	return exec(ctx, tx, `insert into payments (order_id, refund) values ($1, 'not-needed')
		on conflict (order_id) do update set refund = excluded.refund`, e.Fact.OrderID)
}

// RefundFailed notes that the money is owed, unless it was given back.
func RefundFailed(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.RefundFailed]) error {
	return exec(ctx, tx, `insert into payments as p (order_id, refund) values ($1, 'failed')
		on conflict (order_id) do update set refund = excluded.refund where p.refund = ''`, e.Fact.OrderID)
}

func exec(ctx context.Context, tx *choreo.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}
