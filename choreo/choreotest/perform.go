package choreotest

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/relay"
	"troupe/choreo/steps"
)

// Patience bounds every wait for a condition.
const Patience = time.Minute

// Performance is a relay and all consumers of a stage, running on a broker: the
// one that TROUPE_KAFKA_BROKERS names, else one inside the test.
type Performance struct {
	Broker broker.Config

	stage   *Stage
	process *consume.Process
	metrics *prometheus.Registry
	stop    func() error
}

// Ready says which consumers have not joined, or cannot go on.
func (p *Performance) Ready() error { return p.process.Ready() }

// Records counts the records that came to an outcome at a consumer since Start.
func (p *Performance) Records(consumer string, outcome consume.Outcome) (n int) {
	p.stage.t.Helper()
	families, err := p.metrics.Gather()
	if err != nil {
		p.stage.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["consumer"] == consumer && labels["outcome"] == string(outcome) {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// Perform starts a performance, which ends with the test.
func (s *Stage) Perform() *Performance {
	s.t.Helper()
	p := &Performance{stage: s, Broker: broker.Config{
		Brokers: []string{embeddedtest.Broker(s.t)}, Prefix: embeddedtest.Prefix(s.t), Log: slog.New(slog.DiscardHandler),
	}}
	p.Start()
	s.t.Cleanup(p.Stop)
	return p
}

// Start makes the topics that are missing, runs the relay and the consumers,
// and returns when every consumer has joined its group.
func (p *Performance) Start() {
	p.stage.t.Helper()
	if _, err := broker.ApplyTopics(p.stage.t.Context(), p.Broker, p.stage.DB.Pool(), p.stage.DB.Flow().Topics(), 4); err != nil {
		p.stage.t.Fatal(err)
	}
	publisher, err := broker.NewPublisher(p.Broker)
	if err != nil {
		p.stage.t.Fatal(err)
	}
	p.metrics = prometheus.NewRegistry()
	process, err := consume.NewProcess(p.stage.DB, p.Broker, p.stage.DB.Flow().Consumers(),
		consume.NewMetrics(p.metrics), steps.Options{})
	if err != nil {
		p.stage.t.Fatal(err)
	}
	p.process = process
	ctx, cancel := context.WithCancel(context.Background())
	reader := broker.NewReader(p.Broker)
	var g errgroup.Group
	g.Go(func() error {
		return relay.New(p.stage.DB, publisher, reader, p.Broker.Log).Run(ctx, nil)
	})
	g.Go(func() error { return process.Run(ctx, &choreo.Hints{}) })
	p.stop = func() error { cancel(); return errors.Join(g.Wait(), publisher.Close(), reader.Close()) }
	Eventually(p.stage.t, "every consumer has joined", func() bool { return !errors.Is(process.Ready(), consume.ErrNotJoined) })
}

// Forward relays everything that is committed, while the performance is stopped.
func (p *Performance) Forward() {
	p.stage.t.Helper()
	publisher, err := broker.NewPublisher(p.Broker)
	if err != nil {
		p.stage.t.Fatal(err)
	}
	reader := broker.NewReader(p.Broker)
	r := relay.New(p.stage.DB, publisher, reader, p.Broker.Log)
	for n := 1; n > 0 && err == nil; {
		if n, err = r.Sequence(p.stage.t.Context()); err == nil {
			_, err = r.Forward(p.stage.t.Context())
		}
	}
	if err = errors.Join(err, r.Release(), publisher.Close(), reader.Close()); err != nil {
		p.stage.t.Fatal(err)
	}
}

// Stop ends the relay and the consumers. Twice is once.
func (p *Performance) Stop() {
	p.stage.t.Helper()
	if p.stop == nil {
		return
	}
	if err := p.stop(); err != nil {
		p.stage.t.Errorf("stopping: %v", err)
	}
	p.stop = nil
}

// Emit commits one command that emits these facts, and returns its receipt.
func (s *Stage) Emit(command string, facts ...choreo.Fact) choreo.Receipt {
	s.t.Helper()
	return s.Given(command, func(_ context.Context, tx *choreo.Tx) error { tx.Emit(facts...); return nil })
}

// Count runs a query for one number.
func (s *Stage) Count(query string, args ...any) (n int) {
	s.t.Helper()
	if err := s.DB.Pool().QueryRowContext(s.t.Context(), query, args...).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// Column reads the one column of the rows of a query. t is a testing.TB, or what
// a property-based test has in its place.
func Column[T any](t interface {
	Helper()
	Fatal(args ...any)
}, pool *sql.DB, query string, args ...any) (all []T) {
	t.Helper()
	rows, err := pool.Query(query, args...) //nolint:noctx // the test ends with its process
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var value T
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		all = append(all, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Eventually waits until the condition holds, at most Patience.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", Patience, what)
		}
		<-tick.C
	}
}
