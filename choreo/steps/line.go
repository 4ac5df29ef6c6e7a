package steps

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
)

// join lets a delayed step that is due join its line, with those of the line
// that are due as well, in the order in which they became due. It gives the step
// that is to run now, 0 where the line has an unfinished one before them.
func (r *Runner) join(ctx context.Context, id int64) (first int64, err error) {
	err = r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		var consumer, line string
		err := u.SQL().QueryRowContext(ctx, `select consumer, line from choreo.steps
			where id = $1 and state = 'waiting' and place is null`, id).Scan(&consumer, &line)
		if errors.Is(err, sql.ErrNoRows) {
			return nil // another runner had it join
		}
		if err == nil {
			err = Lock(ctx, u, []string{LineLock(consumer, line)})
		}
		if err != nil {
			return err
		}
		busy, err := BusyLines(ctx, u, consumer, []string{line})
		if err != nil {
			return err
		}
		err = u.SQL().QueryRowContext(ctx, `with due as (
				select id from choreo.steps where consumer = $1 and line = $2 and state = 'waiting' and place is null and due_at <= $3
				order by due_at, id for update),
			placed as (select id, nextval('choreo.steps_place') as place, row_number() over () as n from due),
			joined as (update choreo.steps s set place = p.place, head = p.n = 1 and not $4
				from placed p where s.id = p.id returning s.id, s.head)
			select coalesce(max(id) filter (where head), 0) from joined`, consumer, line, u.Clock(), busy[line]).Scan(&first)
		if err != nil {
			return fmt.Errorf("joining line %s of %s: %w", line, consumer, err)
		}
		return nil
	})
	return first, err
}

// rejoin puts a step that has ended back to the end of its line, to run again. The
// line is locked.
func rejoin(ctx context.Context, u *choreo.Unit, id int64, consumer, line string) error {
	busy, err := BusyLines(ctx, u, consumer, []string{line})
	if err != nil {
		return err
	}
	_, err = u.SQL().ExecContext(ctx, `update choreo.steps set state = 'waiting', head = $3, place = nextval('choreo.steps_place'),
		round = round + 1, attempts = 0, begun_at = null, due_at = $2, result = null, error = '',
		watch_since = null, watch_at = null, updated_at = $2 where id = $1`, id, u.Clock(), !busy[line])
	if err != nil {
		return fmt.Errorf("putting step %d back into its line: %w", id, err)
	}
	return nil
}
