package steps

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
)

// failed deals with an attempt that failed: it is tried again later, given up
// with the declared fact, or parked. called tells that the error is the call's.
func (r *Runner) failed(ctx context.Context, s *step, cause error, inCall bool) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !inCall && (choreo.IsInfrastructure(cause) || choreo.IsBroken(cause)) {
		return r.later(ctx, s, cause, false)
	}
	now, err := r.db.Now(ctx)
	if err != nil {
		return err
	}
	if !inCall {
		s.attempts++
		if s.begun.IsZero() {
			s.begun = now
		}
	}
	r.o.Log.Info("a step failed", "consumer", s.rule.Consumer, "step", s.id, "saga", s.meta.Saga,
		"attempt", s.attempts, "error", cause)
	switch {
	case s.rule.Effect == nil && s.attempts >= s.rule.Retry.Tries:
		return r.park(ctx, s, cause)
	case s.rule.GiveUp != nil && choreo.IsRefused(cause) && (inCall || !s.called):
		return r.giveUp(ctx, s, cause)
	case s.rule.GiveUp != nil && (choreo.IsRefused(cause) || now.Sub(s.begun) >= s.rule.GiveUpAfter):
		return r.askAndGiveUp(ctx, s, cause)
	}
	return r.later(ctx, s, cause, true)
}

// askAndGiveUp asks whether a call that was made has happened after all, where
// the effect can ask, before the step gives up.
func (r *Runner) askAndGiveUp(ctx context.Context, s *step, cause error) error {
	if !s.called || safeguard.Off("ask before giving up") {
		return r.giveUp(ctx, s, cause)
	}
	if s.rule.Effect.Ask == nil {
		return r.giveUp(ctx, s, errors.Join(choreo.ErrOutcomeUnknown, cause))
	}
	askCtx, cancel := context.WithTimeout(ctx, r.o.CallTimeout)
	defer cancel()
	result, happened, err := s.rule.Effect.Ask(askCtx, s.effectKey, s.event)
	switch {
	case err != nil:
		return r.giveUp(ctx, s, errors.Join(choreo.ErrOutcomeUnknown, cause, err))
	case happened:
		if s.lease == "" { // Load failed, after a call that went unanswered
			if err := r.seize(ctx, s); err != nil {
				return err
			}
		}
		return r.record(ctx, s, result)
	}
	return r.giveUp(ctx, s, cause)
}

// seize leases a waiting step without an attempt, to record what was asked.
func (r *Runner) seize(ctx context.Context, s *step) error {
	lease := token()
	err := r.change(ctx, s, func(ctx context.Context, u *choreo.Unit) error {
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'calling', lease = $2, lease_until = $3
			where id = $1`, s.id, lease, u.Clock().Add(r.o.Lease))
		return err
	})
	s.lease = lease
	return err
}

// giveUp ends the step with its declared fact.
func (r *Runner) giveUp(ctx context.Context, s *step, cause error) error {
	err := r.change(ctx, s, func(ctx context.Context, u *choreo.Unit) error {
		tx := u.For(s.rule, &s.meta, s.round, s.targets)
		fact, err := s.rule.GiveUp(ctx, tx, s.event, cause)
		if err != nil {
			return fmt.Errorf("building the fact of giving up: %w", err)
		}
		tx.Emit(fact)
		u.Of(s.rule.Consumer)
		if err := r.finish(ctx, u, s, GaveUp, nil); err != nil {
			return err
		}
		var since, next sql.NullTime
		if s.called && s.rule.Effect.Ask != nil && errors.Is(cause, choreo.ErrOutcomeUnknown) {
			since, next = watchFrom(u.Clock(), r.o.Jitter())
		}
		_, err = u.SQL().ExecContext(ctx, `update choreo.steps set attempts = $2, error = $3, watch_since = $4, watch_at = $5
			where id = $1`, s.id, s.attempts, short(cause), since, next)
		return err
	})
	if err != nil {
		return r.later(ctx, s, errors.Join(err, cause), true)
	}
	r.Wake()
	return nil
}

// later lets the step try again: after its back-off, or when the provider asked
// to. What was not an attempt does not count as one.
func (r *Runner) later(ctx context.Context, s *step, cause error, attempt bool) error {
	wait := backoff(s.rule.Retry, max(s.attempts, 1), r.o.Jitter())
	if asked := choreo.RetryAfter(cause); asked > wait {
		wait = min(asked, time.Hour)
	}
	if !attempt {
		wait = time.Second
	}
	err := r.change(ctx, s, func(ctx context.Context, u *choreo.Unit) error {
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'waiting', attempts = $2, begun_at = $3,
			due_at = $4, error = $5, lease = '', lease_until = null, updated_at = $6 where id = $1`,
			s.id, s.attempts, sql.NullTime{Time: s.begun, Valid: !s.begun.IsZero()}, u.Clock().Add(wait), short(cause), u.Clock())
		return err
	})
	r.Wake()
	return err
}

// park sets a plain reaction aside whose retries ran out; it holds its line.
func (r *Runner) park(ctx context.Context, s *step, cause error) error {
	r.o.Log.Error("a step is parked", "consumer", s.rule.Consumer, "step", s.id, "saga", s.meta.Saga, "error", cause)
	return r.change(ctx, s, func(ctx context.Context, u *choreo.Unit) error {
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'parked', head = true, attempts = $2,
			error = $3, updated_at = $4 where id = $1`, s.id, s.attempts, short(cause), u.Clock())
		return err
	})
}

// change runs fn with the row locked, if the step is still this runner's:
// leased to it, or waiting where it had no lease.
func (r *Runner) change(ctx context.Context, s *step, fn func(context.Context, *choreo.Unit) error) error {
	return r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		if s.lease != "" {
			ours, err := r.holds(ctx, u, s)
			if err != nil || !ours {
				return err
			}
			return fn(ctx, u)
		}
		var id int64
		err := u.SQL().QueryRowContext(ctx, `select id from choreo.steps where id = $1 and head
			and (state = 'waiting' or state = 'calling' and lease_until < $2) for update`, s.id, u.Clock()).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return fn(ctx, u)
	})
}

// short bounds the text of an error in a row.
func short(err error) string {
	s := err.Error()
	if len(s) > 1000 {
		s = s[:1000] + "…"
	}
	return s
}
