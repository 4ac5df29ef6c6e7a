package choreo

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"
)

// Deed is something that an operator did: a line of the audit.
type Deed struct {
	ID     int64     `json:"id"`
	At     time.Time `json:"at"`
	Who    string    `json:"who"`
	Action string    `json:"action" doc:"What was done, as the command is called: steps redo."`
	Target string    `json:"target" doc:"To what: a step, a consumer."`
	Count  int64     `json:"count" doc:"To how many."`
	Detail string    `json:"detail" doc:"The reason, or how."`
}

type operatorKey struct{}

// AsOperator says in whose name something is done, for the audit.
func AsOperator(ctx context.Context, who string) context.Context {
	return context.WithValue(ctx, operatorKey{}, who)
}

// Audit leaves a line of what an operator does, in the transaction that does it.
// It holds no data of events.
func (u *Unit) Audit(ctx context.Context, action, target string, count int64, detail string) error {
	return audit(ctx, u.sql, u.now, action, target, count, detail)
}

func audit(ctx context.Context, tx *sql.Tx, at time.Time, action, target string, count int64, detail string) error {
	who, _ := ctx.Value(operatorKey{}).(string)
	_, err := tx.ExecContext(ctx, `insert into choreo.audit (at, who, action, target, count, detail) values ($1, $2, $3, $4, $5, $6)`,
		at, cmp.Or(who, "unnamed"), action, target, count, detail)
	if err != nil {
		return fmt.Errorf("writing the audit: %w", err)
	}
	return nil
}

// Deeds are the latest lines of the audit, newest first, at most limit; of one
// action, or of all where that is empty.
func Deeds(ctx context.Context, db *DB, action string, limit int) ([]Deed, error) {
	rows, err := db.pool.QueryContext(ctx, `select id, at, who, action, target, count, detail from choreo.audit
		where $1 = '' or action = $1 or starts_with(action, $1 || ' ') order by id desc limit $2`, action, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the audit: %w", err)
	}
	defer rows.Close()
	var deeds []Deed
	for rows.Next() {
		var d Deed
		if err := rows.Scan(&d.ID, &d.At, &d.Who, &d.Action, &d.Target, &d.Count, &d.Detail); err != nil {
			return nil, err
		}
		d.At = d.At.UTC()
		deeds = append(deeds, d)
	}
	return deeds, rows.Err()
}
