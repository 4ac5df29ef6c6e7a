package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/relay"
)

type struck struct {
	BellID string `json:"bellId"`
	N      int    `json:"n"`
}

func (struck) FactType() string { return "bells.Struck.v1" }
func (f struck) Key() string    { return f.BellID }

func migrateHall(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	_, err := pool.ExecContext(ctx, `create table heard (id bigint generated always as identity, clock text, n int)`)
	return err
}

// hall is a stage with a consumer that writes down what it hears.
func hall(t *testing.T) (*choreotest.Stage, func() int) {
	t.Helper()
	flow, err := choreo.NewFlow(choreo.Command("tick").Emits(ticked{}),
		choreo.On("hear", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[ticked]) error {
			_, err := tx.ExecContext(ctx, `insert into heard (clock, n) values ($1, $2)`, e.Fact.ClockID, e.Fact.N)
			return err
		}))
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, migrateHall)
	return s, func() int { return s.Count(`select count(*) from heard`) }
}

// A topic grows while commands go on: nothing is lost or doubled, and no key is
// reordered, though most of them move to another partition.
func TestATopicGrowsUnderTraffic(t *testing.T) {
	t.Parallel()
	s, heard := hall(t)
	p := s.Perform()
	if err := choreo.Register(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	const keys = 12
	var n atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			i := int(n.Add(1)) - 1
			s.Emit("tick", ticked{fmt.Sprint("k", i%keys), i, ""})
		}
	}()
	choreotest.Eventually(t, "there is traffic", func() bool { return heard() > 50 })
	if err := relay.Grow(t.Context(), s.DB, p.Broker, "clocks", 9, choreotest.Patience); err != nil {
		t.Fatal(err)
	}
	at := heard()
	choreotest.Eventually(t, "traffic goes on", func() bool { return heard() > at+50 })
	close(stop)
	<-stopped
	choreotest.Eventually(t, "everything is heard", func() bool { return heard() == int(n.Load()) })
	if n := s.Count(`select count(*) from heard a join heard b on a.clock = b.clock and a.n < b.n and a.id > b.id`); n > 0 {
		t.Errorf("%d facts were heard out of order", n)
	}
	if n := s.Count(`select count(*) from (select from heard group by clock, n having count(*) > 1) x`); n > 0 {
		t.Errorf("%d facts were heard twice", n)
	}
	counts, err := broker.CountPartitions(t.Context(), p.Broker, []string{"clocks"})
	if err != nil || counts["clocks"] != 9 {
		t.Errorf("the topic has %v partitions (%v), want 9", counts, err)
	}
	if n := s.Count(`select count(*) from choreo.streams where topic = 'clocks' and partition > 3 and head > 0`); n == 0 {
		t.Error("nothing goes to the new partitions")
	}
}

// A topic that is not drained in time does not grow, and what was held goes on.
func TestATopicThatIsNotDrainedDoesNotGrow(t *testing.T) {
	t.Parallel()
	s, _ := hall(t)
	p := s.Perform()
	if err := choreo.Register(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	exec(t, s, `insert into choreo.consumers values ('gone', '{clocks}', false, choreo.troupe_now())`)
	s.Emit("tick", ticked{"a", 1, ""})
	choreotest.Eventually(t, "it is relayed", func() bool { return s.Count(`select count(*) from choreo.event_log`) == 1 })
	err := relay.Grow(t.Context(), s.DB, p.Broker, "clocks", 9, time.Second)
	if !errors.Is(err, relay.ErrNotDrained) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("a consumer that is gone: %v", err)
	}
	s.Emit("tick", ticked{"a", 2, ""})
	choreotest.Eventually(t, "what was held goes on", func() bool { return s.Count(`select count(*) from choreo.event_log`) == 2 })
	if counts, err := broker.CountPartitions(t.Context(), p.Broker, []string{"clocks"}); err != nil || counts["clocks"] != 4 {
		t.Errorf("the topic has %v partitions (%v), want 4", counts, err)
	}
	if err := relay.Grow(t.Context(), s.DB, p.Broker, "clocks", 2, time.Millisecond); err == nil || !strings.Contains(err.Error(), "only grow") {
		t.Errorf("shrinking: %v", err)
	}
}

// What stays in the outbox for a while is not left below the floor.
func TestWhatIsHeldIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	exec(t, s, `insert into choreo.topics values ('bells', 1)`, `update choreo.topics set held_until = choreo.troupe_now() + interval '1 hour' where topic = 'clocks'`)
	for n := range 4 {
		s.Emit("tick", ticked{"c", n, ""})
		s.Emit("tick", struck{"b", n})
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := s.Count(`select count(*) from choreo.event_log where type like 'bells%'`), s.Count(`select count(*) from choreo.outbox`); a != 4 || b != 4 {
		t.Errorf("%d of the other topic are in the log and %d held, want 4 and 4", a, b)
	}
	exec(t, s, `update choreo.topics set held_until = null`)
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from choreo.event_log where type like 'clocks%' and sequence = (convert_from(data, 'UTF8')::json->>'n')::int + 1`); n != 4 {
		t.Errorf("%d of those that were held are in the log in order, want 4", n)
	}
}
