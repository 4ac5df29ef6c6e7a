package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"troupe/choreo"
)

// hopRun is one side of a row of latencies: from a command's commit to the
// commit of the last handler that it leads to. Both commits are in the tables
// sent and got, and Postgres notes their times.
type hopRun struct {
	*world
	perSecond int
	seconds   int
	perKey    int
	// start starts relay and consumers, and commit is the command.
	start  func(context.Context) (stop func() error, err error)
	commit func(context.Context, deposited) error
	check  func(context.Context) error // what the run must have left, beside got
}

// hopTables are made in the worlds of hops.
func hopTables(ctx context.Context, pool *sql.DB) error {
	_, err := pool.ExecContext(ctx, `create table sent (key text not null, n int not null);
		create table got (id bigint generated always as identity primary key, key text not null, n int not null);
		create table trails (id text primary key, trail text not null default '') with (fillfactor = 70)`)
	return err
}

// primed marks the keys of what goes ahead of a run, until the groups are joined.
const (
	primed = "primed-"
	primes = 50
)

// secondsOf is how long a pace is kept up.
func secondsOf(perSecond int) int {
	if perSecond > 1000 {
		return 5
	}
	return 10
}

func (h *hopRun) run(ctx context.Context, warmUp bool) (*measured, error) {
	if err := h.clear(ctx); err != nil {
		return nil, err
	}
	stop, err := h.start(ctx)
	if err != nil {
		return nil, err
	}
	n := h.perSecond * h.seconds
	if warmUp {
		n /= 5
	}
	s := newStream(n)
	s.keys = s.keys[:1]
	for i := 1; i < n/h.perKey; i++ {
		s.keys = append(s.keys, keyOf(i))
	}
	err = h.prime(ctx)
	if err == nil {
		err = h.keepUp(ctx, s)
	}
	if err == nil {
		err = h.awaitGot(ctx, primes+n)
	}
	if err := errors.Join(err, stop()); err != nil || warmUp {
		return nil, err
	}
	took, err := h.took(ctx)
	if err != nil {
		return nil, err
	}
	return &measured{took: took}, h.verify(ctx, s)
}

// clear empties what the run before left, and lets the database settle.
func (h *hopRun) clear(ctx context.Context) error {
	if _, err := h.pool.ExecContext(ctx, `truncate sent, got, trails`); err != nil {
		return err
	}
	return settle(ctx, h.pool)
}

// prime sends some events, and waits for them: consumers have joined then, and
// nothing is done for the first time.
func (h *hopRun) prime(ctx context.Context) error {
	for i := range primes {
		d := newDeposited(fmt.Sprintf("%s%d", primed, i), 1)
		if err := h.commit(ctx, d); err != nil {
			return err
		}
	}
	return h.awaitGot(ctx, primes)
}

func (h *hopRun) awaitGot(ctx context.Context, events int) error {
	return awaitEvery(ctx, 20*time.Millisecond, "the handlers' commits", func() (bool, error) {
		var n int
		err := h.pool.QueryRowContext(ctx, `select count(*) from got`).Scan(&n)
		return n >= events, err
	})
}

// keepUp commits the events of a stream at the pace of the run. Those of one key
// are committed one after the other.
func (h *hopRun) keepUp(ctx context.Context, s *stream) error {
	const hands = 16
	g, ctx := errgroup.WithContext(ctx)
	var queues [hands]chan deposited
	for i := range queues {
		q := make(chan deposited, s.events)
		queues[i] = q
		g.Go(func() error {
			for d := range q {
				if err := h.commit(ctx, d); err != nil {
					return err
				}
			}
			return nil
		})
	}
	began, sent := time.Now(), 0
	err := awaitEvery(ctx, time.Millisecond, "the paced commands", func() (bool, error) {
		for due := int(time.Since(began).Seconds() * float64(h.perSecond)); sent < min(due, s.events); sent++ {
			queues[sent%len(s.keys)%hands] <- s.at(sent)
		}
		return sent == s.events, nil
	})
	for _, q := range queues {
		close(q)
	}
	err = errors.Join(err, g.Wait())
	if got := float64(sent) / time.Since(began).Seconds(); got < 0.9*float64(h.perSecond) {
		h.log.Warn("the commands could not keep the pace", "per second", int(got), "wanted", h.perSecond)
	}
	return err
}

// took is, for each event, the time between the two commits by the clock of
// Postgres.
func (h *hopRun) took(ctx context.Context) (all []time.Duration, err error) {
	err = each(ctx, h.pool, `select extract(epoch from pg_xact_commit_timestamp(g.xmin) - pg_xact_commit_timestamp(s.xmin))::float8
		from got g join sent s using (key, n) where key not like '`+primed+`%'`, func(rows *sql.Rows) error {
		var seconds float64
		err := rows.Scan(&seconds)
		all = append(all, time.Duration(seconds*float64(time.Second)))
		return err
	})
	return all, err
}

func (h *hopRun) verify(ctx context.Context, s *stream) error {
	l := s.ledger()
	if err := each(ctx, h.pool, `select key, n from got order by id`, func(rows *sql.Rows) error {
		var key string
		var n int
		err := rows.Scan(&key, &n)
		if !strings.HasPrefix(key, primed) {
			l.saw(key, n)
		}
		return err
	}); err != nil {
		return err
	}
	if err := l.err(); err != nil {
		return fmt.Errorf("what the handler committed is wrong: %w", err)
	}
	if h.check != nil {
		return h.check(ctx)
	}
	return nil
}

const (
	insertSent = `insert into sent (key, n) values ($1, $2)`
	insertGot  = `insert into got (key, n) values ($1, $2)`
)

// hop prepares our side: a plain reaction to one fact.
func hop(perSecond int) func(context.Context, *world) (runner, error) {
	return func(ctx context.Context, w *world) (runner, error) {
		receive := func(ctx context.Context, tx *choreo.Tx, e choreo.Event[deposited]) error {
			_, err := tx.ExecContext(ctx, insertGot, e.Fact.AccountID, e.Fact.N)
			return err
		}
		e, commands, err := newHopEngine(ctx, w, deposits(), choreo.On("receive", receive))
		if err != nil {
			return nil, err
		}
		h := &hopRun{world: w, perSecond: perSecond, seconds: secondsOf(perSecond), perKey: perKey, start: e.startAll,
			commit: func(ctx context.Context, d deposited) error {
				_, err := choreo.Commit(ctx, commands, "deposit", func(ctx context.Context, tx *choreo.Tx) error {
					tx.Emit(d)
					_, err := tx.ExecContext(ctx, insertSent, d.AccountID, d.N)
					return err
				})
				return err
			}}
		return h.run, nil
	}
}

// newHopEngine makes an engine and a handle of the same flow for commands, which
// have connections of their own, as an API process has.
func newHopEngine(ctx context.Context, w *world, lines ...choreo.Line) (*engine, *choreo.DB, error) {
	e, err := newEngine(ctx, w, lines...)
	if err != nil {
		return nil, nil, err
	}
	if err := hopTables(ctx, w.pool); err != nil {
		return nil, nil, err
	}
	for _, c := range e.db.Flow().Consumers() {
		if err := e.rewind(ctx, c.Name); err != nil {
			return nil, nil, err
		}
	}
	pool, err := w.openPool()
	if err != nil {
		return nil, nil, err
	}
	commands, err := choreo.Open(ctx, pool, e.db.Flow(), choreo.Options{})
	return e, commands, err
}

// startAll runs relay and consumers.
func (e *engine) startAll(ctx context.Context) (stop func() error, err error) {
	stopRelay, err := e.runRelay(ctx)
	if err != nil {
		return nil, err
	}
	r, err := e.consume(ctx)
	if err != nil {
		return nil, errors.Join(err, stopRelay())
	}
	return func() error { return errors.Join(r.stop(), e.awaitForwarded(ctx), stopRelay()) }, nil
}

// stockHop prepares the stock side.
func stockHop(perSecond int) func(context.Context, *world) (runner, error) {
	return func(ctx context.Context, w *world) (runner, error) {
		s, commands, err := newStockHop(ctx, w)
		if err != nil {
			return nil, err
		}
		topic, err := w.topic(ctx, "stock")
		if err != nil {
			return nil, err
		}
		receive := func(ctx context.Context, tx *sql.Tx, m *message.Message) error {
			var d deposited
			if err := json.Unmarshal(m.Payload, &d); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, insertGot, d.AccountID, d.N)
			return err
		}
		h := &hopRun{world: w, perSecond: perSecond, seconds: secondsOf(perSecond), perKey: perKey,
			start: func(ctx context.Context) (func() error, error) {
				return s.startAll(ctx, func(f *stockFlow) error { return f.add("receive", topic, receive) })
			},
			commit: func(ctx context.Context, d deposited) error {
				return commands.command(ctx, topic, d, insertSent, d.AccountID, d.N)
			}}
		return h.run, nil
	}
}

func newStockHop(ctx context.Context, w *world) (s, commands *stock, err error) {
	if s, err = newStock(ctx, w); err != nil {
		return nil, nil, err
	}
	if err := hopTables(ctx, w.pool); err != nil {
		return nil, nil, err
	}
	pool, err := w.openPool()
	return s, &stock{w, pool}, err
}

// command commits a statement and a message.
func (s *stock) command(ctx context.Context, topic string, fact choreo.Fact, statement string, args ...any) error {
	m, err := stockMessage(fact.FactType(), fact.Key(), fact)
	if err != nil {
		return err
	}
	tx, err := s.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
		return err
	}
	if err := s.emit(tx, topic, m); err != nil {
		return err
	}
	return tx.Commit()
}

// startAll runs the forwarder and a flow.
func (s *stock) startAll(ctx context.Context, add func(*stockFlow) error) (stop func() error, err error) {
	f := &stockFlow{stock: s, begin: func() {}}
	if err := add(f); err != nil {
		return nil, err
	}
	stopForwarder, err := s.runForwarder(ctx)
	if err != nil {
		return nil, err
	}
	stopFlow := f.start(ctx)
	return func() error { return errors.Join(stopFlow(), stopForwarder()) }, nil
}
