// Package salesstats is the view behind GET /stats/sales: what was sold and given
// back, by UTC days. It is fed as a system of somebody else's would be: it pulls
// events over HTTP.
package salesstats

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"troupe/choreo/pull"
	"troupe/events"
)

// Name of the view.
const Name = "sales-stats"

// Tables makes its tables.
//
//go:embed tables.sql
var Tables string

// Project counts an order when it is confirmed, and what is given back of one
// that was: a charge that is returned before that never was a sale.
func Project(ctx context.Context, tx *sql.Tx, list []pull.Event) error {
	for _, e := range list {
		var err error
		switch e.Type {
		case events.OrderSubmitted{}.FactType():
			err = with(ctx, tx, e, submitted)
		case events.OrderConfirmed{}.FactType():
			err = with(ctx, tx, e, confirmed)
		case events.PaymentRefunded{}.FactType():
			err = with(ctx, tx, e, refunded)
		}
		if err != nil {
			return fmt.Errorf("counting %s %s: %w", e.Type, e.ID, err)
		}
	}
	return nil
}

// with reads the fact of an event. One that cannot be read is nobody's order.
func with[F any](ctx context.Context, tx *sql.Tx, e pull.Event, count func(context.Context, *sql.Tx, time.Time, F) error) error {
	var fact F
	if json.Unmarshal(e.Data, &fact) != nil {
		return nil //nolint:nilerr // the comment says why
	}
	return count(ctx, tx, e.Time, fact)
}

func submitted(ctx context.Context, tx *sql.Tx, _ time.Time, f events.OrderSubmitted) error {
	_, err := tx.ExecContext(ctx, `insert into orders (order_id, currency, total) values ($1, $2, $3) on conflict do nothing`,
		f.OrderID, f.Total.Currency, f.Total.Amount)
	return err
}

func confirmed(ctx context.Context, tx *sql.Tx, at time.Time, f events.OrderConfirmed) error {
	_, err := tx.ExecContext(ctx, `
		with sale as (
			update orders set confirmed = true where order_id = $1 and not confirmed returning currency, total)
		insert into days as d (day, currency, orders, gross)
		select ($2::timestamptz at time zone 'UTC')::date, currency, 1, total from sale
		on conflict (day, currency) do update set orders = d.orders + 1, gross = d.gross + excluded.gross`, f.OrderID, at)
	return err
}

func refunded(ctx context.Context, tx *sql.Tx, at time.Time, f events.PaymentRefunded) error {
	var currency string
	err := tx.QueryRowContext(ctx, `update orders set refunded = true where order_id = $1 and confirmed and not refunded
		returning currency`, f.OrderID).Scan(&currency)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `insert into days as d (day, currency, refunded)
			values (($1::timestamptz at time zone 'UTC')::date, $2, $3)
			on conflict (day, currency) do update set refunded = d.refunded + excluded.refunded`, at, currency, f.Amount.Amount)
	}
	return err
}
