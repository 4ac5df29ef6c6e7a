package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/consume"
)

// What a grown database has in it before a run.
const (
	grownEvents = 1_000_000 // in the log
	grownKeys   = 1_000_000 // accounts
	grownSteps  = 100_000   // parked, of other keys than those of the run
	consumers   = 30        // on the topic, in the row of consumers
)

// growthRows measure what that costs us.
func growthRows() []*row {
	grown := func(name, what, unit string, ours func(context.Context, *world) (runner, error)) *row {
		return &row{"growth_" + name, "grown: " + what, unit, [2]side{{"without", false, ours}, {"with", true, ours}}}
	}
	return []*row{
		grown("consume", "consumed, OnBatch, Parallel()", "events/s", consuming(1, inParallel)),
		grown("consume_merged", "consumed, OnBatch, one batch at a time", "events/s", consuming(1, merged)),
		grown("consume_merged_rowless", "consumed, OnBatch, one batch at a time, no row of the million updated", "events/s",
			consumingOf(1, noUpdateMerged, checkOurFacts)),
		grown("consume_each", "consumed, On, Parallel(), a statement of its own per event", "events/s", consuming(4, oneByOne)),
		grown("relay", "relayed from the outbox to Kafka", "events/s", relaying),
		grown("hop_200", "commit to the handler's commit, at 200/s", "ms", hop(200)),
		grown("hop_2000", "commit to the handler's commit, at 2,000/s", "ms", hop(2000)),
		grown("saga_rate", "5,000 three-step sagas at once", "sagas/s", sagas),
		grown("saga_latency", "three-step saga, at 50/s", "ms", sagaLatency),
		grown("replay_skip", "skipped below the watermark in a replay", "events/s", replaying),
		{"growth_consumers", fmt.Sprintf("applied by all of 1 consumer, of %d on the topic", consumers), "events/s",
			[2]side{{"without", false, consumingBy(1)}, {"with", false, consumingBy(consumers)}}},
	}
}

// grow fills the log, and parks steps of every consumer.
func (e *engine) grow(ctx context.Context) error {
	topics := e.db.Flow().Topics()
	perStream := grownEvents / len(topics) / eventPartitions
	for _, topic := range topics {
		if _, err := e.pool.ExecContext(ctx, `
			with s as (insert into choreo.streams (source, topic, partition, head)
				select $1, $2, p, $3 from generate_series(0, $4 - 1) p returning id, partition),
			f as (insert into choreo.forwarded (stream, sequence) select id, $3 from s),
			h as (update choreo.log_head set position = position + $3 * $4 returning position - $3 * $4 as before)
			insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter,
				ran_in, traceparent, at, data)
			select h.before + s.partition * $3 + n, s.id, n, 'old-' || s.id || '-' || n, $2 || '.Old.v1', 'old-' || s.id || '-' || n,
				'old-' || s.id || '-' || n, '', 'old', '', '', choreo.troupe_now() - interval '30 days', $5::bytea
			from s, h, generate_series(1, $3) n`,
			e.db.Source(), topic, perStream, eventPartitions, []byte(note)); err != nil {
			return fmt.Errorf("growing the log: %w", err)
		}
	}
	all := e.db.Flow().Consumers()
	for _, c := range all {
		//nolint:dupword // one time for three columns
		if _, err := e.pool.ExecContext(ctx, `
			insert into choreo.steps (consumer, source, event_id, type, key, saga, line, place, meta, data, state, head,
				attempts, begun_at, due_at, created_at, effect_key, updated_at)
			select $1, $2, 'parked-' || n, $3, 'parked-' || n, 'parked-' || n, 'parked-' || n, n, '{}'::jsonb, $4::bytea, 'parked', true,
				12, t.now, t.now, t.now, $1 || 'parked-' || n, t.now
			from generate_series(1, $5) n, (select choreo.troupe_now() as now) t`,
			c.Name, e.db.Source(), c.Rules()[0].On, []byte(note), grownSteps/len(all)); err != nil {
			return fmt.Errorf("parking steps: %w", err)
		}
	}
	return settle(ctx, e.pool)
}

// consumingBy prepares so many consumers that each write down every event, a
// batch in one statement.
func consumingBy(n int) func(context.Context, *world) (runner, error) {
	return func(ctx context.Context, w *world) (runner, error) {
		c := &crowd{size: n, events: newStream(w.events / 10)}
		lines := []choreo.Line{deposits()}
		for i := range n {
			lines = append(lines, choreo.OnBatch(crowdName(i), c.writeDown(i)))
		}
		var err error
		if c.engine, err = newEngine(ctx, w, lines...); err != nil {
			return nil, err
		}
		if _, err := w.pool.ExecContext(ctx, `create table written (id bigint generated always as identity primary key,
			consumer int not null, key text not null, n int not null)`); err != nil {
			return nil, err
		}
		return c.run, c.preload(ctx, c.events)
	}
}

// crowd are consumers of one topic.
type crowd struct {
	*engine
	size   int
	events *stream
	watch  atomic.Pointer[stopwatch]
}

func crowdName(i int) string { return fmt.Sprintf("write-%d", i) }

func (c *crowd) writeDown(consumer int) func(context.Context, *choreo.Tx, []choreo.Event[deposited]) error {
	return func(ctx context.Context, tx *choreo.Tx, events []choreo.Event[deposited]) error {
		c.watch.Load().start()
		numbers := make([]int64, len(events))
		for i, e := range events {
			numbers[i] = int64(e.Fact.N)
		}
		_, err := tx.ExecContext(ctx, `insert into written (consumer, key, n)
			select $1, e.key, e.n from unnest($2::text[], $3::int[]) with ordinality as e (key, n, i) order by e.i`,
			consumer, pq.Array(keysOf(events)), pq.Array(numbers))
		return err
	}
}

func (c *crowd) run(ctx context.Context, warmUp bool) (*measured, error) {
	if _, err := c.pool.ExecContext(ctx, `truncate written`); err != nil {
		return nil, err
	}
	for i := range c.size {
		if err := c.rewind(ctx, crowdName(i)); err != nil {
			return nil, err
		}
	}
	if err := settle(ctx, c.pool); err != nil {
		return nil, err
	}
	watch := &stopwatch{bench: c.bench, profile: c.profile}
	c.watch.Store(watch)
	until := c.size * c.events.events
	if warmUp {
		until /= 10
	}
	r, err := c.consume(ctx)
	if err != nil {
		return nil, err
	}
	err = await(ctx, "all consumers", func() (bool, error) {
		n, err := r.counted(consume.Applied)
		return n >= until, err
	})
	watch.stop()
	if err := errors.Join(err, r.stop()); err != nil || warmUp {
		return nil, err
	}
	return watch.rate(until), c.check(ctx)
}

// check verifies that each consumer wrote each event down once and in order.
func (c *crowd) check(ctx context.Context) error {
	ledgers := make([]*ledger, c.size)
	for i := range ledgers {
		ledgers[i] = c.events.ledger()
	}
	if err := each(ctx, c.pool, `select consumer, key, n from written order by id`, func(rows *sql.Rows) error {
		var by, n int
		var key string
		err := rows.Scan(&by, &key, &n)
		ledgers[by].saw(key, n)
		return err
	}); err != nil {
		return err
	}
	for i, l := range ledgers {
		if err := l.err(); err != nil {
			return fmt.Errorf("%s: %w", crowdName(i), err)
		}
	}
	return nil
}
