package orderdetails

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"troupe/events"
)

// Order is an order as its facts tell.
type Order struct {
	OrderID, AccountID  string
	Lines               []events.OrderLine
	Total               events.Money
	State, RefundStatus string
	Captured, Refunded  events.Money
	Carrier             string
}

// Find reads an order; nil where the view has none of that id yet.
func Find(ctx context.Context, pool *sql.DB, orderID string) (*Order, error) {
	o := &Order{}
	var lines []byte
	// A canceled order's refund is started until both topics have told its end.
	err := pool.QueryRowContext(ctx, `
		select o.order_id, o.account_id, o.lines, o.currency, o.total, o.state,
			case when o.state <> 'canceled' then 'none'
				when o.settled and p.refund = 'done' then 'completed'
				when o.settled and p.refund = 'not-needed' then 'none'
				when p.refund = 'failed' then 'failed'
				else 'started' end,
			coalesce(p.captured, 0), coalesce(p.refunded, 0), o.carrier
		from order_details.orders o left join order_details.payments p using (order_id) where o.order_id = $1`, orderID).
		Scan(&o.OrderID, &o.AccountID, &lines, &o.Total.Currency, &o.Total.Amount, &o.State, &o.RefundStatus,
			&o.Captured.Amount, &o.Refunded.Amount, &o.Carrier)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading order %s: %w", orderID, err)
	}
	if err := json.Unmarshal(lines, &o.Lines); err != nil {
		return nil, fmt.Errorf("reading the lines of order %s: %w", orderID, err)
	}
	o.Captured.Currency, o.Refunded.Currency = o.Total.Currency, o.Total.Currency
	return o, nil
}
