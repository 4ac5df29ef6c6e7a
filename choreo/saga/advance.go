package saga

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
)

// batch is how many facts, touched sagas and sagas to be looked at again one
// turn of the cursor takes, each.
const batch = 1000

// How long until the cursor looks again at a saga that waits for a consumer to
// take something: an eighth of the time since its last fact, between these.
const (
	lookSoonest = 50 * time.Millisecond
	lookLatest  = time.Minute
)

// Advance moves the cursor by one batch: it looks at the sagas of the next facts
// of the log, at those whose steps have ended, been parked or been redone, and
// at those that it was to look at again, and writes their rows. It tells how much
// it found to do; 0 where another is at it. A crash at any point changes nothing
// or all of it.
func Advance(ctx context.Context, db *choreo.DB) (n int, err error) { return advance(ctx, db, batch) }

func advance(ctx context.Context, db *choreo.DB, most int) (n int, err error) {
	err = inSnapshot(ctx, db, func(r *reading) error {
		var ids []string
		if ids, n, err = r.news(ctx, most); err != nil || n == 0 {
			return err
		}
		sagas, err := r.compute(ctx, ids)
		if err != nil {
			return err
		}
		return r.store(ctx, sagas)
	})
	if choreo.SQLState(err) == "40001" { // another has moved the cursor
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("keeping the rows of sagas: %w", err)
	}
	return n, nil
}

// news finds the sagas to look at, and moves the cursor past them. Positions are
// committed in their order, so that the cursor never passes one that is to come.
func (r *reading) news(ctx context.Context, most int) (ids []string, n int, err error) {
	var at int64
	err = r.QueryRowContext(ctx, `select position from choreo.saga_cursor for update skip locked`).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	rows, err := r.QueryContext(ctx, `
		with touched as (delete from choreo.saga_touched where id in (select id from choreo.saga_touched order by id limit $2) returning saga)
		select saga, position from (select saga, position from choreo.event_log where position > $1 order by position limit $2) l
		union all select saga, 0 from touched
		union all select saga, 0 from (select saga from choreo.sagas where look_at <= $3 order by look_at, first limit $2) s`,
		at, most, r.now)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	seen := map[string]bool{}
	to := at
	for ; rows.Next(); n++ {
		var id string
		var position int64
		if err := rows.Scan(&id, &position); err != nil {
			return nil, 0, err
		}
		if to = max(to, position); !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	slices.Sort(ids) // in one order: a simulation repeats it
	if to > at {
		_, err = r.ExecContext(ctx, `update choreo.saga_cursor set position = $1`, to)
	}
	return ids, n, err
}

// store writes the rows. A saga that the log does not hold yet will come with its
// first fact.
func (r *reading) store(ctx context.Context, sagas []*Saga) error {
	var id, status, outcome, by []string
	var first, owed []int64
	var started, settled, due, look []sql.NullString
	for _, s := range sagas {
		if s.place == 0 {
			continue
		}
		id, status, outcome, by = append(id, s.ID), append(status, s.Status), append(outcome, string(s.Outcome)), append(by, s.StartedBy)
		first, owed = append(first, s.place), append(owed, int64(len(s.Owed)))
		started, settled = append(started, stamp(&s.StartedAt)), append(settled, stamp(s.SettledAt))
		var late *time.Time
		if s.Status == Running {
			late = s.due()
		}
		due, look = append(due, stamp(late)), append(look, stamp(s.lookAt(r.now)))
	}
	if len(id) == 0 {
		return nil
	}
	_, err := r.ExecContext(ctx, `
		insert into choreo.sagas (saga, first, status, outcome, owed, started_by, started_at, settled_at, due_at, look_at)
		select a, b, c, d, e, f, g::timestamptz, h::timestamptz, i::timestamptz, j::timestamptz
		from unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[])
			as x (a, b, c, d, e, f, g, h, i, j)
		on conflict (saga) do update set status = excluded.status, outcome = excluded.outcome, owed = excluded.owed,
			settled_at = excluded.settled_at, due_at = excluded.due_at, look_at = excluded.look_at`,
		pq.Array(id), pq.Array(first), pq.Array(status), pq.Array(outcome), pq.Array(owed), pq.Array(by),
		pq.Array(started), pq.Array(settled), pq.Array(due), pq.Array(look))
	return err
}

// lookAt is when a saga is to be looked at though nothing is told of it: that a
// consumer has taken a fact is written where its watermark is, and that time has
// passed is written nowhere.
func (s *Saga) lookAt(now time.Time) (at *time.Time) {
	if s.unheld {
		next := now.Add(min(max(now.Sub(s.lastAt)/8, lookSoonest), lookLatest))
		at = &next
	}
	if due := s.due(); s.Status == Running && due != nil && (at == nil || due.Before(*at)) {
		next := due.Add(time.Millisecond)
		at = &next
	}
	return at
}

func stamp(t *time.Time) sql.NullString {
	if t == nil {
		return sql.NullString{}
	}
	return sql.NullString{String: t.UTC().Format(time.RFC3339Nano), Valid: true}
}

// Run advances the cursor until ctx ends. A hint, or a quarter of a second, makes
// it look. Several may run: one at a time writes.
func Run(ctx context.Context, db *choreo.DB, hints *choreo.Hints, log *slog.Logger) error {
	hints.Look(ctx, 250*time.Millisecond, func(ctx context.Context) (more bool) {
		n, err := turn(ctx, db)
		if err != nil && ctx.Err() == nil {
			log.Warn("lists of sagas fall behind; it is tried again", "error", err)
		}
		return err == nil && n > 0
	})
	return nil
}

// turn advances where there is something to do. At rest it writes nothing.
func turn(ctx context.Context, db *choreo.DB) (int, error) {
	var some bool
	err := db.Pool().QueryRowContext(ctx, `select exists (select from choreo.log_head h, choreo.saga_cursor c where h.position > c.position)
		or exists (select from choreo.saga_touched) or exists (select from choreo.sagas where look_at <= choreo.troupe_now())`).Scan(&some)
	if err != nil || !some {
		return 0, err
	}
	return Advance(ctx, db)
}
