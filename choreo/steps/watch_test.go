package steps_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/steps"
)

// answer is what the oven says when it is asked: nothing, yes or no.
type answer struct{ atomic.Value }

func (a *answer) ask() (string, bool, error) {
	switch a.Load() {
	case "yes":
		return "cake", true, nil
	case "no":
		return "", false, nil
	}
	return "", false, choreo.ErrOutcomeUnknown
}

// givesUp has an oven give up whose calls are lost, and that says what the answer
// says when asked. seen gets what the undo was handed, each time.
func givesUp(t *testing.T, a *answer, undone bool) (s *choreotest.Stage, id int64, seen *[]choreo.Undoing[string]) {
	t.Helper()
	seen = &[]choreo.Undoing[string]{}
	lines := []choreo.Line{
		choreo.Command("order").Emits(ordered{}),
		choreo.OnEffect("bake", oven{ask: a.ask, call: func(context.Context) (string, error) { return "", errors.New("no answer") }}).
			Emits(baked{}).FailsWith(burnt{}).GivesUp(time.Hour, burn),
	}
	if undone {
		lines = append(lines, choreo.On("bin", func(_ context.Context, tx *choreo.Tx, e choreo.Event[sentBack]) error {
			u, ok := choreo.UndoOf[string](tx)
			if !ok {
				return errors.New("handed no step")
			}
			*seen = append(*seen, u)
			tx.Emit(binned{e.Fact.CakeID})
			return nil
		}).Undoes("bake").Emits(binned{}))
	}
	flow, err := choreo.NewFlow(lines...)
	if err != nil {
		t.Fatal(err)
	}
	s = choreotest.New(t, flow, choreo.Migrate)
	s.When("bake", ordered{"c"}, "saga").Emits()
	id = makeDue(t, s, `due_at = choreo.troupe_now(), begun_at = begun_at - interval '2 hours'`)
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if facts(s, "cakes.Burnt.v1") != 1 {
		t.Fatal("it did not give up")
	}
	return s, id, seen
}

// watch has the runner ask, as if the step's time to be asked about had come.
func watch(t *testing.T, s *choreotest.Stage, id int64) {
	t.Helper()
	if _, err := s.DB.Pool().Exec(`update choreo.steps set watch_at = choreo.troupe_now() where id = $1 and watch_at is not null`, id); err != nil {
		t.Fatal(err)
	}
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).WatchOne(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, s *choreotest.Stage, consumer string) {
	t.Helper()
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), onlyStep(t, s, consumer).ID); err != nil {
		t.Fatal(err)
	}
}

func TestALateSuccessHasTheUndoRunAgain(t *testing.T) {
	t.Parallel()
	a := &answer{}
	s, id, seen := givesUp(t, a, true)
	s.When("bin", sentBack{"c"}, "saga").Emits(binned{"c"})
	watch(t, s, id)
	if len(*seen) != 1 || (*seen)[0].Known || !(*seen)[0].Begun {
		t.Fatalf("the undo was handed %+v", *seen)
	}
	a.Store("yes")
	watch(t, s, id)
	run(t, s, "bin")
	if len(*seen) != 2 || !(*seen)[1].Known || (*seen)[1].Result != "cake" {
		t.Fatalf("the undo was handed %+v, want it to know the late result", *seen)
	}
	watch(t, s, id) // nothing is watched any more
	run(t, s, "bin")
	if n := s.Count(`select count(distinct event_id) from choreo.outbox where type = 'cakes.Binned.v1'`); n != 2 || facts(s, "cakes.Binned.v1") != 2 {
		t.Errorf("%d facts of the undo, want one for each round", n)
	}
	if facts(s, "cakes.Baked.v1") != 0 || facts(s, "cakes.Burnt.v1") != 1 {
		t.Error("one step has one outcome: its late success emits no fact of its own")
	}
	if state := onlyStep(t, s, "bake").State; state != steps.Undone {
		t.Errorf("the step is %s", state)
	}
}

func TestALateSuccessBeforeItsUndo(t *testing.T) {
	t.Parallel()
	a := &answer{}
	s, id, seen := givesUp(t, a, true)
	a.Store("yes")
	watch(t, s, id)
	s.When("bin", sentBack{"c"}, "saga").Emits(binned{"c"})
	if len(*seen) != 1 || !(*seen)[0].Known || facts(s, "cakes.Baked.v1") != 0 {
		t.Errorf("the undo was handed %+v, want the late result", *seen)
	}
}

func TestALateSuccessThatNothingUndoesIsToldAfterAll(t *testing.T) {
	t.Parallel()
	a := &answer{}
	s, id, _ := givesUp(t, a, false)
	a.Store("yes")
	watch(t, s, id)
	watch(t, s, id)
	if facts(s, "cakes.Baked.v1") != 1 {
		t.Error("a late success that nothing undoes is to be told, once")
	}
	if step := onlyStep(t, s, "bake"); step.State != steps.Done || step.Round != 1 {
		t.Errorf("the step is %s in round %d", step.State, step.Round)
	}
}

func TestWatchingEnds(t *testing.T) {
	t.Parallel()
	watched := func(s *choreotest.Stage) int {
		return s.Count(`select count(*) from choreo.steps where watch_at is not null`)
	}
	t.Run("when it certainly did not happen", func(t *testing.T) {
		t.Parallel()
		a := &answer{}
		s, id, _ := givesUp(t, a, true)
		a.Store("no")
		if watched(s) != 1 {
			t.Fatal("it is not watched")
		}
		if watch(t, s, id); watched(s) != 0 {
			t.Error("it is watched for ever")
		}
	})
	t.Run("after a month", func(t *testing.T) {
		t.Parallel()
		s, id, _ := givesUp(t, &answer{}, true)
		watch(t, s, id)
		if watched(s) != 1 {
			t.Error("it is not watched any more after one answer that said nothing")
		}
		if _, err := s.DB.Pool().Exec(`update choreo.steps set watch_since = watch_since - interval '31 days'`); err != nil {
			t.Fatal(err)
		}
		if watch(t, s, id); watched(s) != 0 {
			t.Error("it is watched for ever")
		}
	})
	t.Run("when an operator has it redone", func(t *testing.T) {
		t.Parallel()
		s, id, _ := givesUp(t, &answer{}, true)
		if _, err := steps.Redo(t.Context(), s.DB, id, steps.Action{Who: "ana"}); err != nil {
			t.Fatal(err)
		}
		if watched(s) != 0 {
			t.Error("it runs, and is watched")
		}
	})
}

// An undo that is calling may have asked before the late success: it is redone
// when it has ended.
func TestALateSuccessWaitsForAnUndoThatIsCalling(t *testing.T) {
	t.Parallel()
	a := &answer{}
	s, id, _ := givesUp(t, a, true)
	s.When("bin", sentBack{"c"}, "saga").Emits(binned{"c"})
	set := func(state string) {
		if _, err := s.DB.Pool().Exec(`update choreo.steps set state = $1, lease_until = choreo.troupe_now() + interval '1 minute'
			where consumer = 'bin'`, state); err != nil {
			t.Fatal(err)
		}
	}
	set(steps.Calling)
	a.Store("yes")
	watch(t, s, id)
	if n := s.Count(`select count(*) from choreo.steps where consumer = 'bake' and result is null and watch_at is not null`); n != 1 {
		t.Error("the late success did not wait for the undo under way")
	}
	set(steps.Done)
	watch(t, s, id)
	if bin := onlyStep(t, s, "bin"); bin.State != steps.Waiting || bin.Round != 1 {
		t.Errorf("the undo is %s in round %d, want it redone", bin.State, bin.Round)
	}
}

func TestADelayedStepJoinsItsLineWhenItIsDue(t *testing.T) {
	t.Parallel()
	var took []string
	take := func(_ context.Context, _ *choreo.Tx, e choreo.Event[ordered]) error {
		took = append(took, "ordered "+e.ID)
		return nil
	}
	failing := true
	flow, err := choreo.NewFlow(
		choreo.Command("order").Emits(ordered{}),
		choreo.On("shelf", take).After(time.Minute),
		choreo.On("shelf", func(_ context.Context, _ *choreo.Tx, e choreo.Event[baked]) error {
			if failing {
				return errors.New("the shelf is full")
			}
			took = append(took, "baked "+e.ID)
			return nil
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	first := s.When("shelf", ordered{"c"}, "")
	second := s.When("shelf", ordered{"c"}, "")
	failing = false
	now := s.When("shelf", baked{"c"}, "")
	if want := []string{"baked " + now.EventID()}; !slices.Equal(took, want) || first.State != steps.Waiting {
		t.Fatalf("took %v, want %v: an event that is not due holds nobody up", took, want)
	}
	failing = true
	late := s.When("shelf", baked{"c"}, "") // to be tried again: it keeps its place
	exec := func(query string, args ...any) {
		if _, err := s.DB.Pool().Exec(query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`update choreo.steps set due_at = due_at - interval '1 minute' where place is null`)
	s.Again(second) // it is due, and behind the one that is tried again
	if len(took) != 1 {
		t.Fatalf("took %v: what is due overtook its line", took)
	}
	failing = false
	exec(`update choreo.steps set due_at = choreo.troupe_now() where place is not null`)
	for _, r := range []*choreotest.Result{late, first, second} {
		s.Again(r)
	}
	want := []string{"baked " + now.EventID(), "baked " + late.EventID(), "ordered " + first.EventID(), "ordered " + second.EventID()}
	if !slices.Equal(took, want) {
		t.Errorf("took %v, want %v", took, want)
	}
}
