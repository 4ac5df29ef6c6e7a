package broker

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
)

// Topic is a topic as the broker has it.
type Topic struct {
	Name       string
	Partitions int
	Created    bool // by this call
}

// Retention is how long Kafka keeps the records of a topic that is made: as long
// as a foreign event is remembered, and a fact of an unknown type waits. The
// event log keeps ours for longer.
const Retention = 7 * 24 * time.Hour

// ApplyTopics makes the topics that are missing, with the given number of
// partitions, and writes down how many each really has, for the relay. It
// changes nothing of a topic that is there.
func ApplyTopics(ctx context.Context, c Config, pool *sql.DB, names []string, partitions int) ([]Topic, error) {
	client, done := c.admin()
	defer done()
	before, err := awaitTopics(ctx, client, c, names, func(map[string]int) bool { return true })
	if err != nil {
		return nil, err
	}
	var missing []kafka.TopicConfig
	for _, name := range names {
		if before[name] == 0 {
			missing = append(missing, kafka.TopicConfig{Topic: c.topic(name), NumPartitions: partitions, ReplicationFactor: -1,
				ConfigEntries: []kafka.ConfigEntry{
					{ConfigName: "retention.ms", ConfigValue: strconv.FormatInt(Retention.Milliseconds(), 10)},
					{ConfigName: "cleanup.policy", ConfigValue: "delete"},
				}})
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
		complete := func(counts map[string]int) bool { return len(counts) == len(names) }
		if after, err = awaitTopics(ctx, client, c, names, complete); err != nil {
			return nil, err
		}
		if err := awaitLeaders(ctx, c, after); err != nil {
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

const (
	// brokerPatience bounds waiting for a broker that is busy or only starting, and
	// for a cluster to tell everywhere of topics that were made.
	brokerPatience = 15 * time.Second
	// leaderPatience bounds waiting for the partitions of those to be served: a broker
	// on a busy machine was seen to take longer than 15 s for 72 of them.
	leaderPatience = time.Minute
)

// awaitTopics counts the partitions of those topics that are there, once the
// broker answers and they are enough.
func awaitTopics(ctx context.Context, client *kafka.Client, c Config, names []string, enough func(map[string]int) bool) (counts map[string]int, err error) {
	err = await(ctx, brokerPatience, func(ctx context.Context) error {
		if counts, err = partitionsOf(ctx, client, c, names); err == nil && !enough(counts) {
			return errNotThere
		}
		return err
	})
	return counts, err
}

var errNotThere = errors.New("the topics that were made are not there")

// awaitLeaders waits until every partition is served. A broker tells of a topic
// that was made before it serves it, and refuses what comes meanwhile: it is not
// the leader.
func awaitLeaders(ctx context.Context, c Config, partitions map[string]int) error {
	reader, all := NewReader(c), 0
	defer reader.Close() //nolint:errcheck // it only asked
	for _, n := range partitions {
		all += n
	}
	return await(ctx, leaderPatience, func(ctx context.Context) error {
		ends, err := reader.Ends(ctx, slices.Sorted(maps.Keys(partitions)))
		if err == nil && len(ends) < all {
			err = fmt.Errorf("%d of %d partitions have no leader that serves them", all-len(ends), all)
		}
		return err
	})
}

// await asks again until there is no error, for as long as told.
func await(ctx context.Context, patience time.Duration, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := ask(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		pause(ctx, 50*time.Millisecond)
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

// CountPartitions tells how many partitions each of those topics has that are
// there.
func CountPartitions(ctx context.Context, c Config, names []string) (map[string]int, error) {
	transport := &kafka.Transport{MetadataTTL: 2 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 10 * time.Second, Transport: transport}
	return awaitTopics(ctx, client, c, names, func(map[string]int) bool { return true })
}

// GrowTopic gives a topic that many partitions, and returns when the broker tells
// of them. Who writes to it must have stopped, or keys would be reordered.
func GrowTopic(ctx context.Context, c Config, name string, partitions int) error {
	transport := &kafka.Transport{MetadataTTL: 2 * time.Second}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 10 * time.Second, Transport: transport}
	made, err := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: c.topic(name), Count: int32(partitions)}}})
	if err != nil {
		return fmt.Errorf("growing topic %s: %w", name, err)
	}
	if err := made.Errors[c.topic(name)]; err != nil {
		return fmt.Errorf("growing topic %s: %w", name, err)
	}
	counts, err := awaitTopics(ctx, client, c, []string{name}, func(counts map[string]int) bool { return counts[name] >= partitions })
	if err != nil {
		return err
	}
	return awaitLeaders(ctx, c, counts)
}
