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
	ErrNoWho    = errors.New("say who you are")
	ErrNoRule   = errors.New("this binary does not know what to do about the step's event")
	ErrOtherKey = errors.New("the new data is about another key, or belongs to another line")
	ErrHappened = errors.New("the call of the step has happened: under a new key it would happen again")
	ErrUnsure   = errors.New("the call of the step may have happened: under a new key it could happen twice")
	ErrChanged  = errors.New("the step has changed meanwhile: look at it again")
)

// Action is what an operator wants: who, why, and whether also against the rules.
type Action struct {
	Who    string
	Reason string
	Force  bool
}

// Change is what came of an action.
type Change struct {
	Who    string `json:"who"`
	Reason string `json:"reason,omitempty"`
	Before Info   `json:"before"`
	After  Info   `json:"after"`
}

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

// Detail is a step with all that is known of it. Facts hold no personal data, and
// neither does what is kept of them here.
type Detail struct {
	Info
	Line        string          `json:"line"`
	CausationID string          `json:"causationId,omitempty"`
	EffectKey   string          `json:"effectKey"`
	Called      bool            `json:"called"`
	BegunAt     *time.Time      `json:"begunAt"`
	LeaseUntil  *time.Time      `json:"leaseUntil"`
	WatchedAt   *time.Time      `json:"watchedAt"`
	Data        json.RawMessage `json:"data"`
}

// Filter narrows a list; an empty field does not.
type Filter struct {
	Consumer string
	State    string
	Saga     string
	ID       int64
}

// Show reads one step.
func Show(ctx context.Context, db *choreo.DB, id int64) (d Detail, err error) {
	found, err := List(ctx, db, Filter{ID: id}, 1)
	if err != nil {
		return d, err
	}
	if len(found) == 0 {
		return d, ErrNoStep
	}
	d.Info = found[0]
	var data []byte
	err = db.Pool().QueryRowContext(ctx, `select line, coalesce(meta->>'Causation', ''), effect_key, called, begun_at, lease_until, watch_at, data
		from choreo.steps where id = $1`, id).
		Scan(&d.Line, &d.CausationID, &d.EffectKey, &d.Called, &d.BegunAt, &d.LeaseUntil, &d.WatchedAt, &data)
	if err != nil {
		return d, fmt.Errorf("reading step %d: %w", id, err)
	}
	if json.Valid(data) {
		d.Data = data
	}
	return d, nil
}

// List finds steps, the latest changed first, at most limit.
func List(ctx context.Context, db *choreo.DB, f Filter, limit int) ([]Info, error) {
	return list(ctx, db.Pool(), f, limit)
}

// one reads a step that is there.
func one(ctx context.Context, q querier, id int64) (Info, error) {
	found, err := list(ctx, q, Filter{ID: id}, 1)
	if err != nil || len(found) == 0 {
		return Info{}, errors.Join(err, ErrNoStep)
	}
	return found[0], nil
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func list(ctx context.Context, q querier, f Filter, limit int) ([]Info, error) {
	rows, err := q.QueryContext(ctx, `
		select id, consumer, type, event_id, key, saga, state, attempts, round, due_at, updated_at, error, result
		from choreo.steps
		where ($1 = '' or consumer = $1) and ($2 = '' or state = $2) and ($3 = '' or saga = $3) and ($4 = 0 or id = $4)
		order by updated_at desc, id desc limit $5`, f.Consumer, f.State, f.Saga, f.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("listing steps: %w", err)
	}
	defer rows.Close()
	all := []Info{}
	for rows.Next() {
		var s Info
		if err := rows.Scan(&s.ID, &s.Consumer, &s.Event, &s.EventID, &s.Key, &s.Saga, &s.State, &s.Attempts, &s.Round,
			&s.DueAt, &s.UpdatedAt, &s.Error, (*[]byte)(&s.Result)); err != nil {
			return nil, err
		}
		s.DueAt, s.UpdatedAt = s.DueAt.UTC(), s.UpdatedAt.UTC()
		all = append(all, s)
	}
	return all, rows.Err()
}
