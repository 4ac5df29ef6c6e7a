package payment

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/events"
)

const find = `select requested_by, state, currency, amount, payment_id, captured, refund_id, refunded
	from payments where order_id = $1`

// Request makes the order's payment for the event that asks for the charge, or
// loads it where there is one already, and locks its row. Where there is nothing
// to take no provider is asked: the payment is captured as it is.
func Request(ctx context.Context, tx *choreo.Tx, orderID, eventID string, amount events.Money) (*Payment, error) {
	_, err := tx.ExecContext(ctx, `
		insert into payments (order_id, requested_by, state, currency, amount, payment_id, captured, refund_id, refunded, created_at, updated_at)
		values ($1, $2, $3, $4, $5, '', 0, '', 0, $6, $6)
		on conflict (order_id) do nothing`,
		orderID, eventID, string(requested), amount.Currency, amount.Amount, tx.Now())
	if err != nil {
		return nil, fmt.Errorf("requesting the payment of order %s: %w", orderID, err)
	}
	p, _, err := Load(ctx, tx, orderID)
	if err == nil && amount.Amount == 0 && p.Awaits(eventID) {
		p.Capture(tx.NewID(), amount)
		err = p.Save(ctx, tx)
	}
	return p, err
}

// Load reads the payment of an order and locks its row until the transaction
// ends; found is false where no charge was ever intended.
func Load(ctx context.Context, tx *choreo.Tx, orderID string) (p *Payment, found bool, err error) {
	return read(ctx, tx, orderID, find+` for update`)
}

// Find reads the payment of an order as it is now, without a lock: for a
// transaction that changes another aggregate.
func Find(ctx context.Context, tx *choreo.Tx, orderID string) (p *Payment, found bool, err error) {
	return read(ctx, tx, orderID, find)
}

func read(ctx context.Context, tx *choreo.Tx, orderID, query string) (*Payment, bool, error) {
	p := Payment{OrderID: orderID}
	var currency string
	err := tx.QueryRowContext(ctx, query, orderID).Scan(&p.requestedBy, &p.state, &currency,
		&p.Amount.Amount, &p.ID, &p.Captured.Amount, &p.refundID, &p.Refunded.Amount)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading the payment of order %s: %w", orderID, err)
	}
	p.Amount.Currency, p.Captured.Currency, p.Refunded.Currency = currency, currency, currency
	return &p, true, nil
}

// Save writes the payment and emits the facts that it raised.
func (p *Payment) Save(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `update payments
		set state = $2, payment_id = $3, captured = $4, refund_id = $5, refunded = $6, updated_at = $7 where order_id = $1`,
		p.OrderID, string(p.state), p.ID, p.Captured.Amount, p.refundID, p.Refunded.Amount, tx.Now())
	if err != nil {
		return fmt.Errorf("writing the payment of order %s: %w", p.OrderID, err)
	}
	tx.Emit(p.raised...)
	p.raised = nil
	return nil
}
