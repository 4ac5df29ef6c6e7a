package consume_test

import (
	"fmt"
	"testing"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"

	"troupe/choreo/choreotest"
)

// A topic whose newest records are lost, as when it was deleted and made again,
// or whose oldest were deleted before they were read, is healed from the log.
func TestWhatKafkaLostIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *kafka.Client, string){
		"the topic was deleted and made again": func(t *testing.T, c *kafka.Client, topic string) {
			if r, err := c.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil || r.Errors[topic] != nil {
				t.Fatal(err, r.Errors[topic])
			}
		},
		"the oldest half was deleted": func(t *testing.T, c *kafka.Client, topic string) {
			deleteRecords(t, c, topic, func(first, end int64) int64 { return (first + end) / 2 })
		},
		"all that was there was deleted": func(t *testing.T, c *kafka.Client, topic string) {
			deleteRecords(t, c, topic, func(_, end int64) int64 { return end })
		},
		"nothing was lost": func(*testing.T, *kafka.Client, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, b := theatre(t, nil)
			p := s.Perform()
			s.Emit("toss", tossed{"first", 1})
			choreotest.Eventually(t, "the first is noted", func() bool { return s.Count(`select count(*) from notes`) == 1 })
			p.Stop()
			for n := range 100 {
				s.Emit("toss", tossed{fmt.Sprintf("c%d", n%7), n})
			}
			p.Forward()
			lose(t, &kafka.Client{Addr: kafka.TCP(p.Broker.Brokers...)}, p.Broker.Prefix+"coins")
			p.Start()
			s.Emit("toss", tossed{"c1", 1000})
			choreotest.Eventually(t, "all is noted", func() bool { return s.Count(`select count(*) from notes`) == 102 })
			choreotest.Eventually(t, "all is heard", func() bool { return s.Count(`select count(*) from heard`) == 102 })
			if n := s.Count(`select count(*) from notes a join notes b on a.coin = b.coin and a.n < b.n and a.id > b.id`); n > 0 {
				t.Errorf("%d notes are out of order", n)
			}
			for key, n := range b.calls {
				if n != 1 {
					t.Errorf("%s was called %d times", key, n)
				}
			}
		})
	}
}

// deleteRecords does what kafka-delete-records does, up to the offset that upTo
// says of each partition.
func deleteRecords(t *testing.T, c *kafka.Client, topic string, upTo func(first, end int64) int64) {
	t.Helper()
	client, err := sarama.NewClient([]string{c.Addr.String()}, sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	partitions, err := client.Partitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	offsets, gone := map[int32]int64{}, int64(0)
	for _, p := range partitions {
		first, err := client.GetOffset(topic, p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		end, err := client.GetOffset(topic, p, sarama.OffsetNewest)
		if err != nil {
			t.Fatal(err)
		}
		if offsets[p] = upTo(first, end); offsets[p] == first {
			delete(offsets, p)
			continue
		}
		gone += offsets[p] - first
	}
	if err := admin.DeleteRecords(topic, offsets); err != nil {
		t.Fatal(err)
	}
	if gone < 40 {
		t.Fatalf("%d records were deleted, too few to show anything", gone)
	}
}
