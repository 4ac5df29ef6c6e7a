package salesstats

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"troupe/events"
)

// Day is what was sold on a UTC day in one currency: Gross of the orders
// confirmed then, Refunded what was given back then, Net the difference.
type Day struct {
	Day                  time.Time
	Orders               int64
	Gross, Refunded, Net events.Money
}

// Days reads the days from the first up to, and without, the second; those on
// which nothing happened are left out.
func Days(ctx context.Context, pool *sql.DB, from, to time.Time) ([]Day, error) {
	rows, err := pool.QueryContext(ctx, `select day, currency, orders, gross, refunded from sales_stats.days
		where day >= $1::date and day < $2::date order by day, currency`, from.Format(time.DateOnly), to.Format(time.DateOnly))
	if err != nil {
		return nil, fmt.Errorf("reading sales: %w", err)
	}
	defer rows.Close()
	days := []Day{}
	for rows.Next() {
		var d Day
		var currency string
		if err := rows.Scan(&d.Day, &currency, &d.Orders, &d.Gross.Amount, &d.Refunded.Amount); err != nil {
			return nil, fmt.Errorf("reading sales: %w", err)
		}
		d.Net.Amount = d.Gross.Amount - d.Refunded.Amount
		d.Gross.Currency, d.Refunded.Currency, d.Net.Currency = currency, currency, currency
		days = append(days, d)
	}
	return days, rows.Err()
}
