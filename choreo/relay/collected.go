package relay

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"troupe/choreo"
	"troupe/choreo/pgarray"
)

// newOnes leaves out what the log has already: the same event at another offset.
func newOnes(ctx context.Context, tx *sql.Tx, found []*foreign) ([]*foreign, error) {
	type key struct{ source, id string }
	seen := map[key]bool{}
	var sources, ids pgarray.Text
	for _, f := range found {
		sources, ids = append(sources, f.meta.Source), append(ids, f.meta.ID)
	}
	if len(found) == 0 {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, `select u.source, u.id from unnest($1::text[], $2::text[]) as u (source, id)
		where exists (select from choreo.event_log l where l.event_id = u.id and l.source = u.source)`, sources, ids)
	if err != nil {
		return nil, fmt.Errorf("looking foreign events up in the log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k key
		if err := rows.Scan(&k.source, &k.id); err != nil {
			return nil, err
		}
		seen[k] = true
	}
	var fresh []*foreign
	for _, f := range found {
		if k := (key{f.meta.Source, f.meta.ID}); !seen[k] {
			seen[k] = true
			fresh = append(fresh, f)
		}
	}
	return fresh, rows.Err()
}

// appendForeign appends events to the log, each with a position.
func (r *Relay) appendForeign(ctx context.Context, tx *sql.Tx, now time.Time, fresh []*foreign) error {
	n := len(fresh)
	into, err := openPartition(ctx, tx, written{}, now, n)
	if err != nil {
		return err
	}
	var before int64
	err = tx.QueryRowContext(ctx, `update choreo.log_head set position = greatest(position, $2) + $1 returning position - $1`,
		n, into.head).Scan(&before)
	if err != nil {
		return fmt.Errorf("taking positions: %w", err)
	}
	var text [10]pgarray.Text
	var positions, partitions, offsets pgarray.Int8
	var data pgarray.Bytea
	for i, f := range fresh {
		positions, data = append(positions, before+int64(i)+1), append(data, f.data)
		partitions, offsets = append(partitions, int64(f.record.Partition)), append(offsets, f.record.Offset)
		for j, s := range [...]string{f.meta.ID, f.meta.Type, f.meta.Key, f.meta.Saga, f.meta.Causation, f.meta.Emitter,
			strings.Join(f.meta.RanIn, ","), f.meta.TraceParent, f.meta.Time.UTC().Format(time.RFC3339Nano), f.meta.Source} {
			text[j] = append(text[j], s)
		}
	}
	topic, topicID := fresh[0].record.Topic, fresh[0].record.TopicID
	_, err = tx.ExecContext(ctx, `
		with f as (
		  insert into choreo.event_log (position, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, source, data)
		  select a, b, c, d, e, f, g, h, i, j::timestamptz, k, l from unnest($1::bigint[], $2::text[], $3::text[], $4::text[],
			$5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[])
			as x (a, b, c, d, e, f, g, h, i, j, k, l)),
		n as (select pg_notify($17, ''))
		insert into choreo.foreign_records (position, topic, topic_id, partition, record_offset)
		select a, $13, $14, b, c from n, unnest($1::bigint[], $15::bigint[], $16::bigint[]) as x (a, b, c)
		on conflict (topic_id, partition, record_offset) do nothing`,
		positions, text[0], text[1], text[2], text[3], text[4], text[5], text[6], text[7], text[8], text[9], data,
		topic, topicID, partitions, offsets, choreo.LogChannel)
	if err != nil {
		return fmt.Errorf("appending %d foreign events to the log: %w", n, err)
	}
	return nil
}
