package consume_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/segmentio/kafka-go"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
)

// A topic whose newest records are lost, as when it was deleted and made again,
// or whose oldest were deleted before they were read, is healed from the log.
func TestWhatKafkaLostIsReadFromTheLog(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *kafka.Client, string) int{
		"the topic was deleted and made again": func(t *testing.T, c *kafka.Client, topic string) int {
			if r, err := c.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil || r.Errors[topic] != nil {
				t.Fatal(err, r.Errors[topic])
			}
			return 101
		},
		"the oldest half was deleted": func(t *testing.T, c *kafka.Client, topic string) int {
			return deleteRecords(t, c, topic, func(first, end int64) int64 { return (first + end) / 2 })
		},
		"all that was there was deleted": func(t *testing.T, c *kafka.Client, topic string) int {
			return deleteRecords(t, c, topic, func(_, end int64) int64 { return end })
		},
		"nothing was lost": func(*testing.T, *kafka.Client, string) int { return 0 },
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
			lost := lose(t, &kafka.Client{Addr: kafka.TCP(p.Broker.Brokers...)}, p.Broker.Prefix+"coins")
			p.Start()
			s.Emit("toss", tossed{"c1", 1000})
			choreotest.Eventually(t, "all is noted", func() bool { return s.Count(`select count(*) from notes`) == 102 })
			choreotest.Eventually(t, "all is heard", func() bool { return s.Count(`select count(*) from heard`) == 102 })
			reordered := s.Count(`select count(*) from notes a join notes b on a.coin = b.coin and a.n < b.n and a.id > b.id`)
			if reordered > 0 {
				t.Errorf("%d notes are out of order", reordered)
			}
			healed := p.Records("note", consume.Healed)
			if (healed > 0) != (lost > 0) {
				t.Errorf("%d records were lost, and %d read from the log", lost, healed)
			}
			t.Logf("Kafka lost %d of 101 records, of which 100 were unread; read from the log: %d; of 102 events noted: %d, heard: %d, out of order: %d, bells rung: %d",
				lost, healed, s.Count(`select count(*) from notes`), s.Count(`select count(*) from heard`), reordered, len(b.calls))
			for key, n := range b.calls {
				if n != 1 {
					t.Errorf("%s was called %d times", key, n)
				}
			}
		})
	}
}

// A database that is restored has lost facts that Kafka holds. What starts before
// there is a new source applies none of them, and says what it waits for.
func TestFactsThatARestoreTookBackAreNotApplied(t *testing.T) {
	t.Parallel()
	s, b := theatre(t, nil)
	p := s.Perform()
	s.Emit("toss", tossed{"kept", 1})
	choreotest.Eventually(t, "the first is heard and noted", func() bool {
		return s.Count(`select count(*) from heard`)+s.Count(`select count(*) from notes`) == 2
	})
	p.Stop()
	backup := s.Count(`select position from choreo.log_head`)
	for n := range 8 {
		s.Emit("toss", tossed{fmt.Sprintf("lost%d", n), n})
	}
	p.Forward()
	exec(t, s, `delete from choreo.event_log where position > $1`, backup)
	exec(t, s, `update choreo.log_head set position = $1`, backup)
	exec(t, s, `update choreo.streams s set head = (select coalesce(max(sequence), 0) from choreo.event_log where stream = s.id)`)
	exec(t, s, `update choreo.forwarded f set sequence = s.head, next_offset = s.head from choreo.streams s where s.id = f.stream`)
	exec(t, s, `delete from choreo.leases`)
	p.Start()
	choreotest.Eventually(t, "the consumers wait for a decision", func() bool {
		err := p.Ready()
		return err != nil && strings.Contains(err.Error(), "note: "+consume.ErrUndecided.Error()) &&
			strings.Contains(err.Error(), "ring: "+consume.ErrUndecided.Error())
	})
	p.Stop()
	exec(t, s, `delete from choreo.leases`)
	if _, _, err := choreo.NewEpoch(t.Context(), s.DB.Pool(), true); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.DB, err = choreo.Open(t.Context(), s.DB.Pool(), s.DB.Flow(), choreo.Options{}); err != nil {
		t.Fatal(err)
	}
	p.Start()
	for n := range 8 { // in every partition, behind what is lost
		s.Emit("toss", tossed{fmt.Sprintf("lost%d", n), 100 + n})
	}
	choreotest.Eventually(t, "what comes after is noted and heard", func() bool {
		return s.Count(`select count(*) from notes where n >= 100`)+s.Count(`select count(*) from heard where n >= 100`) == 16
	})
	if n := s.Count(`select count(*) from notes where n < 100`) + s.Count(`select count(*) from heard where n < 100`); n != 2 {
		t.Errorf("%d notes and hearings from before the restore, want 2", n)
	}
	if n := s.Count(`select count(*) from choreo.quarantine where reason like '%which the log does not have'`); n != 8 {
		t.Errorf("%d lost facts are listed, want 8", n)
	}
	for key, n := range b.calls {
		if n != 1 {
			t.Errorf("%s was called %d times", key, n)
		}
	}
}

// A forged record that cannot be told from a lost fact is somebody else's once
// an active relay has read past it, for the consumers and for the next relay.
func TestAForgedRecordIsDecidedByTheRelay(t *testing.T) {
	t.Parallel()
	s, _ := theatre(t, nil)
	p := s.Perform()
	s.Emit("toss", tossed{"real", 1})
	choreotest.Eventually(t, "the real one is noted", func() bool { return s.Count(`select count(*) from notes`) == 1 })
	w := &kafka.Writer{Addr: kafka.TCP(p.Broker.Brokers...), Topic: p.Broker.Prefix + "coins", RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond, MaxAttempts: 30, Balancer: &kafka.RoundRobin{}}
	defer w.Close()
	var records []kafka.Message
	for n := range 8 { // the next sequence, and one far beyond, on each of four partitions
		id, err := uuid.NewV7()
		if err != nil {
			t.Fatal(err)
		}
		sequence := 999
		if n < 4 {
			sequence = 1 + s.Count(`select coalesce(max(head), 0) from choreo.streams where topic = 'coins' and partition = $1`, n)
		}
		records = append(records, kafka.Message{Key: []byte("forged"), Value: fmt.Appendf(nil, `{"coinId":"forged","n":%d}`, n),
			Headers: []kafka.Header{{Key: "ce_type", Value: []byte("coins.Tossed.v1")}, {Key: "ce_id", Value: []byte(id.String())},
				{Key: "ce_source", Value: []byte(s.DB.Source())}, {Key: "ce_sequence", Value: fmt.Append(nil, sequence)}}})
	}
	write(t, w, records...)
	choreotest.Eventually(t, "they are foreign", func() bool { return s.Count(`select count(*) from notes where coin = 'forged'`) == 8 })
	p.Stop()
	p.Start()
	s.Emit("toss", tossed{"after", 1})
	choreotest.Eventually(t, "the next relay goes on", func() bool { return s.Count(`select count(*) from notes where coin = 'after'`) == 1 })
	if n := s.Count(`select count(*) from notes`); n != 10 {
		t.Errorf("%d notes, want 10", n)
	}
}

func exec(t *testing.T, s *choreotest.Stage, query string, args ...any) {
	t.Helper()
	if _, err := s.DB.Pool().ExecContext(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// deleteRecords does what kafka-delete-records does, up to the offset that upTo
// says of each partition, and counts what is gone.
func deleteRecords(t *testing.T, c *kafka.Client, topic string, upTo func(first, end int64) int64) int {
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
	return int(gone)
}
