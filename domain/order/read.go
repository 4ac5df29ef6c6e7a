package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Reading is what a view does not hold of an order: what is personal, and what
// the order itself says before the view has heard of it.
type Reading struct {
	AccountID string
	State     State
	Shipping  Shipping // where it goes now; empty once it is erased
}

// Read reads what a view lacks, without a lock; nil where there is none.
func Read(ctx context.Context, pool *sql.DB, id string) (*Reading, error) {
	r := &Reading{}
	to := &r.Shipping
	err := pool.QueryRowContext(ctx, `
		select o.account_id, o.state, coalesce(s.name, ''), coalesce(s.street, ''), coalesce(s.city, ''),
			coalesce(s.postal_code, ''), coalesce(s.country, '')
		from orders o left join shipping_infos s on s.order_id = o.order_id and s.version = o.shipping_version
		where o.order_id = $1`, id).
		Scan(&r.AccountID, &r.State, &to.Name, &to.Street, &to.City, &to.PostalCode, &to.Country)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading order %s: %w", id, err)
	}
	return r, nil
}
