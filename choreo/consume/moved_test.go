package consume_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go"
	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
)

// binary is the choreography with the consumer `note` moved by one word.
func binary(t *testing.T, word string) *choreo.Flow {
	t.Helper()
	line := choreo.On("note", note).Within(time.Minute)
	switch word {
	case "Local()":
		line = line.Local()
	case "InTransaction()":
		line = line.InTransaction()
	}
	flow, err := choreo.NewFlow(choreo.Command("toss").Emits(tossed{}), choreo.Foreign(tossed{}), line)
	if err != nil {
		t.Fatal(err)
	}
	return flow
}

// others writes to the topic by hand: foreign events, each of them twice, bare
// records and copies of ours.
type others struct {
	*kafka.Writer
}

func (o others) write(t *testing.T, from, to int) {
	t.Helper()
	var records []kafka.Message
	for n := from; n < to; n++ {
		value := fmt.Appendf(nil, `{"coinId":"theirs%d","n":%d}`, n%3, n)
		signed := kafka.Message{Key: fmt.Appendf(nil, "theirs%d", n%3), Value: value, Headers: []kafka.Header{
			{Key: "ce_type", Value: []byte("coins.Tossed.v1")}, {Key: "ce_source", Value: []byte("/crm")}, {Key: "ce_id", Value: fmt.Append(nil, n)}}}
		bare := kafka.Message{Value: fmt.Appendf(nil, `{"coinId":"bare%d","n":%d}`, n%3, n),
			Headers: []kafka.Header{{Key: "ce_type", Value: []byte("coins.Tossed.v1")}}}
		records = append(records, signed, signed, bare)
	}
	write(t, o.Writer, records...)
}

// process runs the consumers of a binary, and a relay where it has one, until
// stop is called.
func process(t *testing.T, db *choreo.DB, c broker.Config, relayed bool) (stop func()) {
	t.Helper()
	p, err := consume.NewProcess(db, c, db.Flow().Consumers(), consume.NewMetrics(prometheus.NewRegistry()), steps.Options{})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := broker.NewPublisher(c)
	if err != nil {
		t.Fatal(err)
	}
	reader := broker.NewReader(c)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var g errgroup.Group
	g.Go(func() error { return p.Run(ctx, &choreo.Hints{}) })
	if relayed {
		g.Go(func() error { return relay.New(db, publisher, reader, c.Log).Run(ctx, nil) })
	}
	end := sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(g.Wait(), publisher.Close(), reader.Close()); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

// A consumer is moved between Kafka, Local() and InTransaction() by one word,
// while a process of the old binary and one of the new run at once: nothing is
// lost, nothing is doubled.
func TestAConsumerIsMovedWhileBothBinariesRun(t *testing.T) {
	t.Parallel()
	for _, move := range [][2]string{{"", "Local()"}, {"Local()", ""}, {"", "InTransaction()"}, {"InTransaction()", ""},
		{"Local()", "InTransaction()"}, {"InTransaction()", "Local()"}} {
		t.Run(fmt.Sprintf("from %q to %q", move[0], move[1]), func(t *testing.T) {
			t.Parallel()
			move1(t, move[0], move[1])
		})
	}
}

func move1(t *testing.T, from, to string) {
	t.Helper()
	s := choreotest.New(t, binary(t, from), migrate)
	next, err := choreo.Open(t.Context(), s.DB.Pool(), binary(t, to), choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := broker.Config{Brokers: []string{embeddedtest.Broker(t)}, Prefix: embeddedtest.Prefix(t), Log: slog.New(slog.DiscardHandler)}
	if _, err := broker.ApplyTopics(t.Context(), c, s.DB.Pool(), s.DB.Flow().Topics(), 4); err != nil {
		t.Fatal(err)
	}
	o := others{&kafka.Writer{Addr: kafka.TCP(c.Brokers...), Topic: c.Prefix + "coins", RequiredAcks: kafka.RequireAll,
		BatchTimeout: time.Millisecond, MaxAttempts: 30, Balancer: kafka.Murmur2Balancer{}}}
	defer o.Close()
	toss := func(db *choreo.DB, coin string, from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			if _, err := choreo.Commit(t.Context(), db, "toss", func(_ context.Context, tx *choreo.Tx) error {
				tx.Emit(tossed{fmt.Sprintf("%s%d", coin, n%4), n})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	const each = 30 // of each kind in each of three phases
	stop := process(t, s.DB, c, true)
	toss(s.DB, "old", 0, each)
	o.write(t, 0, each)
	process(t, next, c, true)
	toss(next, "new", 0, each)
	toss(s.DB, "old", each, 2*each)
	o.write(t, each, 2*each)
	toss(next, "new", each, 2*each)
	choreotest.Eventually(t, "both are at it", func() bool { return s.Count(`select count(*) from notes`) >= 4*each })
	stop()
	toss(next, "new", 2*each, 3*each)
	o.write(t, 2*each, 3*each)
	const want = (2 + 3 + 2*3) * each
	choreotest.Eventually(t, "everything is noted", func() bool { return s.Count(`select count(*) from notes`) >= want })
	choreotest.Eventually(t, "every saga has settled, also those of foreign events", func() bool {
		if _, err := saga.Advance(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		return s.Count(`select count(*) from choreo.sagas where status = 'settled'`) == want
	})
	if n := s.Count(`select count(*) from notes`); n != want {
		t.Errorf("%d notes, want %d", n, want)
	}
	if n := s.Count(`select count(*) from (select coin, n from notes group by coin, n having count(*) > 1) x`); n > 0 {
		t.Errorf("%d events were noted twice", n)
	}
	if n := s.Count(`select count(*) from choreo.event_log`); n != want {
		t.Errorf("the log holds %d events, want %d", n, want)
	}
	if from != "InTransaction()" && to != "InTransaction()" { // which runs ahead of what comes over Kafka
		if n := s.Count(`select count(*) from notes a join notes b on a.coin = b.coin and a.n < b.n and a.id > b.id
			where a.coin not like 'bare%'`); n > 0 {
			t.Errorf("%d notes are out of order", n)
		}
	}
}
