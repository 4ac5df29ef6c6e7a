// Package consume takes records from Kafka, or events from the log, to the
// consumers of a flow: one transaction for each, with dedup, so that a record
// that comes again changes nothing.
package consume

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
)

// Outcome is what became of a record for one consumer.
type Outcome string

// Outcomes of a record.
const (
	Applied   Outcome = "applied"   // the reaction ran
	Enqueued  Outcome = "enqueued"  // it became a step
	Duplicate Outcome = "duplicate" // it had come before
	Ignored   Outcome = "ignored"   // not for this consumer
	Undone    Outcome = "undone"    // its undo had come before it
	Unknown   Outcome = "unknown"   // of a type that this binary does not know
	Malformed Outcome = "malformed" // no event, or no fact of its type: kept in quarantine
)

// Applier applies events for one consumer. It is safe for concurrent use.
type Applier struct {
	DB       *choreo.DB
	Consumer *choreo.Consumer
	Enqueued func() // called after a step was put
}

// Record applies one record. An error means that it could not be done now and
// is to be tried again; everything that is the record's own fault is an
// outcome.
func (a *Applier) Record(ctx context.Context, msg *message.Message) (Outcome, error) {
	m, data, err := wire.Parse(msg)
	if err != nil {
		return Malformed, a.quarantine(ctx, msg, err)
	}
	rule := a.Consumer.Rule(m.Type)
	if rule == nil && a.DB.Flow().Knows(m.Type) {
		return Ignored, nil
	}
	if own := strings.HasPrefix(m.Source, origin(a.DB.Source())); own {
		listed, err := a.inLog(ctx, m)
		if err != nil {
			return "", err
		}
		if !listed { // forged: whoever wrote it, we did not
			m.Source, m.Sequence = "/kafka/"+msg.Metadata[wire.Topic], 0
		}
	}
	if rule == nil {
		return a.unknown(ctx, m, data)
	}
	outcome, err := a.Event(ctx, m, data)
	if errors.Is(err, errNoFact) {
		return Malformed, a.quarantine(ctx, msg, err)
	}
	return outcome, err
}

var errNoFact = errors.New("the record holds no fact of its type")

// Event applies one event whose type the consumer reacts to.
func (a *Applier) Event(ctx context.Context, m choreo.Meta, data []byte) (Outcome, error) {
	rule := a.Consumer.Rule(m.Type)
	event, err := rule.Decode(m, data)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoFact, err)
	}
	e := &arrival{Applier: a, rule: rule, meta: m, data: data, event: event,
		line: rule.Line(event), factKey: rule.FactKey(event)}
	err = a.DB.InUnit(ctx, e.apply)
	switch {
	case err == nil:
	case ctx.Err() != nil, choreo.IsInfrastructure(err), choreo.IsBroken(err):
		return "", fmt.Errorf("%s on %s %s: %w", a.Consumer.Name, m.Type, m.ID, err)
	default:
		cause := err
		if err := a.DB.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error { return e.setAside(ctx, u, cause) }); err != nil {
			return "", fmt.Errorf("setting aside %s %s of %s: %w", m.Type, m.ID, a.Consumer.Name, errors.Join(err, cause))
		}
	}
	if e.outcome == Enqueued && a.Enqueued != nil {
		a.Enqueued()
	}
	return e.outcome, nil
}

// origin is the part of a source that names the database.
func origin(source string) string { return source[:strings.LastIndexByte(source, '/')+1] }

// inLog tells whether an event that bears our source is one of ours.
func (a *Applier) inLog(ctx context.Context, m choreo.Meta) (bool, error) {
	var one int
	err := a.DB.Pool().QueryRowContext(ctx, `select 1 from choreo.event_log l
		where l.event_id = $1 and l.type = $2 and l.sequence = $3`, m.ID, m.Type, m.Sequence).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for event %s in the log: %w", m.ID, err)
	}
	return true, nil
}

// arrival is an event on its way into one consumer.
type arrival struct {
	*Applier
	rule    *choreo.Rule
	meta    choreo.Meta
	data    []byte
	event   any
	line    string
	factKey string
	outcome Outcome
}

// apply is the transaction of one event.
func (e *arrival) apply(ctx context.Context, u *choreo.Unit) error {
	fresh, err := e.dedup(ctx, u)
	if err != nil || !fresh {
		return err
	}
	undoable := len(e.DB.Flow().UndoneBy(e.rule.Consumer)) > 0
	if undoable {
		before, err := steps.UndoneBefore(ctx, u, e.rule.Consumer, e.meta, e.factKey)
		if err != nil {
			return err
		}
		if before {
			e.outcome = Undone
			return nil
		}
	}
	if e.rule.Effect != nil || e.rule.After > 0 {
		return e.put(ctx, u, steps.Waiting)
	}
	busy, err := steps.LineBusy(ctx, u, e.rule.Consumer, e.line)
	if err != nil {
		return err
	}
	if busy {
		return e.put(ctx, u, steps.Waiting)
	}
	targets, wait, err := steps.Undoes(ctx, u, e.DB.Flow(), e.rule, e.meta, e.factKey)
	if err != nil {
		return err
	}
	if wait {
		return e.put(ctx, u, steps.Waiting)
	}
	if err := e.rule.React(ctx, u.For(e.rule, &e.meta, 0, targets), e.event); err != nil {
		return err
	}
	if err := u.Err(); err != nil {
		return err
	}
	if err := steps.SetUndone(ctx, u, targets, e.meta.Saga, e.factKey); err != nil {
		return err
	}
	if undoable {
		if err := e.put(ctx, u, steps.Done); err != nil {
			return err
		}
	}
	e.outcome = Applied
	return nil
}

// dedup notes the event in the inbox; it is false for one that was there. A
// consumer with several topics passes one event of a line at a time: without
// that lock, both halves of a join see "not yet".
func (e *arrival) dedup(ctx context.Context, u *choreo.Unit) (bool, error) {
	if len(e.Consumer.Topics()) > 1 {
		if _, err := u.SQL().ExecContext(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 2))`,
			fmt.Sprintf("%q %q", e.rule.Consumer, e.line)); err != nil {
			return false, fmt.Errorf("locking line %s of %s: %w", e.line, e.rule.Consumer, err)
		}
	}
	result, err := u.SQL().ExecContext(ctx, `insert into choreo.inbox (consumer, source, event_id, at)
		values ($1, $2, $3, $4) on conflict do nothing`, e.rule.Consumer, e.meta.Source, e.meta.ID, u.Clock())
	if err != nil {
		return false, fmt.Errorf("noting event %s: %w", e.meta.ID, err)
	}
	n, err := result.RowsAffected()
	if n == 0 {
		e.outcome = Duplicate
	}
	return n > 0, err
}

func (e *arrival) put(ctx context.Context, u *choreo.Unit, state string) error {
	e.outcome = Enqueued
	return steps.Put(ctx, u, steps.New{Consumer: e.rule.Consumer, Meta: e.meta, Data: e.data,
		FactKey: e.factKey, Line: e.line, State: state, Delay: e.rule.After})
}

// setAside puts an event whose reaction failed into steps, to be tried again
// there: its neighbours go on, its line waits.
func (e *arrival) setAside(ctx context.Context, u *choreo.Unit, cause error) error {
	fresh, err := e.dedup(ctx, u)
	if err != nil || !fresh {
		return err
	}
	e.outcome = Enqueued
	return steps.Put(ctx, u, steps.New{Consumer: e.rule.Consumer, Meta: e.meta, Data: e.data, FactKey: e.factKey,
		Line: e.line, State: steps.Waiting, Delay: e.rule.Retry.Base, Attempts: 1, Error: cause.Error()})
}
