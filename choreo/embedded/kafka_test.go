package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

func startKafka(t *testing.T, o KafkaOptions) *Kafka {
	t.Helper()
	k, err := StartKafka(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

type kafkaClient struct {
	*kgo.Client
	t *testing.T
}

func dialKafka(t *testing.T, addr string, opts ...kgo.Opt) kafkaClient {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(addr), kgo.MaxVersions(kversion.V3_9_0()))...) // newer commits name no topic
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kafkaClient{c, t}
}

func (c kafkaClient) createTopic(name string, partitions int32, config map[string]string) {
	c.t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for k, v := range config {
		topic.Configs = append(topic.Configs, kmsg.CreateTopicsRequestTopicConfig{Name: k, Value: &v})
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(c.t.Context(), c)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatalf("creating topic %s: %v", name, err)
	}
}

// topic describes a topic by its id, partitions and one setting.
func (c kafkaClient) topic(name string) string {
	c.t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{Topic: &name})
	resp, err := req.RequestWith(c.t.Context(), c)
	if err != nil {
		c.t.Fatal(err)
	}
	configs := kmsg.NewPtrDescribeConfigsRequest()
	configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{
		ResourceType: kmsg.ConfigResourceTypeTopic, ResourceName: name, ConfigNames: []string{"retention.ms"},
	})
	settings, err := configs.RequestWith(c.t.Context(), c)
	if err != nil {
		c.t.Fatal(err)
	}
	return fmt.Sprintf("id %x, %d partitions, retention %s", resp.Topics[0].TopicID,
		len(resp.Topics[0].Partitions), *settings.Resources[0].Configs[0].Value)
}

func (c kafkaClient) commit(group, topic string, offset int64) {
	c.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: offset}}}}
	resp, err := req.RequestWith(c.t.Context(), c)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c kafkaClient) committed(group, topic string) int64 {
	c.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	rg := kmsg.NewOffsetFetchRequestGroup()
	rg.Group = group
	rg.Topics = []kmsg.OffsetFetchRequestGroupTopic{{Topic: topic, Partitions: []int32{0}}}
	req.Groups = append(req.Groups, rg)
	resp, err := req.RequestWith(c.t.Context(), c)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp.Groups[0].Topics[0].Partitions[0].Offset
}

func (c kafkaClient) produce(topic string, n int) {
	c.t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: 0, Value: fmt.Appendf(nil, "%s %d", topic, i)}
		if err := c.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// values reads n records of partition 0 from its beginning.
func values(t *testing.T, addr, topic string, n int) (values []string) {
	t.Helper()
	c := dialKafka(t, addr, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for len(values) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(values), err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func TestKafkaSurvives(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string][]string{
		"close":             {"close"},
		"kill -9":           {"kill -9"},
		"close, kill -9":    {"close", "kill -9"}, // what Close wrote is old then
		"kill -9 and again": {"kill -9", "kill -9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, addr := t.TempDir(), "127.0.0.1:0"
			var c kafkaClient // one idempotent producer through all of it
			var topic string
			for i, end := range ends {
				var stop func()
				addr, stop = startKafkaToEnd(t, end, dir, addr) // the address is free at once
				if i == 0 {
					c = dialKafka(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()))
					c.createTopic("kept", 3, map[string]string{"retention.ms": "1"})
					topic = c.topic("kept")
				}
				c.produce("kept", 100)
				c.commit("readers", "kept", 40)
				c.commit("readers", "kept", 42)
				stop()
			}

			k := startKafka(t, KafkaOptions{Dir: dir, Addr: addr})
			if k.Addr() != addr {
				t.Errorf("listens on %s, asked for %s", k.Addr(), addr)
			}
			if got := c.topic("kept"); got != topic {
				t.Errorf("topic is now %s, was %s", got, topic)
			}
			if got := c.committed("readers", "kept"); got != 42 {
				t.Errorf("committed offset is now %d", got)
			}
			c.produce("kept", 1)
			n := 100 * len(ends)
			got := values(t, addr, "kept", n+1)
			for i, want := range map[int]string{0: "kept 0", n - 1: "kept 99", n: "kept 0"} {
				if got[i] != want {
					t.Errorf("record %d is %q, want %q", i, got[i], want)
				}
			}
		})
	}
}

// startKafkaToEnd starts a broker that is to end in the way given.
func startKafkaToEnd(t *testing.T, end, dir, addr string) (_ string, stop func()) {
	t.Helper()
	if end == "kill -9" {
		return startHelper(t, "kafka", dir, "HELPER_ADDR="+addr)
	}
	k := startKafka(t, KafkaOptions{Dir: dir, Addr: addr})
	return k.Addr(), func() {
		began := time.Now()
		k.Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %s", took)
		}
	}
}

func TestKafkaOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := startKafka(t, KafkaOptions{Dir: dir})
	if _, err := StartKafka(KafkaOptions{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second broker on the directory: %v; want ErrInUse", err)
	}
	var op *net.OpError
	if _, err := StartKafka(KafkaOptions{Addr: k.Addr()}); !errors.As(err, &op) {
		t.Errorf("a second broker on the address: %v", err)
	}
	c := dialKafka(t, k.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err := c.ProduceSync(t.Context(), &kgo.Record{Topic: "nobody-made-me", Value: []byte("x")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("producing to a topic that is not there: %v", err)
	}
}
