package order

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"troupe/choreo"
)

const columns = `order_id, account_id, saga, state, refund_status, currency, total, lines, shipping_version, mailed_for`

// Load reads an order and locks its row until the transaction ends; found is
// false where there is none.
func Load(ctx context.Context, tx *choreo.Tx, id string) (o *Order, found bool, err error) {
	return read(ctx, tx, id, `select `+columns+` from orders where order_id = $1 for update`)
}

// Find reads an order as it is now, without a lock: for a transaction that
// changes another aggregate.
func Find(ctx context.Context, tx *choreo.Tx, id string) (o *Order, found bool, err error) {
	return read(ctx, tx, id, `select `+columns+` from orders where order_id = $1`)
}

func read(ctx context.Context, tx *choreo.Tx, id, query string) (*Order, bool, error) {
	var o Order
	var lines []byte
	err := tx.QueryRowContext(ctx, query, id).Scan(&o.ID, &o.AccountID, &o.Saga, &o.state, &o.refund,
		&o.Total.Currency, &o.Total.Amount, &lines, &o.version, &o.mailedFor)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err == nil {
		err = json.Unmarshal(lines, &o.Lines)
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading order %s: %w", id, err)
	}
	return &o, true, nil
}

// Save writes the order and emits the facts that it raised. A new order's saga
// is that of the transaction.
func (o *Order) Save(ctx context.Context, tx *choreo.Tx) error {
	write := o.update
	if o.shipping != nil {
		write = o.insert
	}
	if err := write(ctx, tx); err != nil {
		return fmt.Errorf("writing order %s: %w", o.ID, err)
	}
	tx.Emit(o.raised...)
	o.raised = nil
	return nil
}

func (o *Order) insert(ctx context.Context, tx *choreo.Tx) error {
	o.Saga = tx.Saga()
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		insert into orders (order_id, account_id, saga, state, refund_status, currency, total, lines, shipping_version, mailed_for, placed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, '', $10)`,
		o.ID, o.AccountID, o.Saga, string(o.state), string(o.refund), o.Total.Currency, o.Total.Amount, string(lines),
		o.version, tx.Now())
	if err != nil {
		return err
	}
	if err := insertInfo(ctx, tx, o.ID, o.version, *o.shipping); err != nil {
		return err
	}
	o.shipping = nil
	return nil
}

func (o *Order) update(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `update orders set state = $2, refund_status = $3, mailed_for = $4 where order_id = $1`,
		o.ID, string(o.state), string(o.refund), o.mailedFor)
	return err
}
