package choreo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo/internal/safeguard"
)

// ErrRelayActive is a relay that holds its lease.
var ErrRelayActive = errors.New("a relay is active: stop all of Troupe first")

// NewEpoch gives the database a new source, after it was set back by a restore:
// sequences start again under a new ce_source. What Kafka holds of the lost
// timeline is kept in quarantine by the consumers that meet it, and applied by
// none. What the log holds of the old source and a consumer has not taken it reads
// from the log. Everything must be stopped. Unless it is executed it only says what
// the source is and would be.
func NewEpoch(ctx context.Context, pool *sql.DB, execute bool) (was, is string, err error) {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return "", "", fmt.Errorf("making a new source: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	var active bool
	if err := tx.QueryRowContext(ctx, `select exists (select from choreo.leases
		where name = 'relay' and until > choreo.troupe_now())`).Scan(&active); err != nil || execute && active {
		return "", "", errors.Join(ErrRelayActive, err)
	}
	var id string
	var epoch int
	var now time.Time
	err = tx.QueryRowContext(ctx, `update choreo.source set epoch = epoch + 1 returning database_id, epoch, choreo.troupe_now()`).Scan(&id, &epoch, &now)
	if err != nil {
		return "", "", fmt.Errorf("making a new source: %w", err)
	}
	was, is = sourceOf(id, epoch-1), sourceOf(id, epoch)
	if !execute || safeguard.Off("epoch") {
		return was, is, nil
	}
	if err := audit(ctx, tx, now, "source new", is, 1, "was "+was); err != nil {
		return "", "", err
	}
	return was, is, tx.Commit()
}

func sourceOf(databaseID string, epoch int) string {
	return fmt.Sprintf("/troupe/%s/%d", databaseID, epoch)
}
