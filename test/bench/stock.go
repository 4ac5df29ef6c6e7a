package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	wsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
)

// stockPoll is how often the stock forwarder looks when there was nothing; its
// default is a second.
const stockPoll = 10 * time.Millisecond

// stockOutbox is the topic of watermill-sql that its forwarder reads.
const stockOutbox = "events"

// stock is the stock side of a world: what an experienced user of Watermill
// builds from its parts.
type stock struct {
	*world
	pool *sql.DB
}

// newStock makes the tables of the stock side.
func newStock(ctx context.Context, w *world) (*stock, error) {
	pool, err := w.openPool()
	if err != nil {
		return nil, err
	}
	s := &stock{w, pool}
	for _, statement := range []string{
		`create table stock_inbox (consumer text, message_id text, primary key (consumer, message_id))`,
		`create table stock_outbox (id bigint generated always as identity primary key, message_id text not null,
			type text not null, key text not null, data bytea not null)`,
	} {
		if _, err := pool.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("making the tables of the stock side: %w", err)
		}
	}
	return s, s.initOutbox()
}

// keyed marshals with the key that a message carries, so that its order is kept.
var keyed = kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
	return m.Metadata.Get("key"), nil
})

// stockMessage is an event as the stock way sends it.
func stockMessage(typ, key string, event any) (*message.Message, error) {
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	m := message.NewMessage(uuid.Must(uuid.NewV7()).String(), payload)
	m.Metadata.Set("key", key)
	m.Metadata.Set("type", typ)
	return m, nil
}

// preload publishes a stream, many at a time.
func (s *stock) preload(topic string, events *stream) error {
	c := kafka.DefaultSaramaSyncPublisherConfig()
	producer, err := sarama.NewSyncProducer(s.brokers, c)
	if err != nil {
		return err
	}
	const at = 1000
	for i := 0; i < events.events; i += at {
		var records []*sarama.ProducerMessage
		for j := i; j < min(i+at, events.events); j++ {
			d := events.at(j)
			m, err := stockMessage(d.FactType(), d.Key(), d)
			if err != nil {
				return errors.Join(err, producer.Close())
			}
			r, err := keyed.Marshal(topic, m)
			if err != nil {
				return errors.Join(err, producer.Close())
			}
			records = append(records, r)
		}
		if err := producer.SendMessages(records); err != nil {
			return errors.Join(fmt.Errorf("publishing to %s: %w", topic, err), producer.Close())
		}
	}
	return producer.Close()
}

// stockHandler is what a message leads to, in its transaction.
type stockHandler func(ctx context.Context, tx *sql.Tx, m *message.Message) error

// stockFlow is a router with some consumers.
type stockFlow struct {
	*stock
	begin  func()       // called first of all in each handler
	done   atomic.Int64 // messages after their commit
	router *message.Router
}

// add gives the flow a consumer: a group of its own that follows a topic from
// the beginning, with Watermill's settings otherwise. Offsets are committed by
// themselves, and each partition has one message under way.
func (f *stockFlow) add(name, topic string, do stockHandler) error {
	if f.router == nil {
		var err error
		if f.router, err = message.NewRouter(message.RouterConfig{CloseTimeout: 5 * time.Second}, f.logger()); err != nil {
			return err
		}
	}
	c := kafka.DefaultSaramaSubscriberConfig()
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	sub, err := kafka.NewSubscriber(kafka.SubscriberConfig{Brokers: f.brokers, Unmarshaler: keyed, ConsumerGroup: f.prefix + name,
		OverwriteSaramaConfig: c}, f.logger())
	if err != nil {
		return err
	}
	f.router.AddConsumerHandler(name, topic, sub, f.handle(name, do))
	return nil
}

// handle is the stock way to apply a message once: a transaction that notes its
// id first.
func (f *stockFlow) handle(consumer string, do stockHandler) message.NoPublishHandlerFunc {
	return func(m *message.Message) error {
		f.begin()
		ctx := m.Context()
		tx, err := f.pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
		noted, err := tx.ExecContext(ctx, `insert into stock_inbox (consumer, message_id) values ($1, $2) on conflict do nothing`,
			consumer, m.UUID)
		if err != nil {
			return err
		}
		n, err := noted.RowsAffected()
		if err != nil {
			return err
		}
		if n > 0 {
			if err := do(ctx, tx, m); err != nil {
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		f.done.Add(1)
		return nil
	}
}

// start runs the flow until stop is called.
func (f *stockFlow) start(ctx context.Context) (stop func() error) {
	return background(ctx, "the router of the stock consumers", f.router.Run, f.router.Close)
}

func (s *stock) logger() watermill.LoggerAdapter { return stockLog{s.bench} }

// stockLog shows Watermill's errors, but those of a transaction that a stop cut
// off.
type stockLog struct{ b *bench }

func (l stockLog) Error(msg string, err error, f watermill.LogFields) {
	if !errors.Is(err, context.Canceled) && !errors.Is(err, sql.ErrTxDone) {
		l.b.log.Warn("watermill: "+msg, "error", err, "fields", f)
	}
}
func (stockLog) Info(string, watermill.LogFields)                   {}
func (stockLog) Debug(string, watermill.LogFields)                  {}
func (stockLog) Trace(string, watermill.LogFields)                  {}
func (l stockLog) With(watermill.LogFields) watermill.LoggerAdapter { return l }

// initOutbox makes the tables of the outbox.
func (s *stock) initOutbox() error {
	sub, err := s.outboxSubscriber()
	if err == nil {
		err = errors.Join(sub.SubscribeInitialize(stockOutbox), sub.Close())
	}
	return err
}

func (s *stock) outboxSubscriber() (*wsql.Subscriber, error) {
	return wsql.NewSubscriber(wsql.BeginnerFromStdSQL(s.pool), wsql.SubscriberConfig{
		ConsumerGroup: "forwarder", PollInterval: stockPoll,
		SchemaAdapter: wsql.DefaultPostgreSQLSchema{}, OffsetsAdapter: wsql.DefaultPostgreSQLOffsetsAdapter{},
	}, s.logger())
}

// emit puts messages for a topic into the outbox, in the transaction.
func (s *stock) emit(tx *sql.Tx, topic string, messages ...*message.Message) error {
	p, err := wsql.NewPublisher(wsql.TxFromStdSQL(tx), wsql.PublisherConfig{SchemaAdapter: wsql.DefaultPostgreSQLSchema{}}, s.logger())
	if err != nil {
		return err
	}
	return forwarder.NewPublisher(p, forwarder.PublisherConfig{ForwarderTopic: stockOutbox}).Publish(topic, messages...)
}

// runForwarder forwards until stop is called.
func (s *stock) runForwarder(ctx context.Context) (stop func() error, err error) {
	sub, err := s.outboxSubscriber()
	if err != nil {
		return nil, err
	}
	pub, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: s.brokers, Marshaler: keyed}, s.logger())
	if err != nil {
		return nil, err
	}
	f, err := forwarder.NewForwarder(sub, pub, s.logger(), forwarder.Config{ForwarderTopic: stockOutbox, CloseTimeout: 5 * time.Second})
	if err != nil {
		return nil, errors.Join(err, pub.Close())
	}
	return background(ctx, "the stock forwarder", f.Run, f.Close, pub.Close), nil
}

// awaitAcked waits until the forwarder has noted all as forwarded. It goes by
// transaction, then offset: the last that it notes need not have the highest
// offset, since a transaction may take its id first and its offsets last.
func (s *stock) awaitAcked(ctx context.Context) error {
	return await(ctx, "the forwarder to note all as forwarded", func() (done bool, err error) {
		err = s.world.pool.QueryRowContext(ctx, `select coalesce((
			select coalesce((e.transaction_id, e."offset") <= (o.last_processed_transaction_id, o.offset_acked), false)
			from watermill_events e left join watermill_offsets_events o on o.consumer_group = 'forwarder'
			order by e.transaction_id desc, e."offset" desc limit 1), true)`).Scan(&done)
		return done, err
	})
}

// background runs something until the function that it returns is called, which
// then closes it and what it used.
func background(ctx context.Context, what string, run func(context.Context) error, closers ...func() error) (stop func() error) {
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() error {
		var errs []error
		for _, c := range closers {
			errs = append(errs, c())
		}
		return errors.Join(append(errs, ended(what, done))...)
	}
}

// ended waits for the end of something that was told to stop.
func ended(what string, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		return fmt.Errorf("%s does not stop: waited %v", what, patience)
	}
}
