package tutorial_test

import (
	"context"
	"testing"

	"troupe/choreo"
	"troupe/choreo/check"
	"troupe/choreo/choreotest"
	"troupe/choreo/saga"
	"troupe/examples/tutorial"
)

// box is a letter box.
type box chan string

func (b box) Send(_ context.Context, _, _, trip string) error { b <- trip; return nil }

func open(t *testing.T, post tutorial.Post) *choreotest.Stage {
	t.Helper()
	flow, err := tutorial.Flow(post)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, tutorial.Migrate)
	if _, err := s.DB.Pool().ExecContext(t.Context(), `insert into balances values ('ada', 10000)`); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTheFlowIsSound(t *testing.T) {
	flow, err := tutorial.Flow(make(box, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range check.Flow(flow, check.Options{}).Findings {
		t.Error(f)
	}
}

func TestChargeFare(t *testing.T) {
	t.Parallel()
	s := open(t, make(box, 1))
	s.When("charge-fare", tutorial.SeatHeld{TripID: "t1", Traveler: "ada", Fare: 9000}, "").
		Emits(tutorial.FareCharged{TripID: "t1", Traveler: "ada"})
	s.When("charge-fare", tutorial.SeatHeld{TripID: "t2", Traveler: "ada", Fare: 9000}, "").
		Emits(tutorial.FareRefused{TripID: "t2", Reason: "balance"})
}

func TestTwoTripsForTheMoneyOfOne(t *testing.T) {
	t.Parallel()
	post := make(box, 2)
	s := open(t, post)
	s.Perform() // a Kafka broker, the relay, all consumers
	for _, c := range []struct {
		trip    string
		outcome choreo.Outcome
	}{{"there", choreo.Completed}, {"back", choreo.Undone}} {
		receipt, err := tutorial.Book(t.Context(), s.DB, tutorial.TripBooked{TripID: c.trip, Traveler: "ada", Fare: 9000})
		if err != nil {
			t.Fatal(err)
		}
		settled := story(t, s.DB, receipt.Saga)
		if settled.Outcome != c.outcome {
			t.Errorf("the trip %s is %s, want %s", c.trip, settled.Outcome, c.outcome)
		}
	}
	if n := s.Count(`select count(*) from seats`); n != 1 || len(post) != 1 {
		t.Errorf("%d seats are held and %d tickets sent, want one of each", n, len(post))
	}
	if s.Count(`select cents from balances where traveler = 'ada'`) != 1000 {
		t.Error("Ada has paid for something else than one trip")
	}
}

// story waits until a saga has settled, and tells it.
func story(t *testing.T, db *choreo.DB, id string) (s *saga.Saga) {
	t.Helper()
	choreotest.Eventually(t, "the saga has settled", func() (settled bool) {
		var err error
		s, err = saga.Show(t.Context(), db, id)
		return err == nil && s.Status == saga.Settled
	})
	for _, step := range s.Steps {
		t.Logf("%-13s %s", step.Consumer, step.Event)
	}
	return s
}
