package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/embedded"
	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

// counted counts how often something is to be published.
type counted struct {
	message.Publisher
	calls atomic.Int64
}

func (c *counted) Publish(topic string, messages ...*message.Message) error {
	c.calls.Add(1)
	return c.Publisher.Publish(topic, messages...)
}

// lines keeps what was logged.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) with(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// While Kafka is away commands are accepted and the log goes on; the relay says
// since when, and how much waits; when Kafka is back everything comes in order.
func TestKafkaIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(choreo.Command("tick").Emits(ticked{}))
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	dir := t.TempDir()
	kafka, err := embedded.StartKafka(embedded.KafkaOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	addr := kafka.Addr()
	logged := &lines{}
	c := broker.Config{Brokers: []string{addr}, Log: slog.New(slog.DiscardHandler)}
	if _, err := broker.ApplyTopics(t.Context(), c, s.DB.Pool(), flow.Topics(), 3); err != nil {
		t.Fatal(err)
	}
	producer, err := broker.NewPublisher(c)
	if err != nil {
		t.Fatal(err)
	}
	publisher, reader := &counted{Publisher: producer}, broker.NewReader(c)
	r := relay.New(s.DB, publisher, reader, slog.New(slog.NewTextHandler(logged, nil)))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, nil) }()
	state := func() relay.State {
		t.Helper()
		st, err := r.State(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	emit := func(from, to int) {
		t.Helper()
		for n := from; n < to; n++ {
			s.Emit("tick", ticked{fmt.Sprint(n % 7), n, ""})
		}
	}
	emit(0, 20)
	choreotest.Eventually(t, "the first facts are on Kafka", func() bool { st := state(); return st.State == relay.Relaying && st.Waiting == 0 })
	if err := kafka.Close(); err != nil {
		t.Fatal(err)
	}
	emit(20, 40)
	choreotest.Eventually(t, "the relay says that it is held up", func() bool { return state().State == relay.HeldUp })
	before := publisher.calls.Load()
	emit(40, 60)
	choreotest.Eventually(t, "the log goes on", func() bool { return s.Count(`select count(*) from choreo.event_log`) == 60 })
	choreotest.Eventually(t, "it is tried again", func() bool { return publisher.calls.Load() > before })
	st := state()
	if st.Waiting != 40 || st.Since.IsZero() || !strings.Contains(st.Note(), "40 facts wait") {
		t.Errorf("while Kafka is away: %+v, %q", st, st.Note())
	}
	if n := publisher.calls.Load() - before; n > 20 {
		t.Errorf("it was tried %d times in a moment", n)
	}
	if kafka, err = embedded.StartKafka(embedded.KafkaOptions{Dir: dir, Addr: addr}); err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	emit(60, 80)
	choreotest.Eventually(t, "all is on Kafka", func() bool { st := state(); return st.State == relay.Relaying && st.Waiting == 0 })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if held, again := logged.with("held up"), logged.with("relaying again"); held != 1 || again != 1 {
		t.Errorf("logged %d times that it is held up, %d times that it goes on: %v", held, again, logged.all)
	}
	total := 0
	for partition := range int32(3) {
		last := int64(0)
		if err := reader.ReadFrom(t.Context(), "clocks", partition, 0, func(record *wire.Record) error {
			m, _, err := wire.Parse(record)
			if err == nil && m.Sequence > last+1 {
				t.Errorf("partition %d: sequence %d after %d", partition, m.Sequence, last)
			}
			if m.Sequence == last+1 {
				last++
				total++
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	if total != 80 {
		t.Errorf("%d facts are on Kafka, want 80", total)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if err := producer.Close(); err != nil {
		t.Log(err) // of the connection that was lost
	}
}
