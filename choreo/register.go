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
			if db.Home(c) != db {
				continue // its watermarks are elsewhere, and no day of the log is kept for it
			}
			var fresh bool
			err := u.sql.QueryRowContext(ctx, `insert into choreo.consumers (consumer, topics, local, registered_at)
				values ($1, $2, $3, $4)
				on conflict (consumer) do update set topics = excluded.topics, local = excluded.local
				returning xmax::text = '0'`, c.Name, pq.Array(append([]string{}, c.Topics()...)), c.Local(), u.now).Scan(&fresh)
			if err != nil {
				return fmt.Errorf("registering %s: %w", c.Name, err)
			}
			if !fresh {
				continue
			}
			if err := beginAt(ctx, u.sql, c, c.beginsNow(old)); err != nil {
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

// beginAt sets the first position of a consumer: the present head of its topics,
// or the beginning, which is where the log begins once days were dropped.
func beginAt(ctx context.Context, tx *sql.Tx, c *Consumer, head bool) error {
	_, err := tx.ExecContext(ctx, `insert into choreo.watermarks (consumer, source, topic, partition, sequence)
		select $1, source, topic, partition, head from choreo.streams where $3 and topic = any ($2)
		union all
		select $1, c.source, c.topic, c.partition, c.sequence from choreo.log_cuts c join choreo.log_head h on c.position = h.begins_after
		where not $3 and c.topic = any ($2)`, c.Name, pq.Array(c.Topics()), head)
	if err == nil && head {
		_, err = tx.ExecContext(ctx, `insert into choreo.foreign_offsets (consumer, topic_id, partition, next_offset)
			select $1, topic_id, partition, next_offset from choreo.collected where topic = any ($2)`, c.Name, pq.Array(c.Topics()))
	}
	if err != nil {
		return fmt.Errorf("registering %s at its first position: %w", c.Name, err)
	}
	return nil
}
