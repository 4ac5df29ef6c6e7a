package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/segmentio/kafka-go"
)

// backlog is how many events stand in the outbox when the relay begins, the same
// on both sides: the stock way is the slower the more there are, since each of its
// looks sorts all that is left. Of 100,000 ours is busy for two seconds, the stock
// way for about a minute.
func (w *world) backlog() int { return w.events / 2 }

// relaying prepares our relay of committed facts to Kafka.
func relaying(ctx context.Context, w *world) (runner, error) {
	e, err := newEngine(ctx, w, deposits())
	if err != nil {
		return nil, err
	}
	r := &relayRun{world: w, topic: w.prefix + "deposits", commit: e.deposit, relay: e.runRelay, rest: e.awaitForwarded}
	return r.run, nil
}

// stockRelaying prepares the stock one.
func stockRelaying(ctx context.Context, w *world) (runner, error) {
	s, err := newStock(ctx, w)
	if err != nil {
		return nil, err
	}
	topic, err := w.topic(ctx, "stock")
	if err != nil {
		return nil, err
	}
	commit := func(ctx context.Context, events []deposited) error { return s.deposit(ctx, topic, events) }
	r := &relayRun{world: w, topic: topic, commit: commit, relay: s.runForwarder, rest: s.awaitAcked}
	return r.run, nil
}

// deposit commits some events to the stock outbox.
func (s *stock) deposit(ctx context.Context, topic string, events []deposited) error {
	var messages []*message.Message
	for _, d := range events {
		m, err := stockMessage(d.FactType(), d.Key(), d)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	tx, err := s.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if err := s.emit(tx, topic, messages...); err != nil {
		return err
	}
	return tx.Commit()
}

// perCommit is how many events a command emits.
const perCommit = 10

// relayRun is one side: the outbox is filled first, then relayed.
type relayRun struct {
	*world
	topic  string
	commit func(context.Context, []deposited) error
	relay  func(context.Context) (stop func() error, err error)
	rest   func(context.Context) error // waits until the relay has noted how far it came
}

// run relays from the start of the relay until all is on Kafka.
func (r *relayRun) run(ctx context.Context, warmUp bool) (*measured, error) {
	n := r.backlog()
	if warmUp {
		n /= 10
	}
	s := newStream(n)
	if err := s.fill(ctx, perCommit, r.commit); err != nil {
		return nil, err
	}
	if err := settle(ctx, r.pool); err != nil {
		return nil, err
	}
	before, err := r.ends(ctx, r.topic)
	if err != nil {
		return nil, err
	}
	watch := &stopwatch{bench: r.bench, profile: r.profile}
	watch.start()
	stop, err := r.relay(ctx)
	if err != nil {
		return nil, err
	}
	err = awaitEvery(ctx, 20*time.Millisecond, "the relay", func() (bool, error) {
		after, err := r.ends(ctx, r.topic)
		return total(after)-total(before) >= int64(n), err
	})
	watch.stop()
	if err == nil {
		err = r.rest(ctx)
	}
	if err := errors.Join(err, stop()); err != nil {
		return nil, err
	}
	if warmUp {
		return nil, nil
	}
	return watch.rate(n), r.checkTopic(ctx, r.topic, before, s)
}

// ends are the next offsets of a topic's partitions.
func (b *bench) ends(ctx context.Context, topic string) (map[int32]int64, error) {
	var asked []kafka.OffsetRequest
	for p := range eventPartitions {
		asked = append(asked, kafka.LastOffsetOf(p))
	}
	answer, err := b.client().ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: asked}})
	if err != nil {
		return nil, fmt.Errorf("asking for the ends of %s: %w", topic, err)
	}
	ends := map[int32]int64{}
	for _, p := range answer.Topics[topic] {
		if p.Error != nil {
			return nil, fmt.Errorf("asking for the end of %s/%d: %w", topic, p.Partition, p.Error)
		}
		ends[int32(p.Partition)] = p.LastOffset
	}
	return ends, nil
}

func total(ends map[int32]int64) (n int64) {
	for _, end := range ends {
		n += end
	}
	return n
}

// checkTopic verifies that what came onto the topic after these offsets is the
// stream, each event once and in the order of its key.
func (b *bench) checkTopic(ctx context.Context, topic string, from map[int32]int64, s *stream) error {
	to, err := b.ends(ctx, topic)
	if err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer(b.brokers, nil)
	if err != nil {
		return err
	}
	defer consumer.Close() //nolint:errcheck // what was read was read
	l := s.ledger()
	for partition, end := range to {
		if err := readPartition(ctx, consumer, topic, partition, from[partition], end, l); err != nil {
			return fmt.Errorf("reading %s/%d: %w", topic, partition, err)
		}
	}
	if err := l.err(); err != nil {
		return fmt.Errorf("the topic is wrong: %w", err)
	}
	return nil
}

func readPartition(ctx context.Context, consumer sarama.Consumer, topic string, partition int32, from, to int64, l *ledger) error {
	if from >= to {
		return nil
	}
	p, err := consumer.ConsumePartition(topic, partition, from)
	if err != nil {
		return err
	}
	defer p.AsyncClose()
	for {
		select {
		case m := <-p.Messages():
			var d deposited
			if err := json.Unmarshal(m.Value, &d); err != nil {
				return fmt.Errorf("at offset %d: %w", m.Offset, err)
			}
			l.saw(d.AccountID, d.N)
			if m.Offset+1 >= to {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
