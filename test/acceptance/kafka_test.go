package acceptance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

var topics = []string{"accounts", "attachments", "managed-rentals", "orders", "payments", "posts", "projects", "rentals", "rentals-commands"}

// offsets by topic and partition.
type offsets map[string]map[int32]int64

// kafkaClient is a client of somebody else: it knows nothing of ours. It speaks
// versions that name topics instead of giving their ids.
func (s *system) kafkaClient(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	common := []kgo.Opt{kgo.SeedBrokers(s.kafka), kgo.MaxVersions(kversion.V3_8_0())}
	c, err := kgo.NewClient(append(common, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// ends are the ends of all partitions of our topics.
func (s *system) ends(t *testing.T, c *kgo.Client) offsets {
	t.Helper()
	ctx, all := patience(t), offsets{}
	meta := kmsg.NewPtrMetadataRequest()
	for _, name := range topics {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = new(s.prefix + name)
		meta.Topics = append(meta.Topics, topic)
	}
	known, err := meta.RequestWith(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	list := kmsg.NewPtrListOffsetsRequest()
	for _, topic := range known.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			t.Fatalf("topic %s: %v", *topic.Topic, err)
		}
		asked := kmsg.NewListOffsetsRequestTopic()
		asked.Topic = *topic.Topic
		for _, p := range topic.Partitions {
			one := kmsg.NewListOffsetsRequestTopicPartition()
			one.Partition, one.Timestamp = p.Partition, -1
			asked.Partitions = append(asked.Partitions, one)
		}
		list.Topics = append(list.Topics, asked)
	}
	for _, shard := range c.RequestSharded(ctx, list) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, topic := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range topic.Partitions {
				if all[topic.Topic] == nil {
					all[topic.Topic] = map[int32]int64{}
				}
				all[topic.Topic][p.Partition] = p.Offset
			}
		}
	}
	return all
}

// records reads all that stands in our topics, in the order of each partition.
func (s *system) records(t *testing.T) (all []*kgo.Record) {
	t.Helper()
	ends := s.ends(t, s.kafkaClient(t))
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	for topic, partitions := range ends {
		from[topic] = map[int32]kgo.Offset{}
		for p, end := range partitions {
			from[topic][p] = kgo.NewOffset().AtStart()
			left += int(end)
		}
	}
	c := s.kafkaClient(t, kgo.ConsumePartitions(from))
	ctx := patience(t)
	for left > 0 {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("reading the topics, %d records left: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset < ends[r.Topic][r.Partition] {
				all, left = append(all, r), left-1
			}
		})
	}
	return all
}

// produce writes records as they are, to the partitions that they name.
func (s *system) produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	c := s.kafkaClient(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1<<20+1<<19))
	for _, r := range records {
		if err := c.ProduceSync(patience(t), r).FirstErr(); err != nil {
			t.Fatalf("writing %d bytes to %s/%d: %v", len(r.Value), r.Topic, r.Partition, err)
		}
	}
}

// partitionOf is where a Java client, and so everybody, puts a key.
func partitionOf(topic, key string, partitions int) int32 {
	by := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	return int32(by.Partition(&kgo.Record{Key: []byte(key)}, partitions))
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// groups are the consumer groups of this system.
func (s *system) groups(t *testing.T, c *kgo.Client) (names []string) {
	t.Helper()
	for _, shard := range c.RequestSharded(patience(t), kmsg.NewPtrListGroupsRequest()) {
		if shard.Err != nil {
			t.Fatal(shard.Err)
		}
		for _, g := range shard.Resp.(*kmsg.ListGroupsResponse).Groups {
			if len(g.Group) > len(s.prefix) && g.Group[:len(s.prefix)] == s.prefix {
				names = append(names, g.Group)
			}
		}
	}
	return names
}

// committed are the offsets of a group.
func committed(t *testing.T, c *kgo.Client, group string) offsets {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = group
	req.Groups = append(req.Groups, one)
	res, err := req.RequestWith(patience(t), c)
	if err != nil {
		t.Fatal(err)
	}
	all := offsets{}
	add := func(topic string, partition int32, offset int64) {
		if all[topic] == nil {
			all[topic] = map[int32]int64{}
		}
		all[topic][partition] = offset
	}
	for _, topic := range res.Topics {
		for _, p := range topic.Partitions {
			add(topic.Topic, p.Partition, p.Offset)
		}
	}
	for _, g := range res.Groups {
		for _, topic := range g.Topics {
			for _, p := range topic.Partitions {
				add(topic.Topic, p.Partition, p.Offset)
			}
		}
	}
	return all
}

// rewind sets a group that nobody is in back to the beginning, as
// kafka-consumer-groups --reset-offsets --to-earliest does.
func rewind(t *testing.T, c *kgo.Client, group string) {
	t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	for topic, partitions := range committed(t, c, group) {
		one := kmsg.NewOffsetCommitRequestTopic()
		one.Topic = topic
		for p := range partitions {
			at := kmsg.NewOffsetCommitRequestTopicPartition()
			at.Partition, at.Offset = p, 0
			one.Partitions = append(one.Partitions, at)
		}
		req.Topics = append(req.Topics, one)
	}
	res, err := req.RequestWith(patience(t), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range res.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				t.Fatalf("rewinding %s on %s/%d: %v", group, topic.Topic, p.Partition, err)
			}
		}
	}
}

// caughtUp waits until every group has read the topics it follows to the end.
func (s *system) caughtUp(t *testing.T) {
	t.Helper()
	c := s.kafkaClient(t)
	names := s.groups(t, c)
	if len(names) == 0 {
		t.Fatal("there are no consumer groups")
	}
	eventually(t, 30*time.Second, func() error {
		ends := s.ends(t, c)
		for _, group := range names {
			for topic, partitions := range committed(t, c, group) {
				for p, offset := range partitions {
					if end := ends[topic][p]; offset < end && (offset >= 0 || end > 0) {
						return fmt.Errorf("group %s is at %d of %d in %s/%d", group, offset, end, topic, p)
					}
				}
			}
		}
		return nil
	})
}

// quiet waits until nothing is under way: all is read, done and forwarded.
func (s shared) quiet(t *testing.T) {
	t.Helper()
	s.forwarded(t)
	s.caughtUp(t)
	eventually(t, 30*time.Second, func() error {
		if n := s.count(t, `select count(*) from choreo.steps where state in ('waiting', 'calling')`); n > 0 {
			return fmt.Errorf("%d steps are under way", n)
		}
		return nil
	})
	s.forwarded(t)
	s.caughtUp(t)
}
