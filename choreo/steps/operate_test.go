package steps_test

import (
	"context"
	"errors"
	"testing"
	"time"

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
	if _, err := steps.Drop(t.Context(), s.DB, step.ID, steps.Action{Who: "ana", Reason: "never mind"}); err == nil {
		t.Error("a step that gave up was dropped")
	}
	if _, err := steps.Redo(t.Context(), s.DB, step.ID, steps.Action{Who: "ana"}); err != nil {
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
	if _, err := steps.Redo(t.Context(), s.DB, step.ID, steps.Action{Who: "ana"}); err == nil {
		t.Error("a step that is done was redone without force")
	}
}

func TestAnUndoneStepIsNotRedone(t *testing.T) {
	t.Parallel()
	s := bakery(t, oven{call: func(context.Context) (string, error) { return "cake", nil }})
	s.When("bake", ordered{"c"}, "saga").Emits(baked{"c"})
	s.When("bin", sentBack{"c"}, "saga").Emits(binned{"c"})
	if _, err := steps.Redo(t.Context(), s.DB, onlyStep(t, s, "bake").ID, steps.Action{Who: "ana"}); !errors.Is(err, steps.ErrUndone) {
		t.Errorf("redoing an undone step: %v", err)
	}
	if _, err := steps.Redo(t.Context(), s.DB, 4711, steps.Action{Who: "ana"}); !errors.Is(err, steps.ErrNoStep) {
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
	if _, err := steps.Redo(t.Context(), s.DB, list[0].ID, steps.Action{Who: "ana", Force: true}); !errors.Is(err, steps.ErrNotEnded) {
		t.Errorf("redoing a step that waits: %v", err)
	}
	if _, err := steps.Drop(t.Context(), s.DB, list[0].ID, steps.Action{Who: "ana", Reason: ""}); !errors.Is(err, steps.ErrNoReason) {
		t.Errorf("dropping without a reason: %v", err)
	}
	if _, err := steps.Drop(t.Context(), s.DB, list[0].ID, steps.Action{Who: "ana", Reason: "the customer left"}); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from choreo.steps where saga = 'other' and head`); n != 1 {
		t.Error("the next of the line does not wake when the one before it is dropped")
	}
}

// labelled is an order that says what is to stand on the cake.
type labelled struct {
	CakeID string `json:"cakeId"`
	Label  string `json:"label"`
}

func (labelled) FactType() string { return "cakes.Labelled.v1" }
func (f labelled) Key() string    { return f.CakeID }

// icing writes labels, and remembers what it was told under which key.
type icing struct {
	told map[string]string
	ask  func() (string, bool, error)
}

func (icing) Load(context.Context, *choreo.Tx, choreo.Event[labelled]) (int, error) { return 0, nil }
func (i icing) Call(_ context.Context, key string, e choreo.Event[labelled], _ int) (string, error) {
	if i.told[key] = e.Fact.Label; e.Fact.Label == "" {
		return "", choreo.Refused(errors.New("nothing to write"))
	}
	return e.Fact.Label, nil
}
func (icing) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[labelled], _ string) error {
	tx.Emit(baked{e.Fact.CakeID})
	return nil
}
func (i icing) Ask(context.Context, string) (string, bool, error) { return i.ask() }

func TestAStepIsEdited(t *testing.T) {
	t.Parallel()
	answer := func() (string, bool, error) { return "", false, nil }
	i := icing{told: map[string]string{}, ask: func() (string, bool, error) { return answer() }}
	flow, err := choreo.NewFlow(
		choreo.Command("order").Emits(labelled{}),
		choreo.OnEffect("ice", i).Emits(baked{}).FailsWith(burnt{}).GivesUp(time.Hour,
			func(_ context.Context, _ *choreo.Tx, e choreo.Event[labelled], _ error) (choreo.Fact, error) {
				return burnt{e.Fact.CakeID, "failed"}, nil
			}),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	r := s.When("ice", labelled{"c", ""}, "saga")
	r.Emits(burnt{"c", "failed"})
	id := onlyStep(t, s, "ice").ID
	edit := func(data string, a steps.Action) (steps.Change, error) {
		return steps.Edit(t.Context(), s.DB, id, []byte(data), a)
	}
	good, ana := `{"cakeId":"c","label":"Ada"}`, steps.Action{Who: "ana"}
	for name, c := range map[string]struct {
		data   string
		action steps.Action
		want   error
	}{
		"nobody":      {good, steps.Action{}, steps.ErrNoWho},
		"another key": {`{"cakeId":"d","label":"Ada"}`, ana, steps.ErrOtherKey},
		"no fact":     {`{"cakeId":`, ana, steps.ErrNoRule},
	} {
		if _, err := edit(c.data, c.action); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	answer = func() (string, bool, error) { return "Ada", true, nil }
	if _, err := edit(good, ana); !errors.Is(err, steps.ErrHappened) {
		t.Errorf("the old call has happened: %v", err)
	}
	answer = func() (string, bool, error) { return "", false, choreo.ErrOutcomeUnknown }
	if _, err := edit(good, ana); !errors.Is(err, steps.ErrUnsure) {
		t.Errorf("the old call may have happened: %v", err)
	}
	answer = func() (string, bool, error) { return "", false, nil }
	change, err := edit(good, ana)
	if err != nil || change.Who != "ana" || change.Before.State != steps.GaveUp || change.After.State != steps.Waiting || change.After.Round != 1 {
		t.Fatalf("%+v, %v", change, err)
	}
	run(t, s, "ice")
	if facts(s, "cakes.Baked.v1") != 1 || len(i.told) != 2 || i.told["ice:"+r.EventID()+"~1"] != "Ada" {
		t.Errorf("told %v, want the new data under a new key", i.told)
	}
	d, err := steps.Show(t.Context(), s.DB, id)
	if err != nil || string(d.Data) != good || d.State != steps.Done || d.EffectKey != "ice:"+r.EventID()+"~1" {
		t.Errorf("shown %+v, %v", d, err)
	}
	if _, err := edit(good, ana); !errors.Is(err, steps.ErrHappened) && !errors.Is(err, steps.ErrLater) {
		t.Errorf("editing a step that is done: %v", err)
	}
}
