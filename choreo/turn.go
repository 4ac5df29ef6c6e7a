package choreo

import (
	"context"
	"fmt"
	"time"
)

// Turn tells whether something that is to be done once in every while, by one of
// all processes, is to be done by the caller now.
func (db *DB) Turn(ctx context.Context, what string, every time.Duration) (bool, error) {
	result, err := db.pool.ExecContext(ctx, `insert into choreo.leases as l (name, holder, until)
		select $1, '', n + make_interval(secs => $2) from choreo.troupe_now() n
		on conflict (name) do update set until = excluded.until where l.until <= choreo.troupe_now()`, what, every.Seconds())
	if err != nil {
		return false, fmt.Errorf("asking whose turn it is to %s: %w", what, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// NewID is a fresh id for what has to have one before there is a transaction to
// make it.
func (db *DB) NewID(ctx context.Context) (string, error) {
	now, err := db.Now(ctx)
	if err != nil {
		return "", fmt.Errorf("making an id: %w", err)
	}
	return newID(now, db.random)
}
