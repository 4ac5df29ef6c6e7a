package relay

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
	"troupe/choreo/wire"
)

// fact is a row of the outbox, then of the log.
type fact struct {
	id                                                              int64
	eventID, typ, key, saga, causation, emitter, ranIn, traceparent string
	at                                                              time.Time
	data                                                            []byte
	place                                                           place
	stream, sequence, position                                      int64
}

// floor is below which no row of the outbox can appear any more, so that claims
// need not wade through the dead rows of earlier ones: under a long snapshot
// 300,000 of them cost 31 ms a claim. A row whose id is at most the highest that
// was claimed, and that was not visible then, belongs to a transaction older
// than that claim's snapshot: it has its xid before its ids. So the floor rises
// to that id only after one more claim was made with all of those transactions
// ended. (A plain floor with a sweep for late commits inverts a key.)
type floor struct {
	id      int64
	highest int64  // claimed so far
	noted   int64  // the highest when xmax was noted
	xmax    uint64 // 0: nothing is noted
}

// claimed moves the floor after a claim whose snapshot was (xmin, xmax).
func (f *floor) claimed(highest int64, xmin, xmax uint64) {
	f.highest = max(f.highest, highest)
	if safeguard.Off("xmin floor") {
		f.id = f.highest
		return
	}
	if f.xmax != 0 && xmin >= f.xmax {
		f.id, f.xmax = f.noted, 0
	}
	if f.xmax == 0 && f.highest > f.id {
		f.noted, f.xmax = f.highest, xmax
	}
}

// claim reads the oldest facts of the outbox, above the floor, with the number of
// partitions of their topics, and which transactions were under way then: nobody
// but the one relay removes any. Data are JSON, and come as text: as bytea they
// would double.
func claim(ctx context.Context, tx *sql.Tx, f floor) ([]*fact, floor, error) {
	rows, err := tx.QueryContext(ctx, `
		select s.xmin, s.xmax, o.id, o.event_id, o.type, o.key, o.saga, o.causation, o.emitter, o.ran_in, o.traceparent, o.at,
		       convert_from(o.data, 'utf8'), coalesce(t.partitions, 0)
		from (select pg_snapshot_xmin(s)::text as xmin, pg_snapshot_xmax(s)::text as xmax from pg_current_snapshot() s) s
		left join lateral (select * from choreo.outbox where id > $2 order by id limit $1) o on true
		left join choreo.topics t on t.topic = split_part(o.type, '.', 1)
		order by o.id`, Batch, f.id)
	if err != nil {
		return nil, f, fmt.Errorf("claiming from the outbox: %w", err)
	}
	defer rows.Close()
	var facts []*fact
	var xmin, xmax uint64
	for rows.Next() {
		var id sql.NullInt64
		var at sql.NullTime
		var text [8]sql.NullString
		var data []byte
		var partitions int
		if err := rows.Scan(&xmin, &xmax, &id, &text[0], &text[1], &text[2], &text[3], &text[4], &text[5], &text[6],
			&text[7], &at, &data, &partitions); err != nil {
			return nil, f, err
		}
		if !id.Valid {
			continue // there is nothing
		}
		topic, key := choreo.Topic(text[1].String), text[2].String
		if partitions == 0 {
			return nil, f, fmt.Errorf("topic %s is not known: run `troupe topics apply`", topic)
		}
		facts = append(facts, &fact{id: id.Int64, place: place{topic, wire.PartitionOf(key, partitions)}, eventID: text[0].String, typ: text[1].String, key: key,
			saga: text[3].String, causation: text[4].String, emitter: text[5].String, ranIn: text[6].String,
			traceparent: text[7].String, at: at.Time, data: data})
	}
	highest := f.highest
	if n := len(facts); n > 0 {
		highest = facts[n-1].id
	}
	f.claimed(highest, xmin, xmax)
	if safeguard.Off("claim order") {
		slices.Reverse(facts)
	}
	return facts, f, rows.Err()
}

// place is a topic partition.
type place struct {
	topic     string
	partition int32
}

// number gives each fact its stream, sequence and position, and moves it from
// the outbox to the log. Streams and the log's head are locked by the lease that
// is held. It tells the last position given out, the first being behind from.
func number(ctx context.Context, tx *sql.Tx, source string, facts []*fact, from int64) (int64, error) {
	count := map[place]int64{}
	for _, f := range facts {
		count[f.place]++
	}
	streams, position, err := advanceHeads(ctx, tx, source, count, len(facts), from)
	if err != nil {
		return 0, err
	}
	for i, f := range facts {
		s := streams[f.place]
		s.next++
		f.stream, f.sequence, f.position = s.id, s.next, position+int64(i)+1
	}
	return position + int64(len(facts)), moveToLog(ctx, tx, facts)
}

type stream struct{ id, next int64 }

// advanceHeads moves the heads of the streams, and of the log, and tells where
// they stood. Streams that are missing are made.
func advanceHeads(ctx context.Context, tx *sql.Tx, source string, count map[place]int64, n int, from int64) (map[place]*stream, int64, error) {
	var topics pgarray.Text
	var numbers, counts pgarray.Int8
	for p, n := range count {
		topics, numbers, counts = append(topics, p.topic), append(numbers, int64(p.partition)), append(counts, n)
	}
	rows, err := tx.QueryContext(ctx, `
		with l as (update choreo.log_head set position = greatest(position, $6) + $5 returning position - $5 as before),
		u as (select * from unnest($2::text[], $3::bigint[], $4::bigint[]) as u (topic, partition, n)),
		s as (insert into choreo.streams as s (source, topic, partition, head)
			select $1, u.topic, u.partition, u.n from u order by u.topic, u.partition
			on conflict (source, topic, partition) do update set head = s.head + excluded.head
			returning id, topic, partition, head),
		f as (insert into choreo.forwarded (stream, sequence) select id, 0 from s on conflict do nothing)
		select s.id, s.topic, s.partition, s.head - u.n, l.before from s join u using (topic, partition), l`,
		source, topics, numbers, counts, n, from)
	if err != nil {
		return nil, 0, fmt.Errorf("moving the heads of streams: %w", err)
	}
	defer rows.Close()
	streams := map[place]*stream{}
	var position int64
	for rows.Next() {
		var p place
		var s stream
		if err := rows.Scan(&s.id, &p.topic, &p.partition, &s.next, &position); err != nil {
			return nil, 0, err
		}
		streams[p] = &s
	}
	return streams, position, rows.Err()
}

// moveToLog moves the facts inside Postgres: their data does not travel.
func moveToLog(ctx context.Context, tx *sql.Tx, facts []*fact) error {
	n := len(facts)
	ids, positions := make(pgarray.Int8, n), make(pgarray.Int8, n)
	streams, sequences := make(pgarray.Int8, n), make(pgarray.Int8, n)
	for i, f := range facts {
		ids[i], positions[i], streams[i], sequences[i] = f.id, f.position, f.stream, f.sequence
	}
	synchronous := "on" // whatever the database's default is
	if safeguard.Off("synchronous sequencing") {
		synchronous = "off"
	}
	var moved int
	err := tx.QueryRowContext(ctx, `
		with gone as (delete from choreo.outbox where id = any ($1::bigint[])
			returning id, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data),
		moved as (insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter,
				ran_in, traceparent, at, data)
			select x.position, x.stream, x.sequence, g.event_id, g.type, g.key, g.saga, g.causation, g.emitter,
				g.ran_in, g.traceparent, g.at, g.data
			from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[]) as x (id, position, stream, sequence)
			join gone g using (id) returning 1)
		select (select count(*) from moved) from (select pg_notify($5, ''), set_config('synchronous_commit', $6, true)) n`,
		ids, positions, streams, sequences, choreo.LogChannel, synchronous).Scan(&moved)
	if err == nil && moved != n {
		err = fmt.Errorf("only %d are in the outbox", moved)
	}
	if err != nil {
		return fmt.Errorf("moving %d facts to the log: %w", n, err)
	}
	return nil
}
