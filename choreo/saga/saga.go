// Package saga tells of sagas without a conductor: from the facts, the flow,
// what consumers have taken and their steps it computes what has happened, what
// is expected next and by when, which undos are owed, and whether a saga is
// settled. It reads, and never emits.
package saga

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
)

// ErrNotFound is a saga of which no fact is known.
var ErrNotFound = errors.New("no such saga")

// Saga is one run of a process.
type Saga struct {
	ID        string     `json:"sagaId"`
	Status    string     `json:"status" enum:"running,overdue,parked,settled"`
	Outcome   string     `json:"outcome,omitempty" enum:"completed,undone,failed" doc:"The worst that a final fact of it says; empty before the first."`
	StartedBy string     `json:"startedBy" doc:"The command or consumer that emitted its first fact."`
	StartedAt time.Time  `json:"startedAt"`
	SettledAt *time.Time `json:"settledAt" doc:"null while it is not settled."`
	Steps     []Step     `json:"steps"`
	Expected  []Expected `json:"expected"`
	Owed      []Owed     `json:"owed"`

	first json.RawMessage
}

// FirstFact is the JSON data of the saga's first fact: whose saga it is stands
// there.
func (s *Saga) FirstFact() json.RawMessage { return s.first }

// Step is one fact of a saga.
type Step struct {
	Event    string    `json:"event" doc:"The full type of the fact."`
	EventID  string    `json:"eventId"`
	CausedBy string    `json:"causedBy" doc:"The id of the event that was reacted to; empty for a command."`
	Consumer string    `json:"consumer" doc:"The consumer or command that emitted it."`
	At       time.Time `json:"at"`
}

// Expected is a reaction that has not come yet.
type Expected struct {
	Consumer string     `json:"consumer"`
	On       string     `json:"on" doc:"The id of the event it is to react to."`
	DueAt    *time.Time `json:"dueAt" doc:"By when it is expected; null where the flow does not say."`
}

// Owed is an undo that was given up and is due all the same.
type Owed struct {
	Undo   string `json:"undo"`
	Of     string `json:"of"`
	Reason string `json:"reason"`
}

// fact is a fact of a saga, in the log or still in the outbox.
type fact struct {
	Step
	saga string
	data json.RawMessage
}

// Show computes one saga.
func Show(ctx context.Context, db *choreo.DB, id string) (*Saga, error) {
	sagas, err := compute(ctx, db, []string{id})
	if err != nil {
		return nil, err
	}
	if len(sagas) == 0 {
		return nil, ErrNotFound
	}
	return sagas[0], nil
}

// List computes the sagas that started most recently, newest first, at most
// limit, before the given id of one where it is not empty. status, where not
// empty, keeps those of that status only.
func List(ctx context.Context, db *choreo.DB, status, before string, limit int) (sagas []*Saga, err error) {
	for len(sagas) < limit {
		ids, err := recent(ctx, db, before, limit)
		if err != nil || len(ids) == 0 {
			return sagas, err
		}
		page, err := compute(ctx, db, ids)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if (status == "" || s.Status == status) && len(sagas) < limit {
				sagas = append(sagas, s)
			}
		}
		before = ids[len(ids)-1]
	}
	return sagas, nil
}

// recent finds the sagas by their first facts, newest first.
func recent(ctx context.Context, db *choreo.DB, before string, limit int) ([]string, error) {
	rows, err := db.Pool().QueryContext(ctx, `
		select saga from (select saga, min(position) as first from choreo.event_log group by saga) s
		where $1 = '' or first < (select min(position) from choreo.event_log where saga = $1)
		order by first desc limit $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("listing sagas: %w", err)
	}
	defer rows.Close()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

func compute(ctx context.Context, db *choreo.DB, ids []string) ([]*Saga, error) {
	// One snapshot over log, outbox, inbox and steps: a fact that moves from
	// one to the other in between would be missed, or its reaction seen twice.
	tx, err := db.Pool().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("reading sagas: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	var now time.Time
	if err := tx.QueryRowContext(ctx, `select choreo.troupe_now()`).Scan(&now); err != nil {
		return nil, err
	}
	facts, err := readFacts(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	taken, err := readTaken(ctx, tx, facts)
	if err != nil {
		return nil, err
	}
	open, err := readSteps(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var sagas []*Saga
	for _, id := range ids {
		if len(facts[id]) > 0 {
			sagas = append(sagas, build(db.Flow(), id, facts[id], taken, open, now))
		}
	}
	return sagas, nil
}

func readFacts(ctx context.Context, tx *sql.Tx, ids []string) (map[string][]fact, error) {
	rows, err := tx.QueryContext(ctx, `
		select saga, type, event_id, causation, emitter, at, data from (
		  select saga, type, event_id, causation, emitter, at, data, 0 as place, position as n from choreo.event_log where saga = any ($1)
		  union all
		  select saga, type, event_id, causation, emitter, at, data, 1, id from choreo.outbox where saga = any ($1)
		) f order by place, n`, pq.Array(ids))
	if err != nil {
		return nil, fmt.Errorf("reading the facts of sagas: %w", err)
	}
	defer rows.Close()
	facts := map[string][]fact{}
	for rows.Next() {
		var f fact
		if err := rows.Scan(&f.saga, &f.Event, &f.EventID, &f.CausedBy, &f.Consumer, &f.At, (*[]byte)(&f.data)); err != nil {
			return nil, err
		}
		f.At = f.At.UTC()
		facts[f.saga] = append(facts[f.saga], f)
	}
	return facts, rows.Err()
}

type taking struct{ consumer, event string }

// readTaken finds which consumers have taken which events.
func readTaken(ctx context.Context, tx *sql.Tx, facts map[string][]fact) (map[taking]bool, error) {
	var events []string
	for _, list := range facts {
		for _, f := range list {
			events = append(events, f.EventID)
		}
	}
	rows, err := tx.QueryContext(ctx, `
		select w.consumer, l.event_id from choreo.event_log l
		join choreo.streams s on s.id = l.stream
		join choreo.watermarks w on w.source = s.source and w.topic = s.topic and w.partition = s.partition and w.sequence >= l.sequence
		where l.event_id = any ($1)
		union all
		select c, l.event_id from choreo.event_log l, unnest(string_to_array(l.ran_in, ',')) c where l.event_id = any ($1)
		union all
		select c, o.event_id from choreo.outbox o, unnest(string_to_array(o.ran_in, ',')) c where o.event_id = any ($1)`,
		pq.Array(events))
	if err != nil {
		return nil, fmt.Errorf("reading what consumers have taken: %w", err)
	}
	defer rows.Close()
	taken := map[taking]bool{}
	for rows.Next() {
		var t taking
		if err := rows.Scan(&t.consumer, &t.event); err != nil {
			return nil, err
		}
		taken[t] = true
	}
	return taken, rows.Err()
}

type openStep struct{ state, reason string }

// readSteps finds the unfinished steps, and those that gave up.
func readSteps(ctx context.Context, tx *sql.Tx, ids []string) (map[taking]openStep, error) {
	rows, err := tx.QueryContext(ctx, `select consumer, event_id, state, error from choreo.steps
		where saga = any ($1) and state in ('waiting','calling','parked','gave-up')`, pq.Array(ids))
	if err != nil {
		return nil, fmt.Errorf("reading the steps of sagas: %w", err)
	}
	defer rows.Close()
	open := map[taking]openStep{}
	for rows.Next() {
		var t taking
		var s openStep
		if err := rows.Scan(&t.consumer, &t.event, &s.state, &s.reason); err != nil {
			return nil, err
		}
		open[t] = s
	}
	return open, rows.Err()
}
