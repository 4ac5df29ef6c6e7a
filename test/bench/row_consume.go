package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"troupe/choreo"
	"troupe/choreo/consume"
)

// reaction makes the consumer of a row under a name; begin is called first of
// all in its handler.
type reaction func(name string, begin func()) choreo.Line

func bookBatch(begin func()) func(context.Context, *choreo.Tx, []choreo.Event[deposited]) error {
	return func(ctx context.Context, tx *choreo.Tx, events []choreo.Event[deposited]) error {
		if err := bookRows(begin)(ctx, tx, events); err != nil {
			return err
		}
		for _, e := range events {
			tx.EmitFor(e, booked(e.Fact))
		}
		return nil
	}
}

// bookRows updates the rows, and emits nothing.
func bookRows(begin func()) func(context.Context, *choreo.Tx, []choreo.Event[deposited]) error {
	return func(ctx context.Context, tx *choreo.Tx, events []choreo.Event[deposited]) error {
		begin()
		return bookMany(ctx, tx, func(yield func(deposited) bool) {
			for _, e := range events {
				if !yield(e.Fact) {
					return
				}
			}
		})
	}
}

func inParallel(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, bookBatch(begin)).Emits(booked{}).Parallel()
}

func merged(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, bookBatch(begin)).Emits(booked{})
}

func oneByOne(name string, begin func()) choreo.Line {
	return choreo.On(name, func(ctx context.Context, tx *choreo.Tx, e choreo.Event[deposited]) error {
		begin()
		if err := bookOne(ctx, tx, e.Fact); err != nil {
			return err
		}
		tx.Emit(booked(e.Fact))
		return nil
	}).Emits(booked{}).Parallel()
}

// deposits is the command that every flow of this row has.
func deposits() choreo.Line { return choreo.Command("deposit").Emits(deposited{}) }

// consuming prepares our consumer of a topic, to be read to its end.
func consuming(share int, react reaction) func(context.Context, *world) (runner, error) {
	return consumingOf(share, react, func(ctx context.Context, pool *sql.DB, s *stream) error {
		return checkBooked(ctx, pool, s, ourFacts)
	})
}

const ourFacts = `select key, (convert_from(data, 'utf8')::jsonb ->> 'n')::int from choreo.outbox order by id`

type checking func(context.Context, *sql.DB, *stream) error

// consumingOf is consuming by a reaction that leaves what check looks for.
func consumingOf(share int, react reaction, check checking) func(context.Context, *world) (runner, error) {
	return func(ctx context.Context, w *world) (runner, error) {
		s := newStream(w.events / share)
		if w.grown {
			s = newStreamOver(w.events/share, grownKeys)
		}
		e, err := newEngine(ctx, w, deposits(), react(ourName, func() {}))
		if err != nil {
			return nil, err
		}
		c := &ourConsumer{engine: e, events: s, react: react, check: check}
		return c.run, e.preload(ctx, s)
	}
}

// ourName is the name of our consumer.
const ourName = "book"

type ourConsumer struct {
	*engine
	events *stream
	react  reaction
	check  checking
}

// run consumes the topic from its beginning, from the first handler's start to
// the last commit. A warm-up stops on the way.
func (c *ourConsumer) run(ctx context.Context, warmUp bool) (*measured, error) {
	if _, err := c.pool.ExecContext(ctx, `truncate choreo.outbox`); err != nil {
		return nil, err
	}
	if err := resetAccounts(ctx, c.pool, c.events.accounts()); err != nil {
		return nil, err
	}
	if err := c.rewind(ctx, ourName); err != nil {
		return nil, err
	}
	watch := &stopwatch{bench: c.bench, profile: c.profile}
	if err := c.open(ctx, deposits(), c.react(ourName, watch.start)); err != nil {
		return nil, err
	}
	until := c.events.events
	if warmUp {
		until /= 10
	}
	r, err := c.consume(ctx)
	if err != nil {
		return nil, err
	}
	err = await(ctx, "our consumer", func() (bool, error) {
		n, err := r.counted(consume.Applied)
		return n >= until, err
	})
	watch.stop()
	if err := errors.Join(err, r.stop()); err != nil || warmUp {
		return nil, err
	}
	return watch.rate(until), c.check(ctx, c.pool, c.events)
}

// stockConsuming prepares the stock consumer of a topic. Its speed does not
// hang on how many events there are: it gets fewer.
func stockConsuming(ctx context.Context, w *world) (runner, error) {
	c, err := newStockConsumer(ctx, w, newStream(w.events/10))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, warmUp bool) (*measured, error) {
		if _, err := c.pool.ExecContext(ctx, `truncate stock_inbox, stock_outbox`); err != nil {
			return nil, err
		}
		if err := resetAccounts(ctx, c.pool, c.events.accounts()); err != nil {
			return nil, err
		}
		until := c.events.events
		if warmUp {
			until /= 10
		}
		m, err := c.run(ctx, until)
		if err != nil || warmUp {
			return nil, err
		}
		return m, c.check(ctx)
	}, nil
}

type stockConsumer struct {
	*stock
	topic  string
	events *stream
}

// newStockConsumer fills a topic for the stock consumer.
func newStockConsumer(ctx context.Context, w *world, s *stream) (*stockConsumer, error) {
	st, err := newStock(ctx, w)
	if err != nil {
		return nil, err
	}
	topic, err := w.topic(ctx, "stock")
	if err != nil {
		return nil, err
	}
	return &stockConsumer{stock: st, topic: topic, events: s}, st.preload(topic, s)
}

// book is the handler: one row update, one row into the outbox.
func (c *stockConsumer) book() stockHandler {
	return func(ctx context.Context, tx *sql.Tx, m *message.Message) error {
		var d deposited
		if err := json.Unmarshal(m.Payload, &d); err != nil {
			return err
		}
		if err := bookOne(ctx, tx, d); err != nil {
			return err
		}
		b := booked(d)
		data, err := json.Marshal(b)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into stock_outbox (message_id, type, key, data) values ($1, $2, $3, $4)`,
			uuid.Must(uuid.NewV7()).String(), b.FactType(), b.Key(), data)
		return err
	}
}

// run consumes the topic from its beginning until so many messages are done.
func (c *stockConsumer) run(ctx context.Context, until int) (*measured, error) {
	const name = "stock"
	if err := c.forget(ctx, name); err != nil {
		return nil, err
	}
	watch := &stopwatch{bench: c.bench}
	f := &stockFlow{stock: c.stock, begin: watch.start}
	if err := f.add(name, c.topic, c.book()); err != nil {
		return nil, err
	}
	stop := f.start(ctx)
	err := await(ctx, "the stock consumer", func() (bool, error) { return f.done.Load() >= int64(until), nil })
	watch.stop()
	return watch.rate(until), errors.Join(err, stop())
}

func (c *stockConsumer) check(ctx context.Context) error {
	return checkBooked(ctx, c.pool, c.events,
		`select key, (convert_from(data, 'utf8')::jsonb ->> 'n')::int from stock_outbox order by id`)
}
