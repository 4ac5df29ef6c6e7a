package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"

	"troupe/choreo"
)

// ablationRows measure what the parts of a consumed event cost: the row of
// consume as it is, beside one from which something is left out.
func ablationRows() []*row {
	without := func(name, what string, react reaction, check checking) *row {
		return &row{"ablation_" + name, "consumed, OnBatch, Parallel(), " + what, "events/s",
			[2]side{{"whole", false, consuming(1, inParallel)}, {"without", false, consumingOf(1, react, check)}}}
	}
	return []*row{
		without("fact", "no fact emitted", noFact, checkAccounts),
		without("update", "no row updated", noUpdate, checkOurFacts),
		without("handler", "neither: read, compared with the log, and noted by watermark", nothing, checkTaken),
		{"ablation_relay", "written to Kafka: by sarama alone, idempotent; by the relay", "events/s",
			[2]side{{"bare", false, producing}, {"relay", false, relaying}}},
	}
}

func noFact(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, bookRows(begin)).Parallel()
}

func noUpdate(name string, begin func()) choreo.Line { return emitOnly(name, begin).Parallel() }

func noUpdateMerged(name string, begin func()) choreo.Line { return emitOnly(name, begin) }

func emitOnly(name string, begin func()) *choreo.Reaction[deposited] {
	return choreo.OnBatch(name, func(_ context.Context, tx *choreo.Tx, events []choreo.Event[deposited]) error {
		begin()
		for _, e := range events {
			tx.EmitFor(e, booked(e.Fact))
		}
		return nil
	}).Emits(booked{})
}

func checkOurFacts(ctx context.Context, pool *sql.DB, s *stream) error {
	return checkFacts(ctx, pool, s, ourFacts)
}

func nothing(name string, begin func()) choreo.Line {
	return choreo.OnBatch(name, func(context.Context, *choreo.Tx, []choreo.Event[deposited]) error {
		begin()
		return nil
	}).Parallel()
}

// checkTaken verifies that the watermarks stand at the end of the log.
func checkTaken(ctx context.Context, pool *sql.DB, _ *stream) error {
	var behind int
	err := pool.QueryRowContext(ctx, `select count(*) from choreo.streams s
		left join choreo.watermarks w on w.consumer = $1 and w.source = s.source and w.topic = s.topic and w.partition = s.partition
		where s.topic = 'deposits' and w.sequence is distinct from s.head`, ourName).Scan(&behind)
	if err == nil && behind > 0 {
		err = fmt.Errorf("%d partitions were not taken to their end", behind)
	}
	return err
}

// producing prepares what the relay is measured against: the same events, known
// beforehand, written by sarama alone, idempotent and acknowledged by all replicas as
// the relay's are. Nothing is sequenced, nothing kept.
func producing(ctx context.Context, w *world) (runner, error) {
	topic, err := w.topic(ctx, "bare")
	if err != nil {
		return nil, err
	}
	p := &producer{world: w, topic: topic}
	r := &relayRun{world: w, topic: topic, commit: p.keep, relay: p.send, rest: func(context.Context) error { return nil }}
	return r.run, nil
}

type producer struct {
	*world
	topic  string
	mu     sync.Mutex
	events []*sarama.ProducerMessage
}

func (p *producer) keep(_ context.Context, events []deposited) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range events {
		value, err := json.Marshal(d)
		if err != nil {
			return err
		}
		p.events = append(p.events, &sarama.ProducerMessage{Topic: p.topic, Key: sarama.StringEncoder(d.AccountID), Value: sarama.ByteEncoder(value)})
	}
	return nil
}

func (p *producer) send(context.Context) (stop func() error, err error) {
	c := sarama.NewConfig()
	c.Version = sarama.V3_0_0_0
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	c.Producer.Return.Successes = true
	s, err := sarama.NewSyncProducer(p.brokers, c)
	if err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	events := p.events
	p.events = nil
	go func() { sent <- s.SendMessages(events) }()
	return func() error { return errors.Join(<-sent, s.Close()) }, nil
}
