package consume_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

// shelf keeps what a relay publishes.
type shelf struct{ records []*wire.Record }

func (s *shelf) Publish(_ string, messages ...*message.Message) error {
	for _, m := range messages {
		s.records = append(s.records, broker.BatchOf(m).Records...)
	}
	return nil
}

func (s *shelf) Close() error { return nil }

// Ends and ReadFrom find nothing there when a relay begins.
func (s *shelf) Ends(context.Context, []string) ([]broker.End, error) { return nil, nil }

func (s *shelf) ReadFrom(context.Context, string, int32, int64, func(*wire.Record) error) error {
	return nil
}

// A database was backed up before the relay had published all of its log. Under
// its new source no fact is taken before those of the old one that stand in the
// log alone.
func TestWhatAnEarlierSourceLeftInTheLogComesFirst(t *testing.T) {
	t.Parallel()
	old, _ := theatre(t, nil)
	pool := old.DB.Pool()
	if _, err := pool.Exec(`insert into choreo.topics values ('coins', 1)`); err != nil {
		t.Fatal(err)
	}
	relayed := func(s *choreotest.Stage, forward bool) []*wire.Record {
		t.Helper()
		to := &shelf{}
		r := relay.New(s.DB, to, to, slog.New(slog.DiscardHandler))
		_, err := r.Sequence(t.Context())
		for n := 1; forward && n > 0 && err == nil; {
			n, err = r.Forward(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Release(); err != nil {
			t.Fatal(err)
		}
		return to.records
	}
	for n := range 3 {
		old.Emit("toss", tossed{"c", n})
	}
	relayed(old, false)
	if _, _, err := choreo.NewEpoch(t.Context(), pool, true); err != nil {
		t.Fatal(err)
	}
	db, err := choreo.Open(t.Context(), pool, old.DB.Flow(), choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	later := old.With(db)
	for n := range 3 {
		later.Emit("toss", tossed{"c", 3 + n})
	}
	records := relayed(later, true)
	if len(records) != 3 {
		t.Fatalf("%d records were published, want those of the new source", len(records))
	}
	a := &consume.Applier{DB: db, Consumer: db.Flow().Consumer("note")}
	for _, record := range records {
		if _, err := a.Batch(t.Context(), &broker.Batch{Records: []*wire.Record{record}}); err != nil {
			t.Fatal(err)
		}
	}
	if taken := choreotest.Column[int](t, pool, `select n from notes order by id`); !slices.Equal(taken, []int{0, 1, 2, 3, 4, 5}) {
		t.Errorf("taken in the order %s, want as they were committed", fmt.Sprint(taken))
	}
}
