package main

import (
	"context"
	"database/sql"
	"fmt"
)

// question is one that the database answers: rows are what is wrong.
type question struct{ name, told, query string }

var questions = []question{
	{"nothing under way", "no row in the outbox, no step unfinished", `
		select 'outbox: ' || type || ' ' || event_id from choreo.outbox
		union all
		select 'step: ' || consumer || ' ' || state || ' on ' || type || ' ' || event_id || ': ' || error from choreo.steps
		where state in ('waiting', 'calling', 'parked', 'unknown')`},
	{"sequences without a gap", "each stream counts 1, 2, 3 … to its head, and stands on Kafka to it", `
		select t.topic || '/' || t.partition || ': ' || count(l.sequence) || ' rows to ' || coalesce(max(l.sequence), 0) || ', head ' || t.head || ', forwarded ' || coalesce(f.sequence, 0)
		from choreo.streams t left join choreo.event_log l on l.stream = t.id left join choreo.forwarded f on f.stream = t.id
		group by t.id, f.sequence
		having count(l.sequence) <> coalesce(max(l.sequence), 0) or t.head <> coalesce(max(l.sequence), 0) or t.head <> coalesce(f.sequence, 0)`},
	{"every consumer has taken everything", "each watermark stands at the head of its topic partition", `
		select c.consumer || ' at ' || coalesce(w.sequence, 0) || ' of ' || t.head || ' in ' || t.topic || '/' || t.partition
		from choreo.consumers c join choreo.streams t on t.topic = any (c.topics)
		left join choreo.watermarks w using (consumer, source, topic, partition)
		where coalesce(w.sequence, 0) <> t.head`},
	{"no key out of order at a plain consumer", "what a consumer emitted for a key follows the order of what it reacted to", `
		select emitter || ' on ' || key || ': ' || event_id from (
			select e.emitter, e.key, e.event_id, c.position as cause,
			       lag(c.position) over (partition by e.emitter, e.key, c.stream order by e.position) as previous
			from choreo.event_log e join choreo.event_log c on c.event_id = e.causation
			where not exists (select from choreo.steps s where s.consumer = e.emitter and s.event_id = e.causation)) x
		where previous > cause`},
	{"no line out of order at a step", "the steps of a line ended in the order in which they came", `
		select consumer || ' ' || line || ': step ' || id from (
			select consumer, line, id, updated_at, lag(updated_at) over (partition by consumer, line order by id) as previous
			from choreo.steps where state in ('done', 'gave-up') and round = 0) x
		where previous > updated_at`},
	{"no outcome twice", "a step's event brought each fact once", `
		select emitter || ' emitted ' || type || ' ' || count(*) || ' times on ' || causation from choreo.event_log
		where causation <> '' group by emitter, type, causation, key having count(*) > 1`},
	{"nothing undone because of an outage", "whatever was given up was refused by somebody: nothing for want of Kafka, Postgres, a process or time", `
		select consumer || ' gave up on ' || event_id || ' after ' || attempts || ' attempts: ' || error from choreo.steps
		where state = 'gave-up' and error !~ '(^|: )refused: '`},
	{"nothing put aside", "no record was quarantined", `
		select topic || '/' || partition || ' at ' || record_offset || ': ' || reason from choreo.quarantine`},
}

func ask(ctx context.Context, db *sql.DB, q question) (told string, bad []string, err error) {
	rows, err := db.QueryContext(ctx, q.query)
	if err != nil {
		return "", nil, fmt.Errorf("asking for %q: %w", q.name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return "", nil, err
		}
		if len(bad) < 20 {
			bad = append(bad, line)
		}
	}
	return q.told, bad, rows.Err()
}
