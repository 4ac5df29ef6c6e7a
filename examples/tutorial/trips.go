package tutorial

import (
	"context"
	"database/sql"

	"troupe/choreo"
)

const tables = `
	create table balances (traveler text primary key, cents int not null check (cents >= 0));
	create table trips    (id text primary key, state text not null);
	create table seats    (trip_id text primary key);`

// Migrate makes the engine's tables and ours.
func Migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	_, err := pool.ExecContext(ctx, tables)
	return err
}

// Book is the command: one transaction writes the row and emits the fact.
func Book(ctx context.Context, db *choreo.DB, trip TripBooked) (choreo.Receipt, error) {
	return choreo.Commit(ctx, db, "book-trip", func(ctx context.Context, tx *choreo.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into trips (id, state) values ($1, 'booked')`, trip.TripID)
		tx.Emit(trip)
		return err
	})
}
