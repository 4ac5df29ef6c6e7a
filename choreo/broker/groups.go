package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// Group is a consumer group as the broker has it.
type Group struct {
	State   string `json:"state" doc:"Stable, Empty, PreparingRebalance, …; Dead where it is not known."`
	Members int    `json:"members"`
}

// Groups describes the groups of these consumers.
func Groups(ctx context.Context, c Config, consumers []string) (map[string]Group, error) {
	client, done := c.admin()
	defer done()
	groups := map[string]Group{}
	if len(consumers) == 0 {
		return groups, nil
	}
	var ids []string
	for _, name := range consumers {
		ids = append(ids, c.Prefix+name)
	}
	found, err := client.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: ids})
	if err != nil {
		return nil, fmt.Errorf("asking Kafka at %v for its groups: %w", c.Brokers, err)
	}
	for _, g := range found.Groups {
		if g.Error == nil {
			groups[g.GroupID[len(c.Prefix):]] = Group{g.GroupState, len(g.Members)}
		}
	}
	return groups, nil
}

// DeleteGroup removes the group of a consumer, with its offsets. One that is not
// there is removed already; one with members is an error.
func DeleteGroup(ctx context.Context, c Config, consumer string) error {
	client, done := c.admin()
	defer done()
	id := c.Prefix + consumer
	answer, err := client.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{id}})
	if err == nil {
		err = answer.Errors[id]
	}
	if err != nil && !errors.Is(err, kafka.GroupIdNotFound) {
		return fmt.Errorf("removing group %s from Kafka (are its processes stopped?): %w", id, err)
	}
	return nil
}

// Place is a topic partition.
type Place struct {
	Topic     string
	Partition int32
}

// Offsets say where a group, and a partition, stand on the broker.
type Offsets struct {
	Committed int64 // -1 where the group has committed none
	End       int64
}

// GroupOffsets reads where the group of a consumer stands on these topics.
func GroupOffsets(ctx context.Context, c Config, consumer string, topics []string) (map[Place]Offsets, error) {
	client, done := c.admin()
	defer done()
	counts, err := partitionsOf(ctx, client, c, topics)
	if err != nil {
		return nil, err
	}
	fetch, ends := map[string][]int{}, map[string][]kafka.OffsetRequest{}
	for topic, n := range counts {
		for i := range n {
			fetch[c.topic(topic)] = append(fetch[c.topic(topic)], i)
			ends[c.topic(topic)] = append(ends[c.topic(topic)], kafka.LastOffsetOf(i))
		}
	}
	if len(fetch) == 0 {
		return map[Place]Offsets{}, nil
	}
	committed, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: c.Prefix + consumer, Topics: fetch})
	if err == nil {
		err = committed.Error
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s%s: %w", c.Prefix, consumer, err)
	}
	last, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: ends})
	if err != nil {
		return nil, fmt.Errorf("reading the ends of topics: %w", err)
	}
	all := map[Place]Offsets{}
	for topic, list := range committed.Topics {
		for _, p := range list {
			all[Place{topic[len(c.Prefix):], int32(p.Partition)}] = Offsets{Committed: p.CommittedOffset}
		}
	}
	for topic, list := range last.Topics {
		for _, p := range list {
			at := Place{topic[len(c.Prefix):], int32(p.Partition)}
			o := all[at]
			o.End = p.LastOffset
			all[at] = o
		}
	}
	return all, nil
}

// admin is a client for administration, with a transport of its own: the shared
// one may remember topics that are gone. Its TTL is also the time that kafka-go
// gives a broker to tell of its topics.
func (c Config) admin() (client *kafka.Client, done func()) {
	transport := &kafka.Transport{MetadataTTL: 2 * time.Second}
	return &kafka.Client{Addr: kafka.TCP(c.Brokers...), Timeout: 10 * time.Second, Transport: transport}, transport.CloseIdleConnections
}
