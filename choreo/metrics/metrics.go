// Package metrics measures a choreography from its database, whenever it is
// scraped: what is overdue, how far consumers are behind, what hangs. Any
// process over the database may serve it; all say the same.
package metrics

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/lib/pq"
	"github.com/prometheus/client_golang/prometheus"

	"troupe/choreo"
)

// Collector is a prometheus.Collector over one database. It is safe for
// concurrent use.
type Collector struct {
	db  *choreo.DB
	log *slog.Logger
}

// New makes a collector. What cannot be measured is logged and left out.
func New(db *choreo.DB, log *slog.Logger) *Collector { return &Collector{db: db, log: log} }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("troupe_"+name, help, labels, nil)
}

var (
	reactionAge = desc("reaction_age_seconds",
		"Age of the oldest event that the consumer has yet to react to, of one type; beyond the reaction's deadline it is overdue.", "consumer", "event")
	consumerLag = desc("consumer_lag_events", "Events of our own in the log that the consumer has not taken.", "consumer")
	stepsOpen   = desc("steps", "Steps that are not done, by consumer and state.", "consumer", "state")
	outboxRows  = desc("relay_backlog_events", "Facts that are committed and not yet in the log.")
	outboxAge   = desc("relay_backlog_seconds", "Age of the oldest fact that is committed and not yet in the log.")
	unforwarded = desc("relay_unforwarded_events", "Events in the log that do not yet stand on Kafka.")
	sagasOpen   = desc("sagas", "Sagas that are not settled, by status.", "status")
	sagasOwed   = desc("sagas_owed", "Sagas that owe an undo.")
)

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{reactionAge, consumerLag, stepsOpen, outboxRows, outboxAge, unforwarded, sagasOpen, sagasOwed} {
		out <- d
	}
}

// Collect implements prometheus.Collector. It takes at most 5 s.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for what, measure := range map[string]func(context.Context, chan<- prometheus.Metric) error{
		"reactions": c.reactions, "lag": c.lag, "steps": c.steps, "relay": c.relay, "sagas": c.sagas,
	} {
		if err := measure(ctx, out); err != nil {
			c.log.Warn("metrics are missing", "of", what, "error", err)
		}
	}
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// reactions measures what every reaction is waiting with: of the events above
// its consumer's watermarks, at most 1,000 of a partition, and of its steps.
// One that has nothing to do is 0.
func (c *Collector) reactions(ctx context.Context, out chan<- prometheus.Metric) error {
	var consumers, topics, pairs []string
	age := map[[2]string]float64{}
	for _, consumer := range c.db.Flow().Consumers() {
		for _, t := range consumer.Topics() {
			consumers, topics = append(consumers, consumer.Name), append(topics, t)
		}
		for _, r := range consumer.Rules() {
			if r.Within > 0 && !r.Domain {
				age[[2]string{consumer.Name, r.On}] = 0
				pairs = append(pairs, consumer.Name+" "+r.On)
			}
		}
	}
	rows, err := c.db.Pool().QueryContext(ctx, `
		with behind as (
		  select f.consumer, s.id as stream, coalesce(w.sequence, 0) as taken
		  from unnest($1::text[], $2::text[]) as f (consumer, topic)
		  join choreo.streams s on s.topic = f.topic
		  left join choreo.watermarks w on w.consumer = f.consumer and w.source = s.source and w.topic = s.topic and w.partition = s.partition
		  where s.head > coalesce(w.sequence, 0)
		), waiting as (
		  select b.consumer, l.type, l.at from behind b cross join lateral (
		    select type, at from choreo.event_log l where l.stream = b.stream and l.sequence > b.taken and l.sequence <= b.taken + 1000
		      and not b.consumer = any (string_to_array(l.ran_in, ','))
		  ) l
		  union all
		  select consumer, type, (meta->>'Time')::timestamptz from choreo.steps
		  where state in ('waiting','calling','parked') and place is not null and event_id <> ''
		  union all
		  select consumer, type, (meta->>'Time')::timestamptz from choreo.steps where state = 'waiting' and place is null
		)
		select consumer, type, extract(epoch from choreo.troupe_now() - min(at)) from waiting
		where consumer || ' ' || type = any ($3) group by 1, 2`, pq.Array(consumers), pq.Array(topics), pq.Array(pairs))
	if err != nil {
		return fmt.Errorf("reading what waits: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key [2]string
		var seconds float64
		if err := rows.Scan(&key[0], &key[1], &seconds); err != nil {
			return err
		}
		age[key] = max(seconds, 0)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for key, seconds := range age {
		gauge(out, reactionAge, seconds, key[0], key[1])
	}
	return nil
}

func (c *Collector) lag(ctx context.Context, out chan<- prometheus.Metric) error {
	behind := map[string]float64{}
	var consumers, topics []string
	for _, consumer := range c.db.Flow().Consumers() {
		for _, t := range consumer.Topics() {
			behind[consumer.Name] = 0
			consumers, topics = append(consumers, consumer.Name), append(topics, t)
		}
	}
	rows, err := c.db.Pool().QueryContext(ctx, `
		select f.consumer, sum(greatest(s.head - coalesce(w.sequence, 0), 0))::float8
		from unnest($1::text[], $2::text[]) as f (consumer, topic)
		join choreo.streams s on s.topic = f.topic
		left join choreo.watermarks w on w.consumer = f.consumer and w.source = s.source and w.topic = s.topic and w.partition = s.partition
		group by 1`, pq.Array(consumers), pq.Array(topics))
	if err != nil {
		return fmt.Errorf("reading watermarks: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var consumer string
		var n float64
		if err := rows.Scan(&consumer, &n); err != nil {
			return err
		}
		behind[consumer] = n
	}
	for consumer, n := range behind {
		gauge(out, consumerLag, n, consumer)
	}
	return rows.Err()
}

// steps counts what is open. Every consumer that something can hold up has its
// parked steps shown, also where there are none.
func (c *Collector) steps(ctx context.Context, out chan<- prometheus.Metric) error {
	open := map[[2]string]float64{}
	for _, consumer := range c.db.Flow().Consumers() {
		open[[2]string{consumer.Name, "parked"}] = 0
	}
	rows, err := c.db.Pool().QueryContext(ctx, `
		select consumer, state, count(*)::float8 from (
		  select consumer, state from choreo.steps where state in ('waiting','calling','parked') and place is not null
		  union all
		  select consumer, state from choreo.steps where state = 'waiting' and place is null
		  union all
		  select consumer, state from choreo.steps where state = 'unknown') s
		group by 1, 2`)
	if err != nil {
		return fmt.Errorf("reading steps: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var key [2]string
		var n float64
		if err := rows.Scan(&key[0], &key[1], &n); err != nil {
			return err
		}
		open[key] = n
	}
	for key, n := range open {
		gauge(out, stepsOpen, n, key[0], key[1])
	}
	return rows.Err()
}

func (c *Collector) relay(ctx context.Context, out chan<- prometheus.Metric) error {
	var backlog, age, behind float64
	err := c.db.Pool().QueryRowContext(ctx, `
		select (select count(*) from (select from choreo.outbox limit 100000) o)::float8,
		  coalesce(extract(epoch from choreo.troupe_now() - (select at from choreo.outbox order by id limit 1)), 0)::float8,
		  coalesce((select sum(greatest(s.head - coalesce(f.sequence, 0), 0))
		    from choreo.streams s left join choreo.forwarded f on f.stream = s.id), 0)::float8`).Scan(&backlog, &age, &behind)
	if err != nil {
		return fmt.Errorf("reading the outbox: %w", err)
	}
	gauge(out, outboxRows, backlog)
	gauge(out, outboxAge, max(age, 0))
	gauge(out, unforwarded, behind)
	return nil
}

func (c *Collector) sagas(ctx context.Context, out chan<- prometheus.Metric) error {
	var running, overdue, parked, owed float64
	err := c.db.Pool().QueryRowContext(ctx, `
		select count(*) filter (where status = 'running' and (due_at is null or due_at > choreo.troupe_now()))::float8,
		  count(*) filter (where status = 'overdue' or status = 'running' and due_at <= choreo.troupe_now())::float8,
		  count(*) filter (where status = 'parked')::float8,
		  (select count(*) from choreo.sagas where owed > 0)::float8
		from choreo.sagas where status in ('running','overdue','parked')`).Scan(&running, &overdue, &parked, &owed)
	if err != nil {
		return fmt.Errorf("reading sagas: %w", err)
	}
	gauge(out, sagasOpen, running, "running")
	gauge(out, sagasOpen, overdue, "overdue")
	gauge(out, sagasOpen, parked, "parked")
	gauge(out, sagasOwed, owed)
	return nil
}
