// Package saga tells of sagas without a conductor: from the facts, the flow,
// what consumers have taken and their steps it computes what has happened, what
// is expected next and by when, which undos are owed, and whether a saga is
// settled. It reads, and never emits.
//
// Show computes one saga in one snapshot. Lists are served by a row per saga,
// which Advance keeps by a cursor over the log.
package saga

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"troupe/choreo"
)

// ErrNotFound is a saga of which no fact is known.
var ErrNotFound = errors.New("no such saga")

// Statuses of a saga.
const (
	Running = "running" // something is expected
	Overdue = "overdue" // something is expected, and late
	Parked  = "parked"  // a step waits for an operator
	Settled = "settled" // nothing is expected any more
)

// Saga is one run of a process.
type Saga struct {
	ID        string         `json:"sagaId"`
	Status    string         `json:"status" enum:"running,overdue,parked,settled"`
	Outcome   choreo.Outcome `json:"outcome" enum:"completed,undone,failed" nullable:"true" doc:"The worst that a final fact of it says; null before the first."`
	StartedBy string         `json:"startedBy" doc:"The command or consumer that emitted its first fact."`
	StartedAt time.Time      `json:"startedAt"`
	SettledAt *time.Time     `json:"settledAt" doc:"null while it is not settled."`
	Steps     []Step         `json:"steps"`
	Expected  []Expected     `json:"expected"`
	Owed      []Owed         `json:"owed"`

	first  json.RawMessage
	place  int64 // position of its first fact, 0 while that is not in the log
	lastAt time.Time
	unheld bool // something is expected that no step stands for
}

// FirstFact is the JSON data of the saga's first fact: whose saga it is stands
// there. Only Show reads it.
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

// due is when the first of what is expected is late, nil where nothing is bound
// to a time.
func (s *Saga) due() (due *time.Time) {
	for _, e := range s.Expected {
		if e.DueAt != nil && (due == nil || e.DueAt.Before(*due)) {
			due = e.DueAt
		}
	}
	return due
}

// Show computes one saga.
func Show(ctx context.Context, db *choreo.DB, id string) (s *Saga, err error) {
	err = inSnapshot(ctx, db, func(r *reading) error {
		sagas, err := r.compute(ctx, []string{id})
		if err != nil {
			return err
		}
		if len(sagas) == 0 {
			return ErrNotFound
		}
		s = sagas[0]
		return r.readFirst(ctx, s)
	})
	return s, err
}
