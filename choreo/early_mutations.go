//go:build mutations

package choreo

import (
	"context"
	"sync"

	"github.com/lib/pq"
)

var places sync.Map // of a unit: the first of the places it took

// emitFirst has what the transaction will emit take its places in the outbox
// now, before any row is locked.
func (u *Unit) emitFirst(ctx context.Context) {
	var first int64
	if err := u.sql.QueryRowContext(ctx, `select min(nextval('choreo.outbox_id_seq')) from generate_series(1, 60)`).Scan(&first); err != nil {
		u.err = err
	}
	places.Store(u, first)
}

// placeFirst moves the facts that were put into the outbox to those places.
func (u *Unit) placeFirst(ctx context.Context, ids []string) {
	first, _ := places.LoadAndDelete(u)
	if _, err := u.sql.ExecContext(ctx, `with gone as (delete from choreo.outbox where event_id = any ($1) returning *)
		insert into choreo.outbox (id, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data) overriding system value
		select $2::bigint + row_number() over (order by id) - 1, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data from gone`,
		pq.Array(ids), first); err != nil {
		u.err = err
	}
}
