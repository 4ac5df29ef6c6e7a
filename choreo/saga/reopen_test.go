package saga_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"

	"troupe/choreo"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
)

// A saga that has settled opens again when a fact joins it, and when a step of it
// is redone; the redone step counts by its last.
func TestASettledSagaOpensAgain(t *testing.T) {
	t.Parallel()
	var mended bool
	s, feeders, runner := theatre(t, &mended)
	sequencer := relay.New(s.DB, nil, nothing{}, slog.New(slog.DiscardHandler))
	play := func() {
		for range 3 {
			if _, err := sequencer.Sequence(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, f := range feeders {
				if _, err := f.Feed(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			for id := range s.Count(`select coalesce(max(id), 0) from choreo.steps`) {
				if err := runner.RunOne(t.Context(), int64(id)+1); err != nil {
					t.Fatal(err)
				}
			}
		}
		advance(t, s)
	}
	id := s.Emit("start", went{script{ID: "k", Do: []script{{ID: "k", How: "emit"}}}}).Saga
	is := func(status string, outcome choreo.Outcome, owed int) {
		t.Helper()
		page, _, err := saga.List(t.Context(), s.DB, status, 0, 10)
		if err != nil || len(page) != 1 || page[0].ID != id || page[0].Outcome != outcome || len(page[0].Owed) != owed {
			all, _ := json.Marshal(show(t, s, id))
			t.Fatalf("the list of those %s has %d (%v), want saga %s with outcome %s and %d owed: %s", status, len(page), err, id, outcome, owed, all)
		}
	}
	play()
	is(saga.Settled, "undone", 0)
	s.Given("start", func(_ context.Context, tx *choreo.Tx) error {
		tx.JoinSaga(id)
		tx.Emit(broke{script{ID: "k", Do: []script{{ID: "k", How: "nothing"}, {ID: "k", How: "fail"}}}})
		return nil
	})
	if _, err := sequencer.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
	advance(t, s)
	is(saga.Running, "failed", 0)
	play()
	is(saga.Settled, "failed", 1)
	mended = true
	if _, err := steps.Redo(t.Context(), s.DB, int64(s.Count(`select id from choreo.steps where state = 'gave-up'`)), steps.Action{Who: "ana"}); err != nil {
		t.Fatal(err)
	}
	advance(t, s)
	is(saga.Running, "failed", 1)
	play()
	is(saga.Settled, "failed", 0)
}
