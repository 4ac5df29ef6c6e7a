package steps

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

// unknownFor is how long an event of a type that nobody knows waits for a binary
// that does.
const unknownFor = 7 * 24 * time.Hour

// promoteAtOnce bounds one look for events to promote.
const promoteAtOnce = 500

// Promote puts events into their lines, in the order in which they came, that
// waited for a binary which knows their type, as this one now does. It tells how
// many those were; call it again while there are some.
func Promote(ctx context.Context, db *choreo.DB, c *choreo.Consumer) (int, error) {
	rows, err := db.Pool().QueryContext(ctx, `select id from choreo.steps
		where consumer = $1 and state = 'unknown' and type = any ($2) order by id limit $3`, c.Name, pq.Array(db.Flow().Types()), promoteAtOnce)
	if err != nil {
		return 0, fmt.Errorf("looking for events that %s knows by now: %w", c.Name, err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, id := range ids {
		err := db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error { return promoteUnknown(ctx, u, c, id) })
		if err != nil {
			return 0, fmt.Errorf("promoting step %d of %s: %w", id, c.Name, err)
		}
	}
	return len(ids), nil
}

// promoteUnknown takes one event in: into its line, or out of the way where the
// consumer does not react to it, or where its undo came before it. One that is
// no fact of its type is parked.
func promoteUnknown(ctx context.Context, u *choreo.Unit, c *choreo.Consumer, id int64) error {
	var body, data []byte
	err := u.SQL().QueryRowContext(ctx, `select meta, data from choreo.steps where id = $1 and state = 'unknown'`, id).Scan(&body, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	var meta choreo.Meta
	if err == nil {
		err = json.Unmarshal(body, &meta)
	}
	if err != nil {
		return err
	}
	rule := c.Rule(meta.Type)
	if rule == nil {
		_, err := u.SQL().ExecContext(ctx, `delete from choreo.steps where id = $1 and state = 'unknown'`, id)
		return err
	}
	event, err := rule.Decode(meta, data)
	if err != nil {
		_, err = u.SQL().ExecContext(ctx, `update choreo.steps set state = 'parked', error = $2, updated_at = $3
			where id = $1 and state = 'unknown'`, id, short(err), u.Clock())
		return err
	}
	line, key := rule.Line(event), rule.FactKey(event)
	if err := Lock(ctx, u, []string{Barrier(meta.Saga, c.Name, key), LineLock(c.Name, line)}); err != nil {
		return err
	}
	undone, err := u.SQL().ExecContext(ctx, `delete from choreo.steps
		where saga = $1 and consumer = $2 and key = $3 and event_id = ''`, meta.Saga, c.Name, key)
	if err != nil {
		return err
	}
	if n, err := undone.RowsAffected(); err != nil || n > 0 {
		return errors.Join(err, setState(ctx, u, id, Undone))
	}
	busy, err := BusyLines(ctx, u, c.Name, []string{line})
	if err != nil {
		return err
	}
	_, err = u.SQL().ExecContext(ctx, `update choreo.steps set state = 'waiting', line = $2, key = $3, head = $4 and $5,
		place = case when $4 then nextval('choreo.steps_place') end, due_at = $6, updated_at = $7
		where id = $1 and state = 'unknown'`, id, line, key, rule.After == 0, !busy[line], u.Clock().Add(rule.After), u.Clock())
	return err
}

func setState(ctx context.Context, u *choreo.Unit, id int64, state string) error {
	_, err := u.SQL().ExecContext(ctx, `update choreo.steps set state = $2, updated_at = $3 where id = $1`, id, state, u.Clock())
	return err
}

// ParkUnknown parks, at most limit at once, the events of a consumer that nobody
// has come to know in a week. They hold no line.
func ParkUnknown(ctx context.Context, db *choreo.DB, consumer string, limit int) (parked int64, err error) {
	result, err := db.Pool().ExecContext(ctx, `update choreo.steps set state = 'parked', updated_at = choreo.troupe_now(),
			error = 'no binary has come to know the type ' || type
		where id in (select id from choreo.steps where consumer = $1 and state = 'unknown' and created_at < choreo.troupe_now() - make_interval(secs => $2)
			order by id limit $3 for update skip locked)`, consumer, unknownFor.Seconds(), limit)
	if err != nil {
		return 0, fmt.Errorf("parking what %s does not know: %w", consumer, err)
	}
	return result.RowsAffected()
}
