package relay_test

import (
	"fmt"
	"log/slog"
	"testing"

	"troupe/choreo/relay"
	"troupe/choreo/wire"
)

// The database fails right after a topic was published: what is behind in the
// partitions of the next topics must not go out before their first facts.
func TestNothingIsPublishedPastWhatWasNot(t *testing.T) {
	t.Parallel()
	s, p := setUp(t)
	exec := func(query string) {
		t.Helper()
		if _, err := s.DB.Pool().Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into choreo.topics values ('bells', 3)`)
	s.Emit("tick", struck{"ben", 1})
	for n := range 3 {
		s.Emit("tick", ticked{"big", n, ""})
	}
	r := relay.New(s.DB, p, p, slog.New(slog.DiscardHandler))
	if _, err := r.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec(`alter table choreo.forwarded add constraint broken check (sequence = 0)`)
	if _, err := r.Forward(t.Context()); err == nil {
		t.Fatal("how far it came cannot be stored, and nobody says so")
	}
	exec(`alter table choreo.forwarded drop constraint broken`)
	if err := drain(t, r); err != nil {
		t.Fatal(err)
	}
	var numbers []int64
	for _, records := range p.records {
		for _, record := range records {
			if m, _, err := wire.Parse(record); err != nil {
				t.Fatal(err)
			} else if m.Topic() == "clocks" {
				numbers = append(numbers, m.Sequence)
			}
		}
	}
	if fmt.Sprint(numbers) != "[1 2 3]" {
		t.Errorf("the sequences of the clock stand on Kafka as %v, want 1, 2, 3", numbers)
	}
}
