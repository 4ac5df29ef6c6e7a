package broker_test

import (
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"troupe/choreo/broker"
	"troupe/choreo/wire"
)

// refusing is a broker that tells of its topics and says the first times that it
// is asked to serve them that it is not their leader, as a real one does for a
// moment when a topic was made or when it has come back.
func refusing(t *testing.T, times int32) (c broker.Config, refused *atomic.Int32, begin func()) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "coins"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	refused = &atomic.Int32{}
	begin = func() {
		var offsets, fetches int32
		cluster.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if offsets++; offsets > times {
				return nil, nil, false
			}
			refused.Add(1)
			answer := r.ResponseKind().(*kmsg.ListOffsetsResponse)
			for _, topic := range r.(*kmsg.ListOffsetsRequest).Topics {
				of := kmsg.ListOffsetsResponseTopic{Topic: topic.Topic}
				for _, p := range topic.Partitions {
					of.Partitions = append(of.Partitions, kmsg.ListOffsetsResponseTopicPartition{Partition: p.Partition,
						ErrorCode: int16(sarama.ErrNotLeaderForPartition)})
				}
				answer.Topics = append(answer.Topics, of)
			}
			return answer, nil, true
		})
		cluster.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
			cluster.KeepControl()
			if fetches++; fetches > times {
				return nil, nil, false
			}
			refused.Add(1)
			answer := r.ResponseKind().(*kmsg.FetchResponse)
			for _, topic := range r.(*kmsg.FetchRequest).Topics {
				of := kmsg.FetchResponseTopic{Topic: topic.Topic}
				for _, p := range topic.Partitions {
					of.Partitions = append(of.Partitions, kmsg.FetchResponseTopicPartition{Partition: p.Partition, RecordBatches: []byte{},
						ErrorCode: int16(sarama.ErrNotLeaderForPartition)})
				}
				answer.Topics = append(answer.Topics, of)
			}
			return answer, nil, true
		})
	}
	return broker.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}, refused, begin
}

func TestAPartitionIsReadThoughItsLeaderIsNotKnownYet(t *testing.T) {
	t.Parallel()
	c, refused, begin := refusing(t, 3)
	publisher, err := broker.NewPublisher(c)
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	batch := &broker.Batch{Records: []*wire.Record{{Value: []byte("1")}, {Value: []byte("2")}}}
	if err := publisher.Publish("coins", broker.NewMessage(t.Context(), batch)); err != nil {
		t.Fatal(err)
	}
	reader := broker.NewReader(c)
	defer reader.Close()
	begin()
	read := ""
	if err := reader.ReadFrom(t.Context(), "coins", 0, 0, func(r *wire.Record) error { read += string(r.Value); return nil }); err != nil {
		t.Fatal(err)
	}
	if read != "12" || refused.Load() != 6 {
		t.Errorf("read %q after %d questions were refused, want both records after six", read, refused.Load())
	}
}

func TestATopicThatGrowsIsServedWhenItHasGrown(t *testing.T) {
	t.Parallel()
	c, refused, begin := refusing(t, 3)
	begin()
	if err := broker.GrowTopic(t.Context(), c, "coins", 5); err != nil {
		t.Fatal(err)
	}
	if n := refused.Load(); n != 3 {
		t.Errorf("it counts as grown after %d of three questions were refused", n)
	}
}
