package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/lib/pq"

	"troupe/choreo"
)

// The saga: a command starts it, and three consumers of a topic each take it
// further. Each writes its number to the saga's row.
type (
	started   deposited
	firstDone deposited
	lastDone  deposited
)

func (started) FactType() string   { return "starts.Started.v1" }
func (f started) Key() string      { return f.AccountID }
func (firstDone) FactType() string { return "firsts.Done.v1" }
func (f firstDone) Key() string    { return f.AccountID }
func (lastDone) FactType() string  { return "lasts.Done.v1" }
func (f lastDone) Key() string     { return f.AccountID }

const (
	insertTrail = `with t as (insert into trails (id) values ($1)) insert into sent (key, n) values ($1, $2)`
	addToTrail  = `update trails set trail = trail || $2 where id = $1`
	addToTrails = `update trails t set trail = trail || $2 from unnest($1::text[]) as k (id) where t.id = k.id`
	insertGots  = `insert into got (key, n) select k, 1 from unnest($1::text[]) as k`
)

// checkTrails verifies that every saga took its three steps, once and in order.
func checkTrails(w *world) func(context.Context) error {
	return func(ctx context.Context) error {
		var wrong int
		err := w.pool.QueryRowContext(ctx, `select count(*) from trails where trail <> '123'`).Scan(&wrong)
		if err == nil && wrong > 0 {
			err = fmt.Errorf("%d sagas did not take their three steps once and in order", wrong)
		}
		return err
	}
}

// step is one of our consumers: it takes the sagas of a batch further.
func step[F, Next choreo.Fact](name, number string, next func(F) Next) choreo.Line {
	var emits Next
	return choreo.OnBatch(name, func(ctx context.Context, tx *choreo.Tx, events []choreo.Event[F]) error {
		if err := further(ctx, tx, number, events); err != nil {
			return err
		}
		for _, e := range events {
			tx.EmitFor(e, next(e.Fact))
		}
		return nil
	}).Emits(emits).Parallel()
}

func further[F choreo.Fact](ctx context.Context, tx *choreo.Tx, number string, events []choreo.Event[F]) error {
	_, err := tx.ExecContext(ctx, addToTrails, pq.Array(keysOf(events)), number)
	return err
}

func keysOf[F choreo.Fact](events []choreo.Event[F]) []string {
	keys := make([]string, len(events))
	for i, e := range events {
		keys[i] = e.Fact.Key()
	}
	return keys
}

// sagaEngine makes our side.
func sagaEngine(ctx context.Context, w *world) (*engine, func(context.Context, deposited) error, error) {
	last := choreo.OnBatch("third", func(ctx context.Context, tx *choreo.Tx, events []choreo.Event[lastDone]) error {
		if err := further(ctx, tx, "3", events); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, insertGots, pq.Array(keysOf(events)))
		return err
	}).Parallel()
	e, commands, err := newHopEngine(ctx, w,
		choreo.Command("start").Emits(started{}),
		step("first", "1", func(f started) firstDone { return firstDone(f) }),
		step("second", "2", func(f firstDone) lastDone { return lastDone(f) }),
		last)
	if err != nil {
		return nil, nil, err
	}
	return e, func(ctx context.Context, d deposited) error {
		_, err := choreo.Commit(ctx, commands, "start", func(ctx context.Context, tx *choreo.Tx) error {
			tx.Emit(started(d))
			_, err := tx.ExecContext(ctx, insertTrail, d.AccountID, d.N)
			return err
		})
		return err
	}, nil
}

// stockSaga makes the stock side: the same consumers, with the outbox in their
// transactions.
func stockSaga(ctx context.Context, w *world) (s *stock, add func(*stockFlow) error, commit func(context.Context, deposited) error, err error) {
	s, commands, err := newStockHop(ctx, w)
	if err != nil {
		return nil, nil, nil, err
	}
	var topics [3]string
	for i, name := range []string{"starts", "firsts", "lasts"} {
		if topics[i], err = w.topic(ctx, "stock-"+name); err != nil {
			return nil, nil, nil, err
		}
	}
	take := func(number string, then func(ctx context.Context, tx *sql.Tx, d deposited) error) stockHandler {
		return func(ctx context.Context, tx *sql.Tx, m *message.Message) error {
			var d deposited
			if err := json.Unmarshal(m.Payload, &d); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, addToTrail, d.AccountID, number); err != nil {
				return err
			}
			return then(ctx, tx, d)
		}
	}
	emit := func(topic string, as func(deposited) choreo.Fact) func(context.Context, *sql.Tx, deposited) error {
		return func(_ context.Context, tx *sql.Tx, d deposited) error {
			fact := as(d)
			m, err := stockMessage(fact.FactType(), fact.Key(), fact)
			if err != nil {
				return err
			}
			return s.emit(tx, topic, m)
		}
	}
	add = func(f *stockFlow) error {
		return errors.Join(
			f.add("first", topics[0], take("1", emit(topics[1], func(d deposited) choreo.Fact { return firstDone(d) }))),
			f.add("second", topics[1], take("2", emit(topics[2], func(d deposited) choreo.Fact { return lastDone(d) }))),
			f.add("third", topics[2], take("3", func(ctx context.Context, tx *sql.Tx, d deposited) error {
				_, err := tx.ExecContext(ctx, insertGot, d.AccountID, d.N)
				return err
			})))
	}
	return s, add, func(ctx context.Context, d deposited) error {
		return commands.command(ctx, topics[0], started(d), insertTrail, d.AccountID, d.N)
	}, nil
}

// sagaPace is the pace of the row of latencies.
const sagaPace = 50

func sagaLatency(ctx context.Context, w *world) (runner, error) {
	e, commit, err := sagaEngine(ctx, w)
	if err != nil {
		return nil, err
	}
	h := &hopRun{world: w, perSecond: sagaPace, seconds: secondsOf(sagaPace), perKey: 1, start: e.startAll, commit: commit, check: checkTrails(w)}
	return h.run, nil
}

func stockSagaLatency(ctx context.Context, w *world) (runner, error) {
	s, add, commit, err := stockSaga(ctx, w)
	if err != nil {
		return nil, err
	}
	start := func(ctx context.Context) (func() error, error) { return s.startAll(ctx, add) }
	h := &hopRun{world: w, perSecond: sagaPace, seconds: secondsOf(sagaPace), perKey: 1, start: start, commit: commit, check: checkTrails(w)}
	return h.run, nil
}

// sagasAtOnce is how many sagas stand in the outbox when the relay begins.
const sagasAtOnce = 5000

func sagas(ctx context.Context, w *world) (runner, error) {
	e, commit, err := sagaEngine(ctx, w)
	if err != nil {
		return nil, err
	}
	h := &hopRun{world: w, commit: commit, check: checkTrails(w)}
	consume := func(ctx context.Context) (func() error, error) {
		r, err := e.consume(ctx)
		if err != nil {
			return nil, err
		}
		return r.stop, nil
	}
	relay := func(ctx context.Context) (func() error, error) {
		stop, err := e.runRelay(ctx)
		return func() error { return errors.Join(e.awaitForwarded(ctx), stop()) }, err
	}
	return func(ctx context.Context, warmUp bool) (*measured, error) {
		return h.atOnce(ctx, warmUp, consume, relay)
	}, nil
}

func stockSagas(ctx context.Context, w *world) (runner, error) {
	s, add, commit, err := stockSaga(ctx, w)
	if err != nil {
		return nil, err
	}
	h := &hopRun{world: w, commit: commit, check: checkTrails(w)}
	consume := func(ctx context.Context) (func() error, error) {
		f := &stockFlow{stock: s, begin: func() {}}
		if err := add(f); err != nil {
			return nil, err
		}
		return f.start(ctx), nil
	}
	relay := func(ctx context.Context) (func() error, error) {
		stop, err := s.runForwarder(ctx)
		return func() error { return errors.Join(s.awaitAcked(ctx), stop()) }, err
	}
	return func(ctx context.Context, warmUp bool) (*measured, error) {
		return h.atOnce(ctx, warmUp, consume, relay)
	}, nil
}

// atOnce has the consumers wait for sagas that are all committed when the relay
// begins, and ends with the last commit of the last step.
func (h *hopRun) atOnce(ctx context.Context, warmUp bool, consume, relay func(context.Context) (func() error, error)) (_ *measured, err error) {
	if err := h.clear(ctx); err != nil {
		return nil, err
	}
	stopConsumers, err := consume(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopConsumers()) }()
	stopRelay, err := relay(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(h.prime(ctx), stopRelay()); err != nil {
		return nil, err
	}
	n := sagasAtOnce
	if warmUp {
		n /= 10
	}
	s := &stream{events: n}
	for i := range n {
		s.keys = append(s.keys, keyOf(i))
	}
	if err := s.fill(ctx, 1, func(ctx context.Context, d []deposited) error { return h.commit(ctx, d[0]) }); err != nil {
		return nil, err
	}
	watch := &stopwatch{bench: h.bench, profile: h.profile}
	watch.start()
	if stopRelay, err = relay(ctx); err != nil {
		return nil, err
	}
	err = h.awaitGot(ctx, primes+n)
	watch.stop()
	if err := errors.Join(err, stopRelay()); err != nil || warmUp {
		return nil, err
	}
	return watch.rate(n), h.verify(ctx, s)
}
