package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

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
		begin()
		if err := bookMany(ctx, tx, func(yield func(deposited) bool) {
			for _, e := range events {
				if !yield(e.Fact) {
					return
				}
			}
		}); err != nil {
			return err
		}
		for _, e := range events {
			tx.EmitFor(e, booked(e.Fact))
		}
		return nil
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
	}).Emits(booked{})
}

// consuming prepares a row that consumes a topic to its end.
func consuming(share int, react reaction) func(context.Context, *world) (*pair, error) {
	return func(ctx context.Context, w *world) (*pair, error) {
		ours, err := prepareOurConsumer(ctx, w, newStream(w.events/share), react)
		if err != nil {
			return nil, err
		}
		theirs, err := prepareStockConsumer(ctx, w, newStream(w.events/10))
		if err != nil {
			return nil, err
		}
		return &pair{stock: theirs.run, ours: ours.run}, nil
	}
}

// deposits is the command that every flow of this row has.
func deposits() choreo.Line { return choreo.Command("deposit").Emits(deposited{}) }

type ourConsumer struct {
	*engine
	events *stream
	react  reaction
	rounds int
}

func prepareOurConsumer(ctx context.Context, w *world, s *stream, react reaction) (*ourConsumer, error) {
	e, err := newEngine(ctx, w, deposits(), react("book", func() {}))
	if err != nil {
		return nil, err
	}
	return &ourConsumer{engine: e, events: s, react: react}, e.preload(ctx, s)
}

// run consumes the topic by a consumer that is new, from the first handler's
// start to the last commit. A warm-up stops on the way.
func (c *ourConsumer) run(ctx context.Context, warmUp bool) (*measured, error) {
	if _, err := c.pool.ExecContext(ctx, `truncate choreo.outbox`); err != nil {
		return nil, err
	}
	if err := resetAccounts(ctx, c.pool); err != nil {
		return nil, err
	}
	c.rounds++
	watch := &stopwatch{bench: c.bench, profile: c.profile}
	if err := c.open(ctx, deposits(), c.react(fmt.Sprintf("book-%d", c.rounds), watch.start)); err != nil {
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
		return &measured{}, err
	}
	return watch.rate(until), checkBooked(ctx, c.pool, c.events,
		`select key, (convert_from(data, 'utf8')::jsonb ->> 'n')::int from choreo.outbox order by id`)
}

type stockConsumer struct {
	*stock
	topic  string
	events *stream
	rounds int
}

func prepareStockConsumer(ctx context.Context, w *world, s *stream) (*stockConsumer, error) {
	st, err := newStock(w)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{
		`create table stock_inbox (consumer text, message_id text, primary key (consumer, message_id))`,
		`create table stock_outbox (id bigint generated always as identity primary key, message_id text not null,
			type text not null, key text not null, data bytea not null)`,
	} {
		if _, err := w.pool.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	topic, err := w.topic(ctx, "stock")
	if err != nil {
		return nil, err
	}
	return &stockConsumer{stock: st, topic: topic, events: s}, st.preload(topic, s)
}

// book is the handler: one row update, one row into the outbox.
func (c *stockConsumer) book(watch *stopwatch) stockHandler {
	return func(ctx context.Context, tx *sql.Tx, m *message.Message) error {
		watch.start()
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

func (c *stockConsumer) run(ctx context.Context, warmUp bool) (*measured, error) {
	if _, err := c.pool.ExecContext(ctx, `truncate stock_inbox, stock_outbox`); err != nil {
		return nil, err
	}
	if err := resetAccounts(ctx, c.pool); err != nil {
		return nil, err
	}
	c.rounds++
	name := fmt.Sprintf("stock-%d", c.rounds)
	sub, err := c.subscriber(name)
	if err != nil {
		return nil, err
	}
	router, err := c.router()
	if err != nil {
		return nil, err
	}
	watch := &stopwatch{bench: c.bench, profile: c.profile}
	var applied atomic.Int64
	router.AddConsumerHandler(name, c.topic, sub, c.handle(name, &applied, c.book(watch)))
	stop := background(ctx, router.Run, router.Close)
	until := c.events.events
	if warmUp {
		until /= 10
	}
	err = await(ctx, "the stock consumer", func() (bool, error) {
		return applied.Load() >= int64(until), nil
	})
	watch.stop()
	if err := errors.Join(err, stop()); err != nil || warmUp {
		return &measured{}, err
	}
	return watch.rate(until), checkBooked(ctx, c.pool, c.events,
		`select key, (convert_from(data, 'utf8')::jsonb ->> 'n')::int from stock_outbox order by id`)
}
