package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/relay"
	"troupe/choreo/steps"
)

// engine is our side of a world: a flow on a migrated database.
type engine struct {
	*world
	pool   *sql.DB
	db     *choreo.DB
	broker broker.Config
}

// newEngine migrates the database, and makes the topics of the flow.
func newEngine(ctx context.Context, w *world, lines ...choreo.Line) (*engine, error) {
	if err := choreo.Migrate(ctx, w.pool); err != nil {
		return nil, err
	}
	e := &engine{world: w, broker: broker.Config{Brokers: w.brokers, Prefix: w.prefix, Log: w.log}}
	var err error
	if e.pool, err = w.openPool(); err != nil {
		return nil, err
	}
	if err := e.open(ctx, lines...); err != nil {
		return nil, err
	}
	made, err := broker.ApplyTopics(ctx, e.broker, e.pool, e.db.Flow().Topics(), eventPartitions)
	for _, t := range made {
		if t.Created {
			w.topics = append(w.topics, w.prefix+t.Name)
		}
	}
	if err == nil && w.grown {
		err = e.grow(ctx)
	}
	if err != nil {
		return nil, err
	}
	_, err = e.pool.ExecContext(ctx, `create table bench_start as select topic, partition, head from choreo.streams`)
	return e, err
}

// rewind has a consumer begin where the world began.
func (e *engine) rewind(ctx context.Context, consumer string) error {
	if err := e.forget(ctx, consumer); err != nil {
		return err
	}
	if _, err := e.pool.ExecContext(ctx, `delete from choreo.watermarks where consumer = $1`, consumer); err != nil {
		return fmt.Errorf("rewinding %s: %w", consumer, err)
	}
	_, err := e.pool.ExecContext(ctx, `insert into choreo.watermarks (consumer, source, topic, partition, sequence)
		select $1, $2, topic, partition, head from bench_start`, consumer, e.db.Source())
	if err != nil {
		return fmt.Errorf("rewinding %s: %w", consumer, err)
	}
	return nil
}

// open makes the handle of another flow, such as one whose consumers have the
// names of this round.
func (e *engine) open(ctx context.Context, lines ...choreo.Line) error {
	flow, err := choreo.NewFlow(lines...)
	if err == nil {
		e.db, err = choreo.Open(ctx, e.pool, flow, choreo.Options{})
	}
	return err
}

// runRelay relays until stop is called.
func (e *engine) runRelay(ctx context.Context) (stop func() error, err error) {
	publisher, err := broker.NewPublisher(e.broker)
	if err != nil {
		return nil, err
	}
	listener := pq.NewListener(e.url, 100*time.Millisecond, 5*time.Second, nil)
	if err := listener.Listen(choreo.OutboxChannel); err != nil {
		return nil, errors.Join(err, publisher.Close(), listener.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	reader := broker.NewReader(e.broker)
	r := relay.New(e.db, publisher, reader, e.log)
	go func() { done <- r.Run(ctx, listener.NotificationChannel()) }()
	return func() error {
		cancel()
		return errors.Join(ended("our relay", done), publisher.Close(), reader.Close(), listener.Close())
	}, nil
}

// deposit commits some events in one command.
func (e *engine) deposit(ctx context.Context, events []deposited) error {
	_, err := choreo.Commit(ctx, e.db, "deposit", func(_ context.Context, tx *choreo.Tx) error {
		for _, d := range events {
			tx.Emit(d)
		}
		return nil
	})
	return err
}

// preload brings the events of a stream to Kafka as they come there in life:
// committed, sequenced and forwarded.
func (e *engine) preload(ctx context.Context, s *stream) error {
	stop, err := e.runRelay(ctx)
	if err != nil {
		return err
	}
	err = s.fill(ctx, 500, e.deposit)
	if err == nil {
		err = e.awaitForwarded(ctx)
	}
	return errors.Join(err, stop())
}

// awaitForwarded waits until all that was committed is on Kafka, and noted as
// being there.
func (e *engine) awaitForwarded(ctx context.Context) error {
	return await(ctx, "events to be forwarded", func() (done bool, err error) {
		err = e.world.pool.QueryRowContext(ctx, `select not exists (select from choreo.outbox) and not exists (
			select from choreo.streams s join choreo.forwarded f on f.stream = s.id where f.sequence < s.head)`).Scan(&done)
		return done, err
	})
}

// running are consumers at work.
type running struct {
	process *consume.Process
	metrics *prometheus.Registry
	stop    func() error
}

// consume runs all consumers of the flow until stop is called.
func (e *engine) consume(ctx context.Context) (*running, error) {
	r := &running{metrics: prometheus.NewRegistry()}
	var err error
	r.process, err = consume.NewProcess(e.db, e.broker, e.db.Flow().Consumers(), consume.NewMetrics(r.metrics), steps.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- r.process.Run(ctx, &choreo.Hints{}) }()
	r.stop = func() error { cancel(); return ended("our consumers", done) }
	return r, nil
}

// counted is how many records came to the outcome, in all consumers.
func (r *running) counted(outcome consume.Outcome) (n int, err error) {
	families, err := r.metrics.Gather()
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if label(m, "outcome") == string(outcome) {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n, err
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}
