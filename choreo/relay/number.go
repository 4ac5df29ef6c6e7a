package relay

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
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

// claim takes the oldest facts out of the outbox.
func claim(ctx context.Context, tx *sql.Tx) ([]*fact, error) {
	rows, err := tx.QueryContext(ctx, `
		with gone as (
		  delete from choreo.outbox where id in (select id from choreo.outbox order by id limit $1)
		  returning id, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data)
		select * from gone order by id`, Batch)
	if err != nil {
		return nil, fmt.Errorf("claiming from the outbox: %w", err)
	}
	defer rows.Close()
	var facts []*fact
	for rows.Next() {
		f := &fact{}
		if err := rows.Scan(&f.id, &f.eventID, &f.typ, &f.key, &f.saga, &f.causation, &f.emitter, &f.ranIn,
			&f.traceparent, &f.at, &f.data); err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return facts, rows.Err()
}

// number gives each fact its stream, sequence and position, and appends it to
// the log. Streams and the log's head are locked by the lease that is held.
func number(ctx context.Context, tx *sql.Tx, facts []*fact) error {
	partitions, err := partitionCounts(ctx, tx)
	if err != nil {
		return err
	}
	var position int64
	if err := tx.QueryRowContext(ctx, `update choreo.log_head set position = position + $1 returning position - $1`,
		len(facts)).Scan(&position); err != nil {
		return fmt.Errorf("taking positions: %w", err)
	}
	type place struct {
		topic     string
		partition int32
	}
	streams := map[place]*stream{}
	for i, f := range facts {
		topic := choreo.Topic(f.typ)
		if partitions[topic] == 0 {
			return fmt.Errorf("topic %s is not known: run `troupe topics apply`", topic)
		}
		at := place{topic, wire.PartitionOf(f.key, partitions[topic])}
		if streams[at] == nil {
			if streams[at], err = openStream(ctx, tx, at.topic, at.partition); err != nil {
				return err
			}
		}
		streams[at].head++
		f.stream, f.sequence, f.position = streams[at].id, streams[at].head, position+int64(i)+1
	}
	for _, s := range streams {
		if _, err := tx.ExecContext(ctx, `update choreo.streams set head = $2 where id = $1`, s.id, s.head); err != nil {
			return fmt.Errorf("moving the head of a stream: %w", err)
		}
	}
	if err := appendLog(ctx, tx, facts); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `select pg_notify($1, '')`, choreo.LogChannel)
	return err
}

type stream struct{ id, head int64 }

func openStream(ctx context.Context, tx *sql.Tx, topic string, partition int32) (*stream, error) {
	s := &stream{}
	err := tx.QueryRowContext(ctx, `select id, head from choreo.streams where topic = $1 and partition = $2`,
		topic, partition).Scan(&s.id, &s.head)
	if err == sql.ErrNoRows {
		err = tx.QueryRowContext(ctx, `with s as (
			insert into choreo.streams (topic, partition) values ($1, $2) returning id),
			f as (insert into choreo.forwarded (stream, sequence) select id, 0 from s)
			select id from s`, topic, partition).Scan(&s.id)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the stream of %s/%d: %w", topic, partition, err)
	}
	return s, nil
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
