// Package steps keeps every reaction that is not simply applied and forgotten:
// effects, delays, retries, and those that something can undo. One table,
// whose rows go waiting → calling → done | gave-up | undone | dropped | parked;
// an event of an unknown type stands aside as unknown. Who changes a row emits
// its fact in the same transaction, and who finds it changed emits nothing: one
// step has one outcome.
//
// Steps of one consumer with the same line run in order: only the head of a
// line runs, and finishing it makes the next one the head.
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
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
)

// States of a step.
const (
	Waiting = "waiting"
	Calling = "calling"
	Done    = "done"
	GaveUp  = "gave-up"
	Undone  = "undone"
	Dropped = "dropped"
	Parked  = "parked"
	Unknown = "unknown"
)

// open are the steps that stand in their line and hold it.
const open = `state in ('waiting','calling','parked') and place is not null`

// New is a step to be put into the table.
type New struct {
	Consumer string
	Meta     choreo.Meta
	Data     []byte
	FactKey  string // the key undoing goes by
	Line     string
	State    string        // Waiting, Done or Unknown
	After    time.Duration // it joins its line only then
	Delay    time.Duration // it has its place in the line, and runs only then
	Attempts int
	Error    string
}

// BusyLines finds those of the lines that have an unfinished step. It locks the
// last row of each FOR SHARE: without that a step put behind one that is just
// finishing is never woken.
func BusyLines(ctx context.Context, u *choreo.Unit, consumer string, lines []string) (map[string]bool, error) {
	busy := map[string]bool{}
	if len(lines) == 0 || safeguard.Off("head of line") {
		return busy, nil
	}
	query := `select choreo.busy_lines($1, $2)`
	if safeguard.Off("promotion lock") {
		query = `select distinct line from choreo.steps where consumer = $1 and line = any($2) and ` + open
	}
	rows, err := u.SQL().QueryContext(ctx, query, consumer, pgarray.Text(lines))
	if err != nil {
		return nil, fmt.Errorf("looking at the lines of %s: %w", consumer, err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		busy[line] = true
	}
	return busy, rows.Err()
}

// effectKey is the idempotency key of the call: made of the consumer and the
// event's id alone. A foreign event that reuses an id of ours gets our key, so
// that the outside does nothing twice for it.
func (s New) effectKey() string { return s.Consumer + ":" + s.Meta.ID }

// Put adds steps of one consumer, in order. Those of one line and type that are
// delayed join it in that order too.
func Put(ctx context.Context, u *choreo.Unit, list ...New) error {
	if len(list) == 0 {
		return nil
	}
	var lines []string
	for _, s := range list {
		if s.State == Waiting && s.After == 0 {
			lines = append(lines, s.Line)
		}
	}
	busy, err := BusyLines(ctx, u, list[0].Consumer, lines)
	if err != nil {
		return err
	}
	now := u.Clock()
	var source, event, typ, key, saga, line, meta, state, due, problem, effectKey []string
	var data [][]byte
	var placed, head []bool
	var attempts []int64
	for _, s := range list {
		body, err := json.Marshal(s.Meta)
		if err != nil {
			return fmt.Errorf("writing the event's attributes: %w", err)
		}
		source, event, typ = append(source, s.Meta.Source), append(event, s.Meta.ID), append(typ, s.Meta.Type)
		key, saga, line = append(key, s.FactKey), append(saga, s.Meta.Saga), append(line, s.Line)
		meta, data, state = append(meta, string(body)), append(data, s.Data), append(state, s.State)
		joins := s.State == Waiting && s.After == 0
		placed, head = append(placed, joins), append(head, joins && !busy[s.Line])
		if joins {
			busy[s.Line] = true
		}
		attempts, problem = append(attempts, int64(s.Attempts)), append(problem, s.Error)
		effectKey = append(effectKey, s.effectKey())
		due = append(due, now.Add(s.After+s.Delay).Format(time.RFC3339Nano))
	}
	_, err = u.SQL().ExecContext(ctx, `
		insert into choreo.steps (consumer, source, event_id, type, key, saga, line, place, meta, data, state, head,
			attempts, due_at, begun_at, effect_key, error, created_at, updated_at)
		select $1, s.source, s.event, s.type, s.key, s.saga, s.line,
			case when s.placed then nextval('choreo.steps_place') end, s.meta::jsonb, s.data, s.state, s.head, s.attempts,
			case when s.placed or s.state <> 'waiting' then s.due::timestamptz else greatest(s.due::timestamptz,
				(select max(due_at) from choreo.steps d where d.consumer = $1 and d.line = s.line and d.type = s.type
					and d.state = 'waiting' and d.place is null)) end,
			case when s.attempts > 0 then $2::timestamptz end, s.effect_key, s.problem, $2, $2
		from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[],
			$11::text[], $12::bool[], $13::bigint[], $14::text[], $15::text[], $16::text[], $17::bool[]) with ordinality
			as s (source, event, type, key, saga, line, meta, data, state, head, attempts, due, problem, effect_key, placed, n)
		order by s.n`, list[0].Consumer, now, pq.Array(source), pq.Array(event), pq.Array(typ), pq.Array(key), pq.Array(saga),
		pq.Array(line), pq.Array(meta), pq.Array(data), pq.Array(state), pq.Array(head), pq.Array(attempts), pq.Array(due),
		pq.Array(problem), pq.Array(effectKey), pq.Array(placed))
	if err != nil {
		return fmt.Errorf("putting %d events of %s into steps: %w", len(list), list[0].Consumer, err)
	}
	return nil
}

// promote makes the first unfinished step of a line its head. It runs in the
// transaction that finished a step, after the change. An undo may be stopping
// the very step that is next: once it is seen to have done so, the one behind
// it is next.
func promote(ctx context.Context, u *choreo.Unit, consumer, line string) error {
	for !safeguard.Off("promotion") {
		var id int64
		var head bool
		err := u.SQL().QueryRowContext(ctx, `select id, head from choreo.steps where consumer = $1 and line = $2
			and `+open+` order by place limit 1`, consumer, line).Scan(&id, &head)
		if errors.Is(err, sql.ErrNoRows) || err == nil && head {
			return nil
		}
		if err != nil {
			return fmt.Errorf("finding the next of line %s of %s: %w", line, consumer, err)
		}
		done, err := u.SQL().ExecContext(ctx, `update choreo.steps set head = true where id = $1 and `+open, id)
		if err != nil {
			return fmt.Errorf("waking the next of line %s of %s: %w", line, consumer, err)
		}
		if n, err := done.RowsAffected(); err != nil || n > 0 || safeguard.Off("promotion looks again") {
			return err
		}
	}
	return nil
}
