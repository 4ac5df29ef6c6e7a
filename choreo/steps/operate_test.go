package steps_test

import (
	"context"
	"errors"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/steps"
)

func onlyStep(t *testing.T, s *choreotest.Stage, consumer string) steps.Info {
	t.Helper()
	list, err := steps.List(t.Context(), s.DB, steps.Filter{Consumer: consumer}, 10)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d steps (%v), want one", len(list), err)
	}
	return list[0]
}

func TestAStepThatGaveUpIsRedone(t *testing.T) {
	t.Parallel()
	fail := true
	s := bakery(t, oven{call: func(context.Context) (string, error) {
		if fail {
			return "", choreo.Refused(errors.New("the oven is sold"))
		}
		return "cake", nil
	}})
	s.When("bake", ordered{"c"}, "saga").Emits(burnt{"c", "failed"})
	step := onlyStep(t, s, "bake")
	if err := steps.Drop(t.Context(), s.DB, step.ID, "never mind"); err == nil {
		t.Error("a step that gave up was dropped")
	}
	if err := steps.Redo(t.Context(), s.DB, step.ID, false); err != nil {
		t.Fatal(err)
	}
	fail = false
	if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), step.ID); err != nil {
		t.Fatal(err)
	}
	if facts(s, "cakes.Burnt.v1") != 1 || facts(s, "cakes.Baked.v1") != 1 {
		t.Error("a redone step says what came of it this time, once")
	}
	if again := onlyStep(t, s, "bake"); again.State != steps.Done || again.Round != 1 {
		t.Errorf("the redone step is %s in round %d", again.State, again.Round)
	}
	if err := steps.Redo(t.Context(), s.DB, step.ID, false); err == nil {
		t.Error("a step that is done was redone without force")
	}
}

func TestAnUndoneStepIsNotRedone(t *testing.T) {
	t.Parallel()
	s := bakery(t, oven{call: func(context.Context) (string, error) { return "cake", nil }})
	s.When("bake", ordered{"c"}, "saga").Emits(baked{"c"})
	s.When("bin", sentBack{"c"}, "saga").Emits(binned{"c"})
	if err := steps.Redo(t.Context(), s.DB, onlyStep(t, s, "bake").ID, false); !errors.Is(err, steps.ErrUndone) {
		t.Errorf("redoing an undone step: %v", err)
	}
	if err := steps.Redo(t.Context(), s.DB, 4711, false); !errors.Is(err, steps.ErrNoStep) {
		t.Errorf("redoing no step: %v", err)
	}
}

func TestAStepThatWaitsIsDroppedWithAReason(t *testing.T) {
	t.Parallel()
	s := bakery(t, oven{call: func(context.Context) (string, error) { return "", errors.New("cold") }})
	s.When("bake", ordered{"c"}, "saga").Emits()
	s.When("bake", ordered{"c"}, "other").Emits()
	list, err := steps.List(t.Context(), s.DB, steps.Filter{Saga: "saga"}, 10)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := steps.Redo(t.Context(), s.DB, list[0].ID, true); !errors.Is(err, steps.ErrNotEnded) {
		t.Errorf("redoing a step that waits: %v", err)
	}
	if err := steps.Drop(t.Context(), s.DB, list[0].ID, ""); !errors.Is(err, steps.ErrNoReason) {
		t.Errorf("dropping without a reason: %v", err)
	}
	if err := steps.Drop(t.Context(), s.DB, list[0].ID, "the customer left"); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from choreo.steps where saga = 'other' and head`); n != 1 {
		t.Error("the next of the line does not wake when the one before it is dropped")
	}
}
