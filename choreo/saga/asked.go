package saga

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Querier is a transaction or a pool.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Asked is the id of the newest fact that a command brought into a saga: what a
// command that comes again, and changes nothing, can answer with. It is empty where
// there is none.
func Asked(ctx context.Context, q Querier, id string) (eventID string, err error) {
	err = q.QueryRowContext(ctx, `
		select event_id from (
		  select event_id, id as n, 1 as place from choreo.outbox where saga = $1 and causation = ''
		  union all
		  select event_id, position, 0 from choreo.event_log where saga = $1 and causation = ''
		) f order by place desc, n desc limit 1`, id).Scan(&eventID)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for what was asked in saga %s: %w", id, err)
	}
	return eventID, nil
}
