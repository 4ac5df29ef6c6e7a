package choreo

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/lib/pq"
)

// Register gives each consumer of the flow that the database does not know yet
// its first position: what From says, else the beginning; but the present head
// for one with effects that comes to a database which has consumers already, so
// that it does not mail the past. Several processes may call it at once.
func Register(ctx context.Context, db *DB) error {
	return db.InUnit(ctx, func(ctx context.Context, u *Unit) error {
		var old bool
		if _, err := u.sql.ExecContext(ctx, `lock table choreo.consumers in exclusive mode`); err != nil {
			return fmt.Errorf("registering consumers: %w", err)
		}
		if err := u.sql.QueryRowContext(ctx, `select exists (select from choreo.consumers)`).Scan(&old); err != nil {
			return fmt.Errorf("registering consumers: %w", err)
		}
		for _, c := range db.flow.Consumers() {
			result, err := u.sql.ExecContext(ctx, `insert into choreo.consumers (consumer, registered_at) values ($1, $2)
				on conflict do nothing`, c.Name, u.now)
			if err != nil {
				return fmt.Errorf("registering %s: %w", c.Name, err)
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 || !c.beginsNow(old) {
				if err != nil {
					return err
				}
				continue
			}
			if err := beginAtHead(ctx, u.sql, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// beginsNow tells whether a new consumer passes over what has happened.
func (c *Consumer) beginsNow(old bool) bool {
	effects := false
	for _, r := range c.rules {
		if r.From != "" {
			return r.From == Now
		}
		effects = effects || r.Effect != nil
	}
	return old && effects
}

func beginAtHead(ctx context.Context, tx *sql.Tx, c *Consumer) error {
	_, err := tx.ExecContext(ctx, `insert into choreo.watermarks (consumer, source, topic, partition, sequence)
		select $1, source, topic, partition, head from choreo.streams where topic = any ($2)`, c.Name, pq.Array(c.Topics()))
	if err != nil {
		return fmt.Errorf("registering %s at the head of its topics: %w", c.Name, err)
	}
	return nil
}
