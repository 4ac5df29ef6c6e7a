package saga_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/saga"
)

type asked struct {
	TripID string `json:"tripId"`
}
type begun struct {
	TripID string `json:"tripId"`
}
type booked struct {
	TripID string `json:"tripId"`
}
type refused struct {
	TripID string `json:"tripId"`
	Reason string `json:"reason"`
}
type stuck struct {
	TripID string `json:"tripId"`
	Reason string `json:"reason"`
}

func (asked) FactType() string   { return "trips.Asked.v1" }
func (f asked) Key() string      { return f.TripID }
func (begun) FactType() string   { return "trips.Begun.v1" }
func (f begun) Key() string      { return f.TripID }
func (booked) FactType() string  { return "trips.Booked.v1" }
func (f booked) Key() string     { return f.TripID }
func (refused) FactType() string { return "trips.Refused.v1" }
func (f refused) Key() string    { return f.TripID }
func (stuck) FactType() string   { return "trips.Stuck.v1" }
func (f stuck) Key() string      { return f.TripID }

func begin(_ context.Context, tx *choreo.Tx, e choreo.Event[asked]) error {
	tx.Emit(begun{e.Fact.TripID})
	return nil
}

func book(_ context.Context, tx *choreo.Tx, e choreo.Event[begun]) error {
	switch e.Fact.TripID {
	case "full":
		tx.Emit(refused{e.Fact.TripID, "full"})
	case "broken":
		return errors.New("no such trip")
	default:
		tx.Emit(booked{e.Fact.TripID})
	}
	return nil
}

func unbook(_ context.Context, tx *choreo.Tx, e choreo.Event[refused]) error {
	tx.Emit(stuck{e.Fact.TripID, "the desk is closed"})
	return nil
}

func agency(t *testing.T) *choreotest.Stage {
	t.Helper()
	flow, err := choreo.NewFlow(
		choreo.Domain(asked{}),
		choreo.Command("ask").Emits(asked{}),
		choreo.On("begin", begin).InTransaction().Emits(begun{}),
		choreo.On("book", book).Emits(booked{}).FailsWith(refused{}).Within(time.Minute).
			Retry(choreo.RetryPolicy{Base: time.Millisecond, Factor: 1, Most: time.Millisecond, Tries: 2}),
		choreo.On("unbook", unbook).Undoes("book").FailsWith(stuck{}).Within(time.Minute),
		choreo.Final(booked{}, choreo.Completed),
		choreo.Final(refused{}, choreo.Failed),
		choreo.Final(stuck{}, choreo.Owed),
	)
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, choreo.Migrate)
}

func show(t *testing.T, s *choreotest.Stage, id string) *saga.Saga {
	t.Helper()
	g, err := saga.Show(t.Context(), s.DB, id)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func TestWhatASagaTells(t *testing.T) {
	t.Parallel()
	s := agency(t)
	ids := map[string]string{}
	for _, trip := range []string{"fine", "full", "broken"} {
		ids[trip] = s.Emit("ask", asked{trip}).Saga
	}
	before := show(t, s, ids["fine"])
	if before.Status != "running" || len(before.Expected) != 1 || before.Expected[0].Consumer != "book" || before.StartedBy != "ask" {
		t.Errorf("before anything runs: %+v", before)
	}
	s.Perform()
	for trip, want := range map[string]struct {
		status  string
		outcome choreo.Outcome
	}{
		"fine": {"settled", "completed"}, "full": {"settled", "failed"}, "broken": {"parked", ""},
	} {
		choreotest.Eventually(t, trip+" is "+want.status, func() bool { return show(t, s, ids[trip]).Status == want.status })
		if g := show(t, s, ids[trip]); g.Outcome != want.outcome {
			t.Errorf("%s: the outcome is %q, want %q", trip, g.Outcome, want.outcome)
		}
	}
	if owed := show(t, s, ids["full"]).Owed; len(owed) != 1 || owed[0] != (saga.Owed{Undo: "unbook", Of: "book", Reason: "the desk is closed"}) {
		t.Errorf("owed is %+v", owed)
	}
	advance(t, s)
	settled, _, err := saga.List(t.Context(), s.DB, "settled", 0, 10)
	if err != nil || len(settled) != 2 {
		t.Errorf("%d settled sagas listed (%v), want 2", len(settled), err)
	}
	if _, err := saga.Show(t.Context(), s.DB, "nobody"); !errors.Is(err, saga.ErrNotFound) {
		t.Errorf("an unknown saga: %v", err)
	}
}

func TestAReactionThatIsLateIsOverdue(t *testing.T) {
	t.Parallel()
	s := agency(t)
	id := s.Emit("ask", asked{"late"}).Saga
	if _, err := s.DB.Pool().Exec(`update choreo.outbox set at = at - interval '2 minutes'`); err != nil {
		t.Fatal(err)
	}
	g := show(t, s, id)
	if g.Status != "overdue" || g.Expected[0].DueAt == nil {
		body, _ := json.Marshal(g)
		t.Errorf("a reaction expected a minute ago: %s", body)
	}
}

// An undo that failed is no outcome: the saga was taken back, and owes something.
// Before any final fact there is none, which is null.
func TestOwedIsUndone(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(
		choreo.Command("ask").Emits(begun{}),
		choreo.On("book", book).Emits(booked{}).FailsWith(refused{}).Within(time.Minute),
		choreo.On("unbook", unbook).Undoes("book").FailsWith(stuck{}).Within(time.Minute),
		choreo.Final(booked{}, choreo.Completed),
		choreo.Final(stuck{}, choreo.Owed),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	id := s.Emit("ask", begun{"full"}).Saga
	if body, err := json.Marshal(show(t, s, id)); err != nil || !strings.Contains(string(body), `"outcome":null`) {
		t.Errorf("before anything has ended: %s (%v)", body, err)
	}
	s.Perform()
	choreotest.Eventually(t, "the saga is settled", func() bool { return show(t, s, id).Status == saga.Settled })
	if g := show(t, s, id); g.Outcome != "undone" || len(g.Owed) != 1 {
		t.Errorf("the outcome is %q, owed %+v; want undone, and one owed", g.Outcome, g.Owed)
	}
}
