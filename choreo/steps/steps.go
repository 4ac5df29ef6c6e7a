// Package steps keeps every reaction that is not simply applied and forgotten:
// effects, delays, retries, and those that something can undo. One table,
// whose rows go waiting → calling → done | gave-up | undone | dropped | parked;
// an event of an unknown type stands aside as unknown. Who changes a row emits
// its fact in the same transaction, and who finds it changed emits nothing: one
// step has one outcome.
//
// Steps of one consumer with the same line run in order: only the head of a
// line runs, and finishing it makes the next one the head.
package steps

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
)

// States of a step.
const (
	Waiting = "waiting"
	Calling = "calling"
	Done    = "done"
	GaveUp  = "gave-up"
	Undone  = "undone"
	Dropped = "dropped"
	Parked  = "parked"
	Unknown = "unknown"
)

// open are the states that hold a line.
const open = `('waiting','calling','parked')`

// New is a step to be put into the table.
type New struct {
	Consumer string
	Meta     choreo.Meta
	Data     []byte
	FactKey  string // the key undoing goes by
	Line     string
	State    string // Waiting, Done or Unknown
	Delay    time.Duration
	Attempts int
	Error    string
}

// LineBusy tells whether an earlier step of the line is unfinished. It locks
// the line's last row FOR SHARE: without that a step put behind one that is
// just finishing is never woken.
func LineBusy(ctx context.Context, u *choreo.Unit, consumer, line string) (bool, error) {
	var id int64
	err := u.SQL().QueryRowContext(ctx, `select id from choreo.steps
		where consumer = $1 and line = $2 and state in `+open+`
		order by id desc limit 1 for share`, consumer, line).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at line %s of %s: %w", line, consumer, err)
	}
	return true, nil
}

// Put adds a step. Its idempotency key is made of the consumer and the event.
func Put(ctx context.Context, u *choreo.Unit, s New) error {
	head := false
	if s.State == Waiting {
		busy, err := LineBusy(ctx, u, s.Consumer, s.Line)
		if err != nil {
			return err
		}
		head = !busy
	}
	meta, err := json.Marshal(s.Meta)
	if err != nil {
		return fmt.Errorf("writing the event's attributes: %w", err)
	}
	now := u.Clock()
	_, err = u.SQL().ExecContext(ctx, `
		insert into choreo.steps (consumer, source, event_id, type, key, saga, line, meta, data, state, head,
			attempts, due_at, begun_at, effect_key, error, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)`,
		s.Consumer, s.Meta.Source, s.Meta.ID, s.Meta.Type, s.FactKey, s.Meta.Saga, s.Line, string(meta), s.Data,
		s.State, head, s.Attempts, now.Add(s.Delay), sql.NullTime{Time: now, Valid: s.Attempts > 0},
		s.Consumer+":"+s.Meta.ID, s.Error, now)
	if err != nil {
		return fmt.Errorf("putting %s of %s into steps: %w", s.Meta.ID, s.Consumer, err)
	}
	return nil
}

// promote makes the first unfinished step of a line its head. It runs in the
// transaction that finished a step, after the change.
func promote(ctx context.Context, u *choreo.Unit, consumer, line string) error {
	_, err := u.SQL().ExecContext(ctx, `update choreo.steps set head = true where not head and id = (
		select id from choreo.steps where consumer = $1 and line = $2 and state in `+open+` order by id limit 1)`,
		consumer, line)
	if err != nil {
		return fmt.Errorf("waking the next of line %s of %s: %w", line, consumer, err)
	}
	return nil
}
