package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

const (
	warmRecords = 300_000 // one by one
	warmHands   = 8
	warmAtMost  = time.Minute
)

// warm has a broker run what it is going to run: writing, reading and committing in
// small requests. One that has just started compiles these beside (a JVM does), which
// takes a third of two cores for the first minute of load, from both sides of a row
// and never alike.
func (b *bench) warm(ctx context.Context) (err error) {
	w := &world{bench: b, prefix: b.prefix + "warm-"}
	topic, err := w.topic(ctx, "topic")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.deleteTopics(ctx)) }()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic),
		kgo.ConsumerGroup(topic), kgo.DisableAutoCommit(), kgo.ProducerLinger(0), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	within, cancel := context.WithTimeout(ctx, warmAtMost)
	defer cancel()
	g, within := errgroup.WithContext(within)
	for range warmHands {
		g.Go(func() error {
			for range warmRecords / warmHands {
				if err := client.ProduceSync(within, kgo.StringRecord(note)).FirstErr(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		for read := 0; read < warmRecords; {
			fetched := client.PollFetches(within)
			if err := fetched.Err(); err != nil {
				return err
			}
			read += fetched.NumRecords()
			if err := client.CommitUncommittedOffsets(within); err != nil {
				return err
			}
		}
		return nil
	})
	if err := g.Wait(); err != nil && !errors.Is(err, context.DeadlineExceeded) { // a slow one is warm after that minute
		return fmt.Errorf("warming the broker: %w", err)
	}
	return nil
}
