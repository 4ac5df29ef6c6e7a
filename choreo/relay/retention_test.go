package relay_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

// heed is a reaction that does nothing but to have taken its event.
func heed(context.Context, *choreo.Tx, choreo.Event[ticked]) error { return nil }

// take gives a consumer all records that were published.
func (p *press) take(t *testing.T, db *choreo.DB, consumer string) consume.Counts {
	t.Helper()
	var all []*wire.Record
	for _, records := range p.records {
		all = append(all, records...)
	}
	a := &consume.Applier{DB: db, Consumer: db.Flow().Consumer(consumer)}
	counts, err := a.Batch(t.Context(), &broker.Batch{Records: all})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func TestADayIsDroppedOnceEveryConsumerHasTakenIt(t *testing.T) {
	t.Parallel()
	lines := []choreo.Line{choreo.Command("tick").Emits(ticked{}), choreo.On("first", heed)}
	flow, err := choreo.NewFlow(lines...)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	exec(t, s, `insert into choreo.topics values ('clocks', 3)`)
	if err := choreo.Register(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	p := &press{failed: map[string]bool{}, out: map[string][]string{}, records: map[string][]*wire.Record{}}
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler)).Retain(24 * time.Hour)
	for day, facts := range []int{12, 8} {
		for n := range facts {
			s.Emit("tick", ticked{fmt.Sprint("c", n%5), 100*day + n, ""})
		}
		if err := drain(t, r); err != nil {
			t.Fatal(err)
		}
		exec(t, s, yesterday)
		r = nextRelay(t, s, p).Retain(24 * time.Hour)
	}
	if err := drain(t, r); err != nil { // the relay alone closes what was written yesterday
		t.Fatal(err)
	}
	keep := func(wantFacts int, when string) {
		t.Helper()
		listSagas(t, s)
		if err := r.Keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := s.Count(`select count(*) from choreo.event_log`); n != wantFacts {
			t.Errorf("%s the log holds %d facts, want %d", when, n, wantFacts)
		}
	}
	keep(20, "before it is old enough")
	exec(t, s, `update choreo.log_partitions set closed_at = closed_at - interval '30 hours' where number = 1`)
	keep(20, "while a consumer has not taken it")
	if counts := p.take(t, s.DB, "first"); counts[consume.Applied] != 20 {
		t.Fatalf("taken: %v", counts)
	}
	exec(t, s, `insert into choreo.log_readers values ('somebody', 3)`)
	keep(20, "while a reader needs it")
	exec(t, s, `update choreo.log_readers set position = 12`)
	choreotest.Eventually(t, "every saga is seen to have settled", func() bool {
		listSagas(t, s)
		return s.Count(`select count(*) from choreo.sagas where status <> 'settled'`) == 0
	})
	keep(8, "when everybody has read it")

	// Who comes later begins where the log does, and finds no gap.
	flow, err = choreo.NewFlow(append(lines, choreo.On("later", heed))...)
	if err != nil {
		t.Fatal(err)
	}
	db, err := choreo.Open(t.Context(), s.DB.Pool(), flow, choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := choreo.Register(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if counts := p.take(t, db, "later"); counts[consume.Applied] != 8 || counts[consume.Duplicate] != 12 {
		t.Errorf("a consumer that comes later takes %v, want the 8 facts of the day that is left", counts)
	}
}
