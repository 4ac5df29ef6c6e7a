package choreo_test

import (
	"context"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
)

// A consumer with effects that is added to a system which runs already begins
// at the present head; one without reads everything, unless it is told.
func TestWhereANewConsumerBegins(t *testing.T) {
	t.Parallel()
	s := stage(t, stamp{})
	if err := choreo.Register(t.Context(), s.DB); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`insert into choreo.streams (source, topic, partition, head) values ('/here', 'parcels', 0, 7)`,
	} {
		if _, err := s.DB.Pool().Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	plain := func(context.Context, *choreo.Tx, choreo.Event[packed]) error { return nil }
	flow, err := choreo.NewFlow(
		choreo.Command("pack").Emits(packed{}),
		choreo.OnEffect("stamp", stamp{}),
		choreo.OnEffect("stamp-again", stamp{}),
		choreo.OnEffect("stamp-all", stamp{}).From(choreo.Beginning),
		choreo.On("count", plain),
		choreo.On("count-new", plain).From(choreo.Now),
	)
	if err != nil {
		t.Fatal(err)
	}
	later, err := choreo.Open(t.Context(), s.DB.Pool(), flow, choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // twice is once
		if err := choreo.Register(t.Context(), later); err != nil {
			t.Fatal(err)
		}
	}
	for consumer, want := range map[string]int{"stamp": 0, "stamp-again": 7, "stamp-all": 0, "count": 0, "count-new": 7} {
		if got := position(s, consumer); got != want {
			t.Errorf("%s begins after %d, want %d", consumer, got, want)
		}
	}
}

func position(s *choreotest.Stage, consumer string) int {
	return s.Count(`select coalesce(max(sequence), 0) from choreo.watermarks where consumer = $1`, consumer)
}
