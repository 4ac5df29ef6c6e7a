package relay

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/wire"
)

// fact is a row of the outbox, then of the log.
type fact struct {
	id                                                              int64
	eventID, typ, key, saga, causation, emitter, ranIn, traceparent string
	at                                                              time.Time
	data                                                            []byte
	stream                                                          int64
	sequence, position                                              int64
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

// claim takes the oldest facts out of the outbox, above the floor. The floor
// that comes back is to be kept once the claim is committed.
func claim(ctx context.Context, tx *sql.Tx, f floor) ([]*fact, floor, error) {
	rows, err := tx.QueryContext(ctx, `
		with gone as (
		  delete from choreo.outbox where id in (select id from choreo.outbox where id > $2 order by id limit $1)
		  returning id, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data),
		snapshot as (select pg_snapshot_xmin(s)::text as xmin, pg_snapshot_xmax(s)::text as xmax from pg_current_snapshot() s)
		select s.xmin, s.xmax, coalesce(g.id, 0), g.event_id, g.type, g.key, g.saga, g.causation, g.emitter, g.ran_in,
		       g.traceparent, g.at, g.data
		from snapshot s left join gone g on true order by g.id`, Batch, f.id)
	if err != nil {
		return nil, f, fmt.Errorf("claiming from the outbox: %w", err)
	}
	defer rows.Close()
	var facts []*fact
	var xmin, xmax uint64
	for rows.Next() {
		var c fact
		var at sql.NullTime
		var text [8]sql.NullString
		if err := rows.Scan(&xmin, &xmax, &c.id, &text[0], &text[1], &text[2], &text[3], &text[4], &text[5], &text[6],
			&text[7], &at, &c.data); err != nil {
			return nil, f, err
		}
		if c.id == 0 {
			continue // nothing was claimed
		}
		c.eventID, c.typ, c.key, c.saga = text[0].String, text[1].String, text[2].String, text[3].String
		c.causation, c.emitter, c.ranIn, c.traceparent = text[4].String, text[5].String, text[6].String, text[7].String
		c.at = at.Time
		facts = append(facts, &c)
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

// number gives each fact its stream, sequence and position, and appends it to
// the log. Streams and the log's head are locked by the lease that is held.
func number(ctx context.Context, tx *sql.Tx, source string, facts []*fact) error {
	partitions, err := partitionCounts(ctx, tx)
	if err != nil {
		return err
	}
	var position int64
	if err := tx.QueryRowContext(ctx, `update choreo.log_head set position = position + $1 returning position - $1`,
		len(facts)).Scan(&position); err != nil {
		return fmt.Errorf("taking positions: %w", err)
	}
	places := make([]place, len(facts))
	for i, f := range facts {
		topic := choreo.Topic(f.typ)
		if partitions[topic] == 0 {
			return fmt.Errorf("topic %s is not known: run `troupe topics apply`", topic)
		}
		places[i] = place{topic, wire.PartitionOf(f.key, partitions[topic])}
	}
	streams, err := openStreams(ctx, tx, source, places)
	if err != nil {
		return err
	}
	for i, f := range facts {
		s := streams[places[i]]
		s.head++
		f.stream, f.sequence, f.position = s.id, s.head, position+int64(i)+1
	}
	var ids, heads []int64
	for _, s := range streams {
		ids, heads = append(ids, s.id), append(heads, s.head)
	}
	if _, err := tx.ExecContext(ctx, `update choreo.streams s set head = m.head from unnest($1::int[], $2::bigint[]) as m (id, head)
		where s.id = m.id`, pq.Array(ids), pq.Array(heads)); err != nil {
		return fmt.Errorf("moving the heads of streams: %w", err)
	}
	if err := appendLog(ctx, tx, facts); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `select pg_notify($1, '')`, choreo.LogChannel)
	return err
}

type place struct {
	topic     string
	partition int32
}

type stream struct{ id, head int64 }

// openStreams finds the streams of these places, making those that are missing.
func openStreams(ctx context.Context, tx *sql.Tx, source string, places []place) (map[place]*stream, error) {
	var topics []string
	var partitions []int64
	streams := map[place]*stream{}
	for _, p := range places {
		if _, ok := streams[p]; !ok {
			streams[p] = nil
			topics, partitions = append(topics, p.topic), append(partitions, int64(p.partition))
		}
	}
	read := func() (missing bool, err error) {
		rows, err := tx.QueryContext(ctx, `select s.topic, s.partition, s.id, s.head from choreo.streams s
			join unnest($2::text[], $3::int[]) as p (topic, partition) on s.topic = p.topic and s.partition = p.partition
			where s.source = $1`, source, pq.Array(topics), pq.Array(partitions))
		if err != nil {
			return false, fmt.Errorf("opening streams: %w", err)
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var p place
			s := &stream{}
			if err := rows.Scan(&p.topic, &p.partition, &s.id, &s.head); err != nil {
				return false, err
			}
			streams[p] = s
		}
		return n < len(topics), rows.Err()
	}
	missing, err := read()
	if err != nil || !missing {
		return streams, err
	}
	_, err = tx.ExecContext(ctx, `
		with s as (
		  insert into choreo.streams (source, topic, partition)
		  select $1, p.topic, p.partition from unnest($2::text[], $3::int[]) with ordinality as p (topic, partition, n)
		  order by p.n on conflict do nothing returning id)
		insert into choreo.forwarded (stream, sequence) select id, 0 from s`, source, pq.Array(topics), pq.Array(partitions))
	if err != nil {
		return nil, fmt.Errorf("making streams: %w", err)
	}
	_, err = read()
	return streams, err
}

func partitionCounts(ctx context.Context, tx *sql.Tx) (map[string]int, error) {
	rows, err := tx.QueryContext(ctx, `select topic, partitions from choreo.topics`)
	if err != nil {
		return nil, fmt.Errorf("reading partition counts: %w", err)
	}
	defer rows.Close()
	counts := map[string]int{}
	for rows.Next() {
		var topic string
		var n int
		if err := rows.Scan(&topic, &n); err != nil {
			return nil, err
		}
		counts[topic] = n
	}
	return counts, rows.Err()
}

func appendLog(ctx context.Context, tx *sql.Tx, facts []*fact) error {
	n := len(facts)
	positions, streams, sequences := make([]int64, n), make([]int64, n), make([]int64, n)
	data, at := make([][]byte, n), make([]string, n)
	var text [8][]string
	for i, f := range facts {
		positions[i], streams[i], sequences[i] = f.position, f.stream, f.sequence
		data[i], at[i] = f.data, f.at.UTC().Format(time.RFC3339Nano)
		for j, s := range []string{f.eventID, f.typ, f.key, f.saga, f.causation, f.emitter, f.ranIn, f.traceparent} {
			text[j] = append(text[j], s)
		}
	}
	_, err := tx.ExecContext(ctx, `
		insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter,
			ran_in, traceparent, at, data)
		select a, b, c, d, e, f, g, h, i, j, k, l::timestamptz, m
		from unnest($1::bigint[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[]) as x (a, b, c, d, e, f, g, h, i, j, k, l, m)`,
		pq.Array(positions), pq.Array(streams), pq.Array(sequences), pq.Array(text[0]), pq.Array(text[1]),
		pq.Array(text[2]), pq.Array(text[3]), pq.Array(text[4]), pq.Array(text[5]), pq.Array(text[6]),
		pq.Array(text[7]), pq.Array(at), pq.Array(data))
	if err != nil {
		return fmt.Errorf("appending %d facts to the log: %w", n, err)
	}
	return nil
}
