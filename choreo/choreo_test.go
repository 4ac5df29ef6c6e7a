package choreo_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
)

// A small choreography of the tests' own: a parcel is packed, stamped by an
// effect, and unpacked again when it is recalled.
type packed struct {
	ParcelID string `json:"parcelId"`
}
type stamped struct {
	ParcelID string `json:"parcelId"`
	Number   int    `json:"number"`
}
type stampFailed struct {
	ParcelID string `json:"parcelId"`
	Reason   string `json:"reason"`
}
type recalled struct {
	ParcelID string `json:"parcelId"`
}
type unstamped struct {
	ParcelID string `json:"parcelId"`
	Had      bool   `json:"had"`
	Number   int    `json:"number"`
}
type secret struct {
	ParcelID string `json:"parcelId"`
}

func (packed) FactType() string             { return "parcels.Packed.v1" }
func (f packed) Key() string                { return f.ParcelID }
func (stamped) FactType() string            { return "parcels.Stamped.v1" }
func (f stamped) Key() string               { return f.ParcelID }
func (stampFailed) FactType() string        { return "parcels.StampFailed.v1" }
func (f stampFailed) Key() string           { return f.ParcelID }
func (f stampFailed) FailureReason() string { return f.Reason }
func (recalled) FactType() string           { return "parcels.Recalled.v1" }
func (f recalled) Key() string              { return f.ParcelID }
func (unstamped) FactType() string          { return "parcels.Unstamped.v1" }
func (f unstamped) Key() string             { return f.ParcelID }
func (secret) FactType() string             { return "parcels.Secret.v1" }
func (f secret) Key() string                { return f.ParcelID }

// stamp is an effect whose call does what the test says.
type stamp struct {
	call func(key string) (int, error)
	ask  func(key string) (int, bool, error)
}

func (stamp) Load(_ context.Context, _ *choreo.Tx, e choreo.Event[packed]) (string, error) {
	if e.Fact.ParcelID == "empty" {
		return "", choreo.Skip
	}
	return "input", nil
}

func (s stamp) Call(_ context.Context, key string, _ choreo.Event[packed], in string) (int, error) {
	if in != "input" {
		return 0, errors.New("the input got lost")
	}
	return s.call(key)
}

func (stamp) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[packed], n int) error {
	tx.Emit(stamped{e.Fact.ParcelID, n})
	return nil
}

func (s stamp) Ask(_ context.Context, key string) (int, bool, error) { return s.ask(key) }

func givenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[packed], err error) (choreo.Fact, error) {
	reason := "failed"
	if errors.Is(err, choreo.ErrOutcomeUnknown) {
		reason = "unknown"
	}
	return stampFailed{e.Fact.ParcelID, reason}, nil
}

func unstamp(_ context.Context, tx *choreo.Tx, e choreo.Event[recalled]) error {
	u, ok := choreo.UndoOf[int](tx)
	if !ok {
		return errors.New("an undo without a step to undo")
	}
	tx.Emit(unstamped{e.Fact.ParcelID, u.Begun && u.Known, u.Result})
	return nil
}

func stage(t *testing.T, s stamp, more ...choreo.Line) *choreotest.Stage {
	t.Helper()
	flow, err := choreo.NewFlow(append([]choreo.Line{
		choreo.Command("pack").Emits(packed{}, recalled{}),
		choreo.OnEffect("stamp", s).Emits(stamped{}).FailsWith(stampFailed{}).GivesUp(time.Hour, givenUp),
		choreo.On("unstamp", unstamp).Undoes("stamp").Emits(unstamped{}),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, choreo.Migrate)
}

func TestAnEffectHasOneOutcome(t *testing.T) {
	t.Parallel()
	calls := 0
	s := stage(t, stamp{call: func(string) (int, error) { calls++; return 7, nil }})
	r := s.When("stamp", packed{"p"}, "saga")
	r.Emits(stamped{"p", 7})
	s.Again(r).Emits(stamped{"p", 7}) // still the one of the first time
	if calls != 1 {
		t.Errorf("called %d times", calls)
	}
}

func TestHowAnEffectEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for name, c := range map[string]struct {
		parcel string
		err    error
		state  string
		want   []choreo.Fact
	}{
		"it succeeds":       {"p", nil, "done", []choreo.Fact{stamped{"p", 1}}},
		"nothing to call":   {"empty", broken, "done", nil},
		"it is refused":     {"p", choreo.Refused(broken), "gave-up", []choreo.Fact{stampFailed{"p", "failed"}}},
		"it is tried again": {"p", broken, "waiting", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stage(t, stamp{call: func(string) (int, error) { return 1, c.err }})
			r := s.When("stamp", packed{c.parcel}, "")
			r.Emits(c.want...)
			if r.State != c.state {
				t.Errorf("the step is %s (%s), want %s", r.State, r.Error, c.state)
			}
		})
	}
}

func TestAnUndo(t *testing.T) {
	t.Parallel()
	t.Run("gets the result of the step", func(t *testing.T) {
		t.Parallel()
		s := stage(t, stamp{call: func(string) (int, error) { return 42, nil }})
		s.When("stamp", packed{"p"}, "saga").Emits(stamped{"p", 42})
		s.When("unstamp", recalled{"p"}, "saga").Emits(unstamped{"p", true, 42})
	})
	t.Run("that comes first stops the step", func(t *testing.T) {
		t.Parallel()
		s := stage(t, stamp{call: func(string) (int, error) { t.Error("called after its undo"); return 0, nil }})
		s.When("unstamp", recalled{"p"}, "saga").Emits(unstamped{"p", false, 0})
		s.When("stamp", packed{"p"}, "saga").Emits()
	})
	t.Run("stops a step that waits for its next try", func(t *testing.T) {
		t.Parallel()
		s := stage(t, stamp{call: func(string) (int, error) { return 0, errors.New("down") }})
		s.When("stamp", packed{"p"}, "saga").Emits()
		s.When("unstamp", recalled{"p"}, "saga").Emits(unstamped{"p", false, 0})
	})
	t.Run("leaves the steps of other sagas and keys alone", func(t *testing.T) {
		t.Parallel()
		s := stage(t, stamp{call: func(string) (int, error) { return 1, nil }})
		s.When("unstamp", recalled{"p"}, "saga").Emits(unstamped{"p", false, 0})
		s.When("stamp", packed{"p"}, "other").Emits(stamped{"p", 1})
		s.When("stamp", packed{"q"}, "saga").Emits(stamped{"q", 1})
	})
}

func TestInTransactionAndDomainFacts(t *testing.T) {
	t.Parallel()
	reject := false
	check := func(_ context.Context, tx *choreo.Tx, e choreo.Event[secret]) error {
		if reject {
			tx.Emit(stampFailed{e.Fact.ParcelID, "not today"})
			return nil
		}
		tx.Emit(packed{e.Fact.ParcelID})
		return nil
	}
	s := stage(t, stamp{},
		choreo.Domain(secret{}),
		choreo.Command("start").Emits(secret{}),
		choreo.On("check", check).InTransaction().Emits(packed{}).FailsWith(stampFailed{}))
	start := func(_ context.Context, tx *choreo.Tx) error { tx.Emit(secret{"p"}); return nil }
	receipt := s.Given("start", start)
	types := func() []string {
		return choreotest.Column[string](t, s.DB.Pool(), `select type || ' by ' || emitter || ' of ' || saga from choreo.outbox order by id`)
	}
	if got := types(); len(got) != 1 || got[0] != "parcels.Packed.v1 by check of "+receipt.Saga {
		t.Errorf("the outbox holds %v: want the reaction's fact alone", got)
	}
	reject = true
	_, err := choreo.Commit(t.Context(), s.DB, "start", start)
	var rejected *choreo.RejectedError
	if !errors.As(err, &rejected) || choreo.Reason(rejected.Fact) != "not today" {
		t.Errorf("err is %v, want a rejection with its reason", err)
	}
	if got := types(); len(got) != 1 {
		t.Errorf("a rejected command left %v", got)
	}
}

func TestEmittingAnUndeclaredFactFailsTheCommand(t *testing.T) {
	t.Parallel()
	s := stage(t, stamp{})
	_, err := choreo.Commit(t.Context(), s.DB, "pack", func(_ context.Context, tx *choreo.Tx) error {
		tx.Emit(stamped{"p", 1})
		return nil
	})
	if !errors.Is(err, choreo.ErrUndeclared) {
		t.Errorf("err is %v, want ErrUndeclared", err)
	}
}

func TestFactsThatAreNotWholeFailTheCommand(t *testing.T) {
	t.Parallel()
	s := stage(t, stamp{})
	for name, id := range map[string]string{"no key": "", "a key too long": strings.Repeat("x", 256), "a key that is no text": "a\x00b"} {
		_, err := choreo.Commit(t.Context(), s.DB, "pack", func(_ context.Context, tx *choreo.Tx) error {
			tx.Emit(packed{id})
			return nil
		})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
