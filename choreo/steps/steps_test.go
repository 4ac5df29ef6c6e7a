package steps_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/steps"
)

type ordered struct {
	CakeID string `json:"cakeId"`
}
type baked struct {
	CakeID string `json:"cakeId"`
}
type burnt struct {
	CakeID string `json:"cakeId"`
	Reason string `json:"reason"`
}
type sentBack struct {
	CakeID string `json:"cakeId"`
}
type binned struct {
	CakeID string `json:"cakeId"`
}

func (ordered) FactType() string  { return "cakes.Ordered.v1" }
func (f ordered) Key() string     { return f.CakeID }
func (baked) FactType() string    { return "cakes.Baked.v1" }
func (f baked) Key() string       { return f.CakeID }
func (burnt) FactType() string    { return "cakes.Burnt.v1" }
func (f burnt) Key() string       { return f.CakeID }
func (sentBack) FactType() string { return "cakes.SentBack.v1" }
func (f sentBack) Key() string    { return f.CakeID }
func (binned) FactType() string   { return "cakes.Binned.v1" }
func (f binned) Key() string      { return f.CakeID }

type oven struct {
	call func(context.Context) (string, error)
	ask  func() (string, bool, error)
}

func (oven) Load(context.Context, *choreo.Tx, choreo.Event[ordered]) (int, error) { return 0, nil }
func (o oven) Call(ctx context.Context, _ string, _ choreo.Event[ordered], _ int) (string, error) {
	return o.call(ctx)
}
func (oven) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[ordered], _ string) error {
	tx.Emit(baked{e.Fact.CakeID})
	return nil
}
func (o oven) Ask(context.Context, string) (string, bool, error) { return o.ask() }

func burn(_ context.Context, _ *choreo.Tx, e choreo.Event[ordered], cause error) (choreo.Fact, error) {
	if errors.Is(cause, choreo.ErrOutcomeUnknown) {
		return burnt{e.Fact.CakeID, "unknown"}, nil
	}
	return burnt{e.Fact.CakeID, "failed"}, nil
}

func bin(_ context.Context, tx *choreo.Tx, e choreo.Event[sentBack]) error {
	tx.Emit(binned{e.Fact.CakeID})
	return nil
}

func bakery(t *testing.T, o oven) *choreotest.Stage {
	t.Helper()
	flow, err := choreo.NewFlow(
		choreo.Command("order").Emits(ordered{}),
		choreo.OnEffect("bake", o).Emits(baked{}).FailsWith(burnt{}).GivesUp(time.Hour, burn),
		choreo.On("bin", bin).Undoes("bake").Emits(binned{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, choreo.Migrate)
}

// makeDue makes the steps due now, as if their back-off had passed.
func makeDue(t *testing.T, s *choreotest.Stage, set string) int64 {
	t.Helper()
	var id int64
	if err := s.DB.Pool().QueryRow(`update choreo.steps set ` + set + ` returning id`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func facts(s *choreotest.Stage, typ string) int {
	return s.Count(`select count(*) from choreo.outbox where type = $1`, typ)
}

func TestGivingUpAfterTheTimeAsksFirst(t *testing.T) {
	t.Parallel()
	down := errors.New("the oven is cold")
	for name, c := range map[string]struct {
		ask    func() (string, bool, error)
		fact   string
		reason string
	}{
		"it had happened": {func() (string, bool, error) { return "cake", true, nil }, "cakes.Baked.v1", ""},
		"it had not":      {func() (string, bool, error) { return "", false, nil }, "cakes.Burnt.v1", "failed"},
		"nobody can say":  {func() (string, bool, error) { return "", false, down }, "cakes.Burnt.v1", "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := bakery(t, oven{call: func(context.Context) (string, error) { return "", down }, ask: c.ask})
			s.When("bake", ordered{"c"}, "saga").Emits()
			id := makeDue(t, s, `due_at = choreo.troupe_now(), begun_at = begun_at - interval '2 hours'`)
			if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if facts(s, c.fact) != 1 || s.Count(`select count(*) from choreo.outbox`) != 1 {
				t.Errorf("want %s and nothing else", c.fact)
			}
			if c.reason != "" && s.Count(`select count(*) from choreo.outbox where convert_from(data, 'UTF8')::json->>'reason' = $1`, c.reason) != 1 {
				t.Errorf("want the reason %q", c.reason)
			}
		})
	}
}

func TestAStepNeverGivesUpOnTheClockAlone(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	s := bakery(t, oven{call: func(context.Context) (string, error) {
		if calls.Add(1) == 1 {
			return "", errors.New("the oven is cold")
		}
		return "cake", nil
	}, ask: func() (string, bool, error) { return "", false, nil }})
	s.When("bake", ordered{"c"}, "saga").Emits()
	id := makeDue(t, s, `due_at = choreo.troupe_now() - interval '9 days', begun_at = begun_at - interval '9 days'`)
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if facts(s, "cakes.Baked.v1") != 1 || facts(s, "cakes.Burnt.v1") != 0 {
		t.Error("after an outage of ours the step is to be tried, not given up")
	}
}

func TestACallWhoseRunnerDiedIsTakenOverAndHasOneOutcome(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	var calls atomic.Int32
	s := bakery(t, oven{call: func(context.Context) (string, error) {
		if calls.Add(1) == 1 {
			close(started)
			<-release // a zombie: it answers after its lease was taken over
		}
		return "cake", nil
	}})
	done := make(chan struct{})
	go func() { defer close(done); s.When("bake", ordered{"c"}, "saga") }()
	<-started
	id := makeDue(t, s, `lease_until = choreo.troupe_now() - interval '1 second'`)
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	close(release)
	<-done
	if n := facts(s, "cakes.Baked.v1"); n != 1 {
		t.Errorf("%d outcomes of one step", n)
	}
}

func TestAnUndoWaitsForACallUnderWay(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	s := bakery(t, oven{call: func(context.Context) (string, error) {
		close(started)
		<-release
		return "cake", nil
	}})
	done := make(chan struct{})
	go func() { defer close(done); s.When("bake", ordered{"c"}, "saga").Emits(baked{"c"}) }()
	<-started
	r := s.When("bin", sentBack{"c"}, "saga")
	r.Emits()
	if r.State != "waiting" {
		t.Errorf("the undo is %s, want it waiting", r.State)
	}
	close(release)
	<-done
	var id int64
	if err := s.DB.Pool().QueryRow(`update choreo.steps set due_at = choreo.troupe_now() where consumer = 'bin' returning id`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if facts(s, "cakes.Binned.v1") != 1 {
		t.Error("the undo did not run after the call")
	}
	if n := s.Count(`select count(*) from choreo.steps where consumer = 'bake' and state = 'undone'`); n != 1 {
		t.Error("the step does not show that it was undone")
	}
}
