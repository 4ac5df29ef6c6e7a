package order

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
)

// LoadDelivery reads where an order goes and locks the order's row until the
// transaction ends; found is false where there is none.
func LoadDelivery(ctx context.Context, tx *choreo.Tx, orderID string) (d *Delivery, found bool, err error) {
	d = &Delivery{OrderID: orderID}
	err = tx.QueryRowContext(ctx, `select account_id, state, shipping_version, carrier_sequence from orders
		where order_id = $1 for update`, orderID).Scan(&d.AccountID, &d.state, &d.shown, &d.sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading where order %s goes: %w", orderID, err)
	}
	rows, err := tx.QueryContext(ctx, `select change_id, version, sequence, saga, state, taken_by from shipping_changes
		where order_id = $1 order by version`, orderID)
	if err != nil {
		return nil, false, fmt.Errorf("reading the shipping changes of order %s: %w", orderID, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c change
		if err := rows.Scan(&c.id, &c.version, &c.sequence, &c.saga, &c.state, &c.takenBy); err != nil {
			return nil, false, fmt.Errorf("reading a shipping change of order %s: %w", orderID, err)
		}
		d.changes = append(d.changes, &c)
	}
	return d, true, rows.Err()
}

// Info is the shipping info of a version. ErrErased where it is gone.
func (d *Delivery) Info(ctx context.Context, tx *choreo.Tx, version int) (s Shipping, err error) {
	err = tx.QueryRowContext(ctx, `select name, street, city, postal_code, country from shipping_infos
		where order_id = $1 and version = $2`, d.OrderID, version).Scan(&s.Name, &s.Street, &s.City, &s.PostalCode, &s.Country)
	if errors.Is(err, sql.ErrNoRows) {
		return s, ErrErased
	}
	if err != nil {
		return s, fmt.Errorf("reading the shipping info of order %s: %w", d.OrderID, err)
	}
	return s, nil
}

// Save writes where the order goes and emits the facts that were raised.
func (d *Delivery) Save(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `update orders set shipping_version = $2, carrier_sequence = $3 where order_id = $1`,
		d.OrderID, d.shown, d.sequence)
	if err == nil && d.info != nil {
		err = insertInfo(ctx, tx, d.OrderID, d.newest(), *d.info)
	}
	for _, c := range d.changes {
		if err == nil {
			_, err = tx.ExecContext(ctx, `
				insert into shipping_changes (change_id, order_id, version, sequence, saga, state, taken_by)
				values ($1, $2, $3, $4, $5, $6, $7)
				on conflict (change_id) do update set state = excluded.state, taken_by = excluded.taken_by`,
				c.id, d.OrderID, c.version, c.sequence, c.saga, string(c.state), c.takenBy)
		}
	}
	if err != nil {
		return fmt.Errorf("writing where order %s goes: %w", d.OrderID, err)
	}
	tx.Emit(d.raised...)
	d.raised, d.info = nil, nil
	return nil
}

// insertInfo writes a version of where an order goes.
func insertInfo(ctx context.Context, tx *choreo.Tx, orderID string, version int, s Shipping) error {
	_, err := tx.ExecContext(ctx, `
		insert into shipping_infos (order_id, version, name, street, city, postal_code, country)
		values ($1, $2, $3, $4, $5, $6, $7)`, orderID, version, s.Name, s.Street, s.City, s.PostalCode, s.Country)
	if err != nil {
		return fmt.Errorf("its shipping info: %w", err)
	}
	return nil
}
