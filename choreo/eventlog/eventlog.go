// Package eventlog reads the log by position, for those who pull. Positions are
// given by the one sequencer, in the transaction that appends: what stands at or
// below the head that is read first has been committed, whole and in order.
package eventlog

import (
	"context"
	"fmt"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/pull"
)

const (
	window    = 20_000  // facts that one statement looks at
	mostBytes = 8 << 20 // of the facts in a page, at least one
)

// Read reads the events after a position, without waiting: at most q.Limit, 8 MiB
// and one window of the log; more tells that the log goes on behind it. Where it
// does not, the page's position is that of the question, or past all that was
// looked at.
func Read(ctx context.Context, db *choreo.DB, q pull.Query) (page pull.Page, more bool, err error) {
	page = pull.Page{Items: []pull.Event{}, Position: q.After}
	head, err := db.LogHead(ctx)
	if err != nil || head <= q.After {
		return page, false, err
	}
	to := head
	saga := ``
	args := []any{q.After, nil, array(q.Topics), array(q.Types), q.Limit, mostBytes, q.Key}
	if q.Saga != "" { // it has an index
		saga, args = ` and saga = $8`, append(args, q.Saga)
	} else if to, err = db.LogWindow(ctx, q.After, head, window); err != nil {
		return page, false, err
	}
	args[1] = to
	rows, err := db.Log().QueryContext(ctx, `
		select position, coalesce((select source from choreo.streams where id = stream), source), event_id, type, key, at, saga,
			nullif(causation, ''), emitter, data
		from (
			select *, sum(octet_length(data)) over (order by position) - octet_length(data) as before
			from (
				select * from choreo.event_log
				where position > $1 and position <= $2
				  and ($3::text[] is null or split_part(type, '.', 1) = any ($3)) and ($4::text[] is null or type = any ($4))
				  and ($7 = '' or key = $7)`+saga+`
				order by position limit $5
			) page
		) sized
		where before < $6 order by position`, args...)
	if err != nil {
		return page, false, fmt.Errorf("reading the log after %d: %w", q.After, err)
	}
	defer rows.Close()
	var bytes int
	for rows.Next() {
		var e pull.Event
		var data []byte
		if err := rows.Scan(&e.Position, &e.Source, &e.ID, &e.Type, &e.Key, &e.Time, &e.SagaID, &e.CausationID, &e.Emitter, &data); err != nil {
			return page, false, fmt.Errorf("reading the log after %d: %w", q.After, err)
		}
		e.Topic, e.Time, e.Data = choreo.Topic(e.Type), e.Time.UTC(), data
		bytes += len(data)
		page.Items = append(page.Items, e)
	}
	if err := rows.Err(); err != nil {
		return page, false, fmt.Errorf("reading the log after %d: %w", q.After, err)
	}
	page.Position = to
	if n := len(page.Items); n == q.Limit || bytes >= mostBytes {
		page.Position = page.Items[n-1].Position
	}
	return page, head > page.Position, nil
}

// Last is the position behind which the last n events stand that a query asks
// for. It looks back over a hundred thousand at most.
func Last(ctx context.Context, db *choreo.DB, q pull.Query, n int) (after int64, err error) {
	head, err := db.LogHead(ctx)
	if err != nil || n == 0 {
		return head, err
	}
	err = db.Log().QueryRowContext(ctx, `select coalesce(min(position), $6 + 1) - 1 from (
		select position from (select position, type, key, saga from choreo.event_log where position <= $6 order by position desc limit 100000) l
		where ($1::text[] is null or split_part(type, '.', 1) = any ($1)) and ($2::text[] is null or type = any ($2))
		  and ($3 = '' or key = $3) and ($4 = '' or saga = $4)
		order by position desc limit $5) found`, array(q.Topics), array(q.Types), q.Key, q.Saga, n, head).Scan(&after)
	if err != nil {
		return 0, fmt.Errorf("looking back in the log: %w", err)
	}
	return after, nil
}

// array is null where there is nothing to filter by.
func array(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return pq.Array(list)
}

// Source pulls from the log itself. It does not wait.
type Source struct{ DB *choreo.DB }

// Pull reads up to the first events, or the end of the log.
func (s Source) Pull(ctx context.Context, q pull.Query) (pull.Page, error) {
	for {
		page, more, err := Read(ctx, s.DB, q)
		if err != nil || len(page.Items) > 0 || !more {
			return page, err
		}
		q.After = page.Position
	}
}
