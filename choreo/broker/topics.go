package broker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// Topic is a topic as the broker has it.
type Topic struct {
	Name       string
	Partitions int
	Created    bool // by this call
}

// ApplyTopics makes the topics that are missing, with the given number of
// partitions, and writes down how many each really has, for the relay. It
// changes nothing of a topic that is there.
func ApplyTopics(ctx context.Context, c Config, pool *sql.DB, names []string, partitions int) ([]Topic, error) {
	// A transport of its own: the shared one may remember topics that are gone.
	transport := &kafka.Transport{MetadataTTL: 20 * time.Millisecond}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 10 * time.Second, Transport: transport}
	before, err := partitionsOf(ctx, client, c, names)
	if err != nil {
		return nil, err
	}
	var missing []kafka.TopicConfig
	for _, name := range names {
		if before[name] == 0 {
			missing = append(missing, kafka.TopicConfig{Topic: c.topic(name), NumPartitions: partitions, ReplicationFactor: -1})
		}
	}
	after := before
	if len(missing) > 0 {
		made, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: missing})
		if err != nil {
			return nil, fmt.Errorf("making topics: %w", err)
		}
		for topic, err := range made.Errors {
			if err != nil && !errors.Is(err, kafka.TopicAlreadyExists) {
				return nil, fmt.Errorf("making topic %s: %w", topic, err)
			}
		}
		if after, err = awaitTopics(ctx, client, c, names); err != nil {
			return nil, err
		}
	}
	topics := make([]Topic, len(names))
	for i, name := range names {
		topics[i] = Topic{Name: name, Partitions: after[name], Created: before[name] == 0}
		_, err := pool.ExecContext(ctx, `insert into choreo.topics (topic, partitions) values ($1, $2)
			on conflict (topic) do update set partitions = excluded.partitions`, name, after[name])
		if err != nil {
			return nil, fmt.Errorf("writing down the partitions of %s: %w", name, err)
		}
	}
	return topics, nil
}

// awaitTopics waits until the broker tells of all topics, which on a cluster
// may take a moment after they were made.
func awaitTopics(ctx context.Context, client *kafka.Client, c Config, names []string) (map[string]int, error) {
	for {
		counts, err := partitionsOf(ctx, client, c, names)
		if err != nil {
			return nil, err
		}
		complete := true
		for _, name := range names {
			complete = complete && counts[name] > 0
		}
		if complete {
			return counts, nil
		}
		pause(ctx, 50*time.Millisecond)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("waiting for the topics that were made: %w", ctx.Err())
		}
	}
}

func partitionsOf(ctx context.Context, client *kafka.Client, c Config, names []string) (map[string]int, error) {
	asked := make([]string, len(names))
	for i, name := range names {
		asked[i] = c.topic(name)
	}
	meta, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: asked})
	if err != nil {
		return nil, fmt.Errorf("asking Kafka at %v for its topics: %w", c.Brokers, err)
	}
	counts := map[string]int{}
	for _, t := range meta.Topics {
		if t.Error == nil {
			counts[t.Name[len(c.Prefix):]] = len(t.Partitions)
		}
	}
	return counts, nil
}
