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

// What an operator may not do to a step, and why.
var (
	ErrNoStep   = errors.New("there is no such step")
	ErrNotEnded = errors.New("the step has not ended: it is waiting for its turn or its next try, or calling")
	ErrUndone   = errors.New("the step is undone: redone, it would do again what was taken back")
	ErrLater    = errors.New("a later event of its line is done: redone, it would overtake that")
	ErrNoReason = errors.New("say why")
)

// Info is a step as an operator sees it. It holds no data of the event.
type Info struct {
	ID        int64           `json:"stepId"`
	Consumer  string          `json:"consumer"`
	Event     string          `json:"event"`
	EventID   string          `json:"eventId"`
	Key       string          `json:"key"`
	Saga      string          `json:"sagaId"`
	State     string          `json:"state"`
	Attempts  int             `json:"attempts"`
	Round     int             `json:"round"`
	DueAt     time.Time       `json:"dueAt"`
	UpdatedAt time.Time       `json:"updatedAt"`
	Error     string          `json:"error"`
	Result    json.RawMessage `json:"result,omitempty"`
}

// Filter narrows a list; an empty field does not.
type Filter struct {
	Consumer string
	State    string
	Saga     string
	ID       int64
}

// List finds steps, the latest changed first, at most limit.
func List(ctx context.Context, db *choreo.DB, f Filter, limit int) ([]Info, error) {
	rows, err := db.Pool().QueryContext(ctx, `
		select id, consumer, type, event_id, key, saga, state, attempts, round, due_at, updated_at, error, result
		from choreo.steps
		where ($1 = '' or consumer = $1) and ($2 = '' or state = $2) and ($3 = '' or saga = $3) and ($4 = 0 or id = $4)
		order by updated_at desc, id desc limit $5`, f.Consumer, f.State, f.Saga, f.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("listing steps: %w", err)
	}
	defer rows.Close()
	list := []Info{}
	for rows.Next() {
		var s Info
		if err := rows.Scan(&s.ID, &s.Consumer, &s.Event, &s.EventID, &s.Key, &s.Saga, &s.State, &s.Attempts, &s.Round,
			&s.DueAt, &s.UpdatedAt, &s.Error, (*[]byte)(&s.Result)); err != nil {
			return nil, err
		}
		s.DueAt, s.UpdatedAt = s.DueAt.UTC(), s.UpdatedAt.UTC()
		list = append(list, s)
	}
	return list, rows.Err()
}

// Redo has a step that gave up or was parked run again, in a new round: its
// facts get ids of their own, its call the key that it had. It refuses a step
// that is undone, and one whose line has gone on, unless it is forced.
func Redo(ctx context.Context, db *choreo.DB, id int64, force bool) error {
	return db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		s, err := lockStep(ctx, u, id)
		if err != nil {
			return err
		}
		switch s.state {
		case GaveUp, Parked:
		case Undone:
			if !force {
				return ErrUndone
			}
		case Done:
			if !force {
				return fmt.Errorf("the step is done: %w", ErrLater)
			}
		default:
			return ErrNotEnded
		}
		var later bool
		err = u.SQL().QueryRowContext(ctx, `select exists (select from choreo.steps
			where consumer = $1 and line = $2 and id > $3 and state = 'done')`, s.consumer, s.line, id).Scan(&later)
		if err != nil {
			return fmt.Errorf("looking at the line of step %d: %w", id, err)
		}
		if later && !force {
			return ErrLater
		}
		_, err = u.SQL().ExecContext(ctx, `update choreo.steps set state = 'waiting', head = false, round = round + 1,
			place = coalesce(place, nextval('choreo.steps_place')), attempts = 0, begun_at = null, due_at = $2, result = null,
			error = '', watch_since = null, watch_at = null, updated_at = $2 where id = $1`, id, u.Clock())
		if err != nil {
			return fmt.Errorf("redoing step %d: %w", id, err)
		}
		// It is the first of its line again: whoever was behind it waits.
		_, err = u.SQL().ExecContext(ctx, `update choreo.steps set head = (place = (select min(place) from choreo.steps
				where consumer = $1 and line = $2 and `+open+`))
			where consumer = $1 and line = $2 and `+open, s.consumer, s.line)
		return err
	})
}

// Drop ends a step for good, unsaid: no fact comes of it. The reason is kept.
func Drop(ctx context.Context, db *choreo.DB, id int64, reason string) error {
	if reason == "" {
		return ErrNoReason
	}
	return db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		s, err := lockStep(ctx, u, id)
		if err != nil {
			return err
		}
		if s.state != Waiting && s.state != Parked && s.state != Unknown {
			return fmt.Errorf("step %d is %s: only one that is waiting, parked or unknown can be dropped", id, s.state)
		}
		_, err = u.SQL().ExecContext(ctx, `update choreo.steps set state = 'dropped', head = false, error = $2,
			updated_at = $3 where id = $1`, id, "dropped: "+reason, u.Clock())
		if err != nil {
			return fmt.Errorf("dropping step %d: %w", id, err)
		}
		return promote(ctx, u, s.consumer, s.line)
	})
}

type locked struct{ consumer, line, state string }

func lockStep(ctx context.Context, u *choreo.Unit, id int64) (s locked, err error) {
	err = u.SQL().QueryRowContext(ctx, `select consumer, line, state from choreo.steps where id = $1 for update`, id).
		Scan(&s.consumer, &s.line, &s.state)
	if errors.Is(err, sql.ErrNoRows) {
		return s, ErrNoStep
	}
	return s, err
}
