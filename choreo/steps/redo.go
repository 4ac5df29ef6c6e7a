package steps

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
)

// Redo has a step that gave up or was parked run again, in a new round: its
// facts get ids of their own, its call the key that it had. It refuses a step
// that is undone, and one whose line has gone on, unless it is forced.
func Redo(ctx context.Context, db *choreo.DB, id int64, a Action) (Change, error) {
	return operate(ctx, db, "steps redo", id, a, func(ctx context.Context, u *choreo.Unit, s *locked) error {
		if err := s.mayRunAgain(ctx, u, a.Force); err != nil {
			return err
		}
		return s.runAgain(ctx, u)
	})
}

// Edit has a step run again with other data of its event, under a new key of its
// call: what the provider knows of the old one must not be taken for an answer.
// So it asks first, and refuses where the call has happened or may have, unless
// it is forced; and otherwise as Redo does. A step that waits may be edited too.
// The event itself stays as it happened.
func Edit(ctx context.Context, db *choreo.DB, id int64, data []byte, a Action) (Change, error) {
	seen, err := prepareEdit(ctx, db, id, data, a)
	if err != nil {
		return Change{}, err
	}
	return operate(ctx, db, "steps edit", id, a, func(ctx context.Context, u *choreo.Unit, s *locked) error {
		if !s.changed.Equal(seen) {
			return ErrChanged
		}
		if s.state != Waiting {
			if err := s.mayRunAgain(ctx, u, a.Force); err != nil {
				return err
			}
		}
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set data = $2, called = false,
			effect_key = split_part(effect_key, '~', 1) || '~' || round + 1 where id = $1`, id, data)
		if err != nil {
			return fmt.Errorf("editing step %d: %w", id, err)
		}
		return s.runAgain(ctx, u)
	})
}

// prepareEdit holds the new data against the step, and asks what came of its
// call. It gives when the step was last changed.
func prepareEdit(ctx context.Context, db *choreo.DB, id int64, data []byte, a Action) (seen time.Time, err error) {
	s := &step{id: id}
	var meta []byte
	var consumer, state string
	err = db.Pool().QueryRowContext(ctx, `select consumer, meta, data, line, key, state, called, effect_key, updated_at
		from choreo.steps where id = $1`, id).
		Scan(&consumer, &meta, &s.data, &s.line, &s.factKey, &state, &s.called, &s.effectKey, &seen)
	if errors.Is(err, sql.ErrNoRows) {
		return seen, ErrNoStep
	}
	if err != nil {
		return seen, fmt.Errorf("reading step %d: %w", id, err)
	}
	r := &Runner{db: db}
	s.data = data
	if err := r.read(s, consumer, meta); err != nil {
		return seen, errors.Join(ErrNoRule, err)
	}
	if s.rule.FactKey(s.event) != s.factKey || s.rule.Line(s.event) != s.line {
		return seen, ErrOtherKey
	}
	if !s.called || a.Force || state == Calling { // which is refused in any case
		return seen, nil
	}
	if s.rule.Effect == nil || s.rule.Effect.Ask == nil {
		return seen, ErrUnsure
	}
	_, happened, err := s.rule.Effect.Ask(ctx, s.effectKey, s.event)
	switch {
	case err != nil:
		return seen, errors.Join(ErrUnsure, err)
	case happened:
		return seen, ErrHappened
	}
	return seen, nil
}

// Drop ends a step for good, unsaid: no fact comes of it. The reason is kept.
func Drop(ctx context.Context, db *choreo.DB, id int64, a Action) (Change, error) {
	if a.Reason == "" {
		return Change{}, ErrNoReason
	}
	return operate(ctx, db, "steps drop", id, a, func(ctx context.Context, u *choreo.Unit, s *locked) error {
		if s.state != Waiting && s.state != Parked && s.state != Unknown {
			return fmt.Errorf("step %d is %s: only one that is waiting, parked or unknown can be dropped", id, s.state)
		}
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'dropped', head = false, error = $2,
			updated_at = $3 where id = $1`, id, "dropped by "+a.Who+": "+a.Reason, u.Clock())
		if err != nil {
			return fmt.Errorf("dropping step %d: %w", id, err)
		}
		return promote(ctx, u, s.consumer, s.line)
	})
}

// operate runs an action on a step whose row is locked, and tells what it changed,
// also in the audit.
func operate(ctx context.Context, db *choreo.DB, action string, id int64, a Action, do func(context.Context, *choreo.Unit, *locked) error) (c Change, err error) {
	if a.Who == "" {
		return c, ErrNoWho
	}
	c.Who, c.Reason = a.Who, a.Reason
	err = db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		s := &locked{id: id}
		const read = `select consumer, type, line, state, updated_at from choreo.steps where id = $1`
		into := []any{&s.consumer, &s.event, &s.line, &s.state, &s.changed}
		err := u.SQL().QueryRowContext(ctx, read, id).Scan(into...)
		if err == nil {
			err = Lock(ctx, u, []string{LineLock(s.consumer, s.line)})
		}
		if err == nil {
			err = u.SQL().QueryRowContext(ctx, read+` for update`, id).Scan(into...)
		}
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoStep
		}
		if err != nil {
			return fmt.Errorf("locking step %d: %w", id, err)
		}
		if c.Before, err = one(ctx, u.SQL(), id); err != nil {
			return err
		}
		if err := do(ctx, u, s); err != nil {
			return err
		}
		if c.After, err = one(ctx, u.SQL(), id); err != nil {
			return err
		}
		return u.Audit(choreo.AsOperator(ctx, a.Who), action, fmt.Sprintf("%d of %s, key %s", id, s.consumer, c.Before.Key), 1, a.Reason)
	})
	return c, err
}

// locked is a step whose row is locked.
type locked struct {
	id                           int64
	consumer, event, line, state string
	changed                      time.Time
}

// mayRunAgain tells why a step must not be redone.
func (s *locked) mayRunAgain(ctx context.Context, u *choreo.Unit, force bool) error {
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
	if c := u.Flow().Consumer(s.consumer); c == nil || c.Rule(s.event) == nil {
		return ErrNoRule
	}
	var later bool
	err := u.SQL().QueryRowContext(ctx, `select exists (select from choreo.steps
		where consumer = $1 and line = $2 and id > $3 and state = 'done')`, s.consumer, s.line, s.id).Scan(&later)
	if err != nil {
		return fmt.Errorf("looking at the line of step %d: %w", s.id, err)
	}
	if later && !force {
		return ErrLater
	}
	return nil
}

// runAgain puts the step back into its line, which is locked, where it stood.
func (s *locked) runAgain(ctx context.Context, u *choreo.Unit) error {
	_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'waiting', head = false, round = round + 1,
		place = coalesce(place, nextval('choreo.steps_place')), attempts = 0, begun_at = null, due_at = $2, result = null,
		error = '', watch_since = null, watch_at = null, updated_at = $2 where id = $1`, s.id, u.Clock())
	if err != nil {
		return fmt.Errorf("redoing step %d: %w", s.id, err)
	}
	// It is the first of its line again: whoever was behind it waits.
	_, err = u.SQL().ExecContext(ctx, `update choreo.steps set head = (place = (select min(place) from choreo.steps
			where consumer = $1 and line = $2 and `+open+`))
		where consumer = $1 and line = $2 and `+open, s.consumer, s.line)
	return err
}
