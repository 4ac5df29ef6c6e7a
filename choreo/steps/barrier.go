package steps

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
)

// waitForCall is how long an undo waits before it looks again whether the step
// it takes back is still calling.
const waitForCall = 250 * time.Millisecond

// Barrier names what lets an action and its undo pass one at a time, whichever
// comes first: for one saga, step and key.
func Barrier(saga, step, key string) string { return fmt.Sprintf("%q %q %q", saga, step, key) }

// LineLock names what lets steps join a line of a consumer one at a time.
func LineLock(consumer, line string) string { return fmt.Sprintf("%q %q", consumer, line) }

// Lock takes the transaction's locks of these names, in one order for all.
func Lock(ctx context.Context, u *choreo.Unit, names []string) error {
	if len(names) == 0 {
		return nil
	}
	_, err := u.SQL().ExecContext(ctx, `select pg_advisory_xact_lock(h) from (
		select distinct hashtextextended(n, 1) as h from unnest($1::text[]) as n order by h) x`, pq.Array(names))
	if err != nil {
		return fmt.Errorf("taking %d locks: %w", len(names), err)
	}
	return nil
}

// UndoneBefore tells whether an undo came before this event of a consumer that
// can be undone. The event is then noted in the undo's row, and nothing is left
// to do for it. The barrier stays locked until the transaction ends.
func UndoneBefore(ctx context.Context, u *choreo.Unit, consumer string, m choreo.Meta, factKey string) (bool, error) {
	if safeguard.Off("undo barrier") {
		return false, nil
	}
	result, err := u.SQL().ExecContext(ctx, `update choreo.steps set source = $1, event_id = $2, type = $3
		where id = (select id from choreo.steps
			where saga = $4 and consumer = $5 and key = $6 and event_id = '' limit 1)`,
		m.Source, m.ID, m.Type, m.Saga, consumer, factKey)
	if err != nil {
		return false, fmt.Errorf("asking whether %s was undone before: %w", consumer, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// Undoes finds the steps that a rule takes back, and stops those that have not
// begun: an absent, waiting or parked one becomes undone, and runs no more. It
// tells to wait while one of them is calling.
func Undoes(ctx context.Context, u *choreo.Unit, flow *choreo.Flow, rule *choreo.Rule, m choreo.Meta, factKey string) (targets []choreo.Target, wait bool, err error) {
	for _, name := range rule.Undoes {
		if flow.Consumer(name) == nil {
			continue // a command: its undoing is the handler's
		}
		if err := Lock(ctx, u, []string{Barrier(m.Saga, name, factKey)}); err != nil {
			return nil, false, err
		}
		found, calling, err := stop(ctx, u, flow, name, m.Saga, factKey)
		if err != nil || calling {
			return nil, calling, err
		}
		if len(found) == 0 {
			if err := leaveMark(ctx, u, name, m, factKey); err != nil {
				return nil, false, err
			}
			found = []choreo.Target{{Step: name}}
		}
		targets = append(targets, found...)
	}
	return targets, false, nil
}

// stop locks the steps of a consumer for one saga and key, and marks undone
// those that have not run. One that was called, and waits for its next try, may
// have succeeded without anybody knowing: it is asked about later.
func stop(ctx context.Context, u *choreo.Unit, flow *choreo.Flow, consumer, saga, key string) (found []choreo.Target, calling bool, err error) {
	rows, err := u.SQL().QueryContext(ctx, `select id, line, state, called, effect_key, result
		from choreo.steps where saga = $1 and consumer = $2 and key = $3 order by id for update`, saga, consumer, key)
	if err != nil {
		return nil, false, fmt.Errorf("finding the steps of %s to undo: %w", consumer, err)
	}
	defer rows.Close()
	type halted struct {
		id     int64
		line   string
		called bool
	}
	var halt []halted
	for rows.Next() {
		var h halted
		var state string
		var result []byte
		t := choreo.Target{Step: consumer}
		if err := rows.Scan(&h.id, &h.line, &state, &t.Begun, &t.Key, &result); err != nil {
			return nil, false, err
		}
		t.Result, h.called = json.RawMessage(result), t.Begun
		switch state {
		case Calling:
			if !safeguard.Off("undo waits for a call") {
				return nil, true, nil
			}
		case Waiting, Parked, Unknown:
			halt = append(halt, h)
		case Done:
			t.Begun = true
		}
		found = append(found, t)
	}
	if err := rows.Err(); err != nil {
		return nil, false, err
	}
	if safeguard.Off("undo stops what waits") {
		halt = nil
	}
	for _, h := range halt {
		var since, next sql.NullTime
		if h.called && flow.Asks(consumer) {
			since, next = watchFrom(u.Clock(), 0.5)
		}
		if _, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'undone', head = false, watch_since = $3, watch_at = $4,
			updated_at = $2 where id = $1`, h.id, u.Clock(), since, next); err != nil {
			return nil, false, fmt.Errorf("stopping a step of %s: %w", consumer, err)
		}
		if err := promote(ctx, u, consumer, h.line); err != nil {
			return nil, false, err
		}
	}
	return found, false, nil
}

// leaveMark notes that a step was undone before its event came.
func leaveMark(ctx context.Context, u *choreo.Unit, consumer string, m choreo.Meta, factKey string) error {
	_, err := u.SQL().ExecContext(ctx, `
		insert into choreo.steps (consumer, source, event_id, type, key, saga, line, meta, data, state, due_at,
			effect_key, created_at, updated_at)
		values ($1, '', '', '', $2, $3, '', '{}', '', 'undone', $4, '', $4, $4)`,
		consumer, factKey, m.Saga, u.Clock())
	if err != nil {
		return fmt.Errorf("noting that %s is undone: %w", consumer, err)
	}
	return nil
}

// SetUndone notes that the undo of these steps has been done.
func SetUndone(ctx context.Context, u *choreo.Unit, targets []choreo.Target, saga, factKey string) error {
	for _, t := range targets {
		_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = 'undone', updated_at = $4
			where saga = $1 and consumer = $2 and key = $3 and state in ('done','gave-up')`, saga, t.Step, factKey, u.Clock())
		if err != nil {
			return fmt.Errorf("noting that %s is undone: %w", t.Step, err)
		}
	}
	return nil
}
