package steps

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
)

// watched is how long a step is asked about that gave up when nobody could say
// what had come of its call: longer than any provider takes to find out.
const watched = 30 * 24 * time.Hour

// watchFrom begins to watch a step.
func watchFrom(now time.Time, jitter float64) (since, next sql.NullTime) {
	return sql.NullTime{Time: now, Valid: true}, nextLook(now, now, jitter)
}

// nextLook is when it is asked again: after a minute first, then after as long as
// it has been watched, at most a day, with a fifth of jitter either way. It is
// never where it has been watched long enough.
func nextLook(since, now time.Time, jitter float64) sql.NullTime {
	age := now.Sub(since)
	wait := float64(min(max(age, time.Minute), 24*time.Hour)) * (0.8 + 0.4*jitter)
	return sql.NullTime{Time: now.Add(time.Duration(wait)), Valid: age < watched}
}

// soon is when it is tried again to store a late success, while the step's undo
// is calling.
const soon = 5 * time.Second

// WatchOne asks what came of the call of a step that gave up without knowing, or
// that its undo stopped before it knew. A
// late success is stored in the step, and its undo runs, again where it had run
// before; a step that nothing undoes is done after all, and says so.
func (r *Runner) WatchOne(ctx context.Context, id int64) error {
	s := &step{id: id}
	found := false
	err := r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		ok, err := r.look(ctx, u, s)
		found = ok
		return err
	})
	if err != nil || !found {
		return err
	}
	askCtx, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
	defer cancel()
	result, happened, err := s.rule.Effect.Ask(askCtx, s.effectKey, s.event)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.o.Log.Info("nobody can say yet what came of a call", "consumer", s.rule.Consumer, "step", s.id, "saga", s.meta.Saga, "error", err)
		return nil
	case !happened:
		_, err := r.db.Pool().ExecContext(ctx, `update choreo.steps set watch_at = null where id = $1`, s.id)
		return err
	}
	r.o.Log.Warn("a call has succeeded after its step gave up", "consumer", s.rule.Consumer, "step", s.id, "saga", s.meta.Saga)
	if err := r.late(ctx, s, result); err != nil {
		return fmt.Errorf("storing the late success of step %d: %w", s.id, err)
	}
	r.Wake()
	return nil
}

// look reads a watched step that is due, and says when it is looked at next.
func (r *Runner) look(ctx context.Context, u *choreo.Unit, s *step) (bool, error) {
	var meta []byte
	var consumer string
	var since time.Time
	err := u.SQL().QueryRowContext(ctx, `select consumer, meta, data, line, key, effect_key, round, watch_since
		from choreo.steps where id = $1 and watch_at <= $2 for update skip locked`, s.id, u.Clock()).
		Scan(&consumer, &meta, &s.data, &s.line, &s.factKey, &s.effectKey, &s.round, &since)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at step %d: %w", s.id, err)
	}
	if _, err := u.SQL().ExecContext(ctx, `update choreo.steps set watch_at = $2 where id = $1`,
		s.id, nextLook(since, u.Clock(), r.o.Jitter())); err != nil {
		return false, err
	}
	if err := r.read(s, consumer, meta); err != nil {
		r.o.Log.Error("a watched step cannot be read", "step", s.id, "error", err)
		return false, nil
	}
	return s.rule.Effect != nil && s.rule.Effect.Ask != nil, nil
}

// late ends the watching of a step with its success.
func (r *Runner) late(ctx context.Context, s *step, result any) error {
	body, err := json.Marshal(result)
	if err != nil {
		return err
	}
	undoers := r.db.Flow().UndoneBy(s.rule.Consumer)
	return r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		undos, calling, err := lockUndos(ctx, u, s, undoers)
		if err != nil {
			return err
		}
		var id int64
		err = u.SQL().QueryRowContext(ctx, `select id from choreo.steps where id = $1 and round = $2 and watch_at is not null
			for update`, s.id, s.round).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // an operator has had it redone meanwhile
		}
		if err != nil {
			return err
		}
		if calling {
			_, err := u.SQL().ExecContext(ctx, `update choreo.steps set watch_at = $2 where id = $1`, s.id, u.Clock().Add(soon))
			return err
		}
		if len(undoers) == 0 {
			return r.recordLate(ctx, u, s, result, body)
		}
		_, err = u.SQL().ExecContext(ctx, `update choreo.steps set result = $2::jsonb, watch_at = null, updated_at = $3
			where id = $1`, s.id, string(body), u.Clock())
		if err != nil || safeguard.Off("late success undone") {
			return err
		}
		for _, undo := range undos {
			if err := rejoin(ctx, u, undo.id, undo.consumer, undo.line); err != nil {
				return err
			}
		}
		return nil
	})
}

// recordLate ends the step as a redo would: its facts are those of a new round.
func (r *Runner) recordLate(ctx context.Context, u *choreo.Unit, s *step, result any, body []byte) error {
	s.round++
	targets, wait, err := Undoes(ctx, u, r.db.Flow(), s.rule, s.meta, s.factKey)
	if err != nil {
		return err
	}
	if wait {
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set watch_at = $2 where id = $1`, s.id, u.Clock().Add(soon))
		return err
	}
	s.targets = targets
	if err := s.rule.Effect.Record(ctx, u.For(s.rule, &s.meta, s.round, targets), s.event, result); err != nil {
		return err
	}
	if _, err := u.SQL().ExecContext(ctx, `update choreo.steps set round = $2, watch_at = null where id = $1`, s.id, s.round); err != nil {
		return err
	}
	return r.finish(ctx, u, s, Done, body)
}

type undoStep struct {
	id             int64
	consumer, line string
}

// lockUndos locks the barrier of a step, and those of its undos that have ended
// and are to run again. calling tells that one is under way, and may have seen
// the step without its result.
func lockUndos(ctx context.Context, u *choreo.Unit, s *step, undoers []string) (ended []undoStep, calling bool, err error) {
	names := []string{Barrier(s.meta.Saga, s.rule.Consumer, s.factKey)}
	seen, err := findUndos(ctx, u, s, undoers, "", func(undo undoStep, _ string) {
		names = append(names, LineLock(undo.consumer, undo.line))
	})
	if err == nil {
		err = Lock(ctx, u, names)
	}
	if err != nil {
		return nil, false, err
	}
	// Whoever has locked such a row waits for the barrier, or is about to.
	locked, err := findUndos(ctx, u, s, undoers, " for update skip locked", func(undo undoStep, state string) {
		switch state {
		case Calling:
			calling = true
		case Done, GaveUp:
			if !slices.Contains(ended, undo) {
				ended = append(ended, undo)
			}
		}
	})
	return ended, calling || locked < seen, err
}

func findUndos(ctx context.Context, u *choreo.Unit, s *step, undoers []string, lock string, each func(undoStep, string)) (n int, err error) {
	rows, err := u.SQL().QueryContext(ctx, `select id, consumer, line, state from choreo.steps
		where saga = $1 and consumer = any ($2) and key = $3 and event_id <> '' order by id`+lock,
		s.meta.Saga, pq.Array(undoers), s.factKey)
	if err != nil {
		return 0, fmt.Errorf("finding what undoes step %d: %w", s.id, err)
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var undo undoStep
		var state string
		if err := rows.Scan(&undo.id, &undo.consumer, &undo.line, &state); err != nil {
			return n, err
		}
		each(undo, state)
	}
	return n, rows.Err()
}
