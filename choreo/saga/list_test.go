package saga_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"pgregory.net/rapid"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
)

// A flow whose reactions do what the fact that they get tells them to: each
// script is a tree of reactions.
type script struct {
	ID string   `json:"id"`
	Do []script `json:"do"` // for the consumers of this fact, by their place
	// What a consumer does: emit, fail, park, wait or nothing.
	How string `json:"how"`
}

type start struct{ script }
type went struct{ script }
type broke struct{ script }
type took struct{ script }
type owes struct{ script }

func (s script) Key() string   { return s.ID }
func (start) FactType() string { return "plays.Started.v1" }
func (went) FactType() string  { return "plays.Went.v1" }
func (broke) FactType() string { return "plays.Broke.v1" }
func (took) FactType() string  { return "plays.TakenBack.v1" }
func (owes) FactType() string  { return "plays.TakeBackFailed.v1" }

func (s script) part(n int) script {
	if n < len(s.Do) {
		return s.Do[n]
	}
	return script{ID: s.ID, How: "nothing"}
}

// plain is a reaction that follows the n-th part of its script.
func plain[F choreo.Fact](n int, of func(F) script) func(context.Context, *choreo.Tx, choreo.Event[F]) error {
	return func(_ context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
		switch p := of(e.Fact).part(n); p.How {
		case "emit":
			tx.Emit(went{p})
		case "fail":
			tx.Emit(broke{p})
		case "park":
			return errors.New("it cannot be done")
		}
		return nil
	}
}

// call is an effect that follows the n-th part of its script; success and
// failure are the facts that come of it. Once mended, what was refused is done.
type call[F choreo.Fact] struct {
	n       int
	of      func(F) script
	success func(script) choreo.Fact
	mended  *bool
}

func (c call[F]) Load(_ context.Context, _ *choreo.Tx, e choreo.Event[F]) (script, error) {
	p := c.of(e.Fact).part(c.n)
	if p.How == "nothing" {
		return p, choreo.Skip
	}
	return p, nil
}

func (c call[F]) Call(_ context.Context, _ string, _ choreo.Event[F], p script) (script, error) {
	switch {
	case *c.mended || p.How == "emit":
		return p, nil
	case p.How == "fail":
		return p, choreo.Refused(errors.New("no"))
	}
	return p, errors.New("not now")
}

func (c call[F]) Record(_ context.Context, tx *choreo.Tx, _ choreo.Event[F], p script) error {
	tx.Emit(c.success(p))
	return nil
}

// theatre is the flow: everything that makes a saga what it is, and fed from the
// log, so that a test decides who takes what when.
func theatre(t *testing.T, mended *bool) (*choreotest.Stage, []*consume.Feeder, *steps.Runner) {
	t.Helper()
	ofStart, ofWent, ofBroke := func(f start) script { return f.script }, func(f went) script { return f.script }, func(f broke) script { return f.script }
	brittle := choreo.RetryPolicy{Base: time.Nanosecond, Factor: 1, Most: time.Nanosecond, Tries: 2}
	givenUp := func(_ context.Context, _ *choreo.Tx, e choreo.Event[went], _ error) (choreo.Fact, error) {
		return broke{e.Fact.part(0)}, nil
	}
	owed := func(_ context.Context, _ *choreo.Tx, e choreo.Event[broke], _ error) (choreo.Fact, error) {
		return owes{e.Fact.part(1)}, nil
	}
	flow, err := choreo.NewFlow(
		choreo.Command("start").Emits(start{}, went{}, broke{}),
		choreo.On("first", plain(0, ofStart)).Local().Emits(went{}).FailsWith(broke{}).Retry(brittle).Within(time.Nanosecond),
		choreo.On("second", plain(1, ofStart)).Local().Emits(went{}).FailsWith(broke{}).Retry(brittle).Within(time.Hour),
		choreo.On("late", plain(2, ofStart)).Local().Emits(went{}).FailsWith(broke{}).After(time.Hour).Within(time.Hour),
		choreo.OnEffect("effect", call[went]{0, ofWent, func(s script) choreo.Fact { return took{s} }, mended}).Local().
			Emits(took{}).FailsWith(broke{}).GivesUp(time.Hour, givenUp).Within(time.Hour),
		choreo.On("quiet", plain(0, ofBroke)).Local().Emits(went{}).FailsWith(broke{}).Retry(brittle),
		choreo.OnEffect("undo", call[broke]{1, ofBroke, func(s script) choreo.Fact { return took{s} }, mended}).Local().
			Undoes("effect").Emits(took{}).FailsWith(owes{}).GivesUp(time.Hour, owed).Within(time.Hour),
		choreo.Final(went{}, choreo.Completed),
		choreo.Final(took{}, choreo.Undone),
		choreo.Final(broke{}, choreo.Failed),
		choreo.Final(owes{}, choreo.Owed),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, choreo.Migrate)
	if _, err := s.DB.Pool().Exec(`insert into choreo.topics (topic, partitions) values ('plays', 3)`); err != nil {
		t.Fatal(err)
	}
	var feeders []*consume.Feeder
	for _, c := range flow.Consumers() {
		feeders = append(feeders, consume.NewFeeder(&consume.Applier{DB: s.DB, Consumer: c}, slog.New(slog.DiscardHandler)))
	}
	return s, feeders, steps.NewRunner(s.DB, flow.Consumers(), steps.Options{})
}

func scripts(id string, depth int) *rapid.Generator[script] {
	return rapid.Custom(func(t *rapid.T) script {
		s := script{ID: id, How: rapid.SampledFrom([]string{"emit", "emit", "fail", "park", "wait", "nothing"}).Draw(t, "how")}
		if depth > 0 && (s.How == "emit" || s.How == "fail") {
			s.Do = rapid.SliceOfN(scripts(id, depth-1), 0, 3).Draw(t, "do")
		}
		return s
	})
}

// advance moves the cursor until there is nothing to do, as if all that it is
// to look at again were due.
func advance(t testing.TB, s *choreotest.Stage) {
	t.Helper()
	if _, err := s.DB.Pool().Exec(`update choreo.sagas set look_at = choreo.troupe_now() where look_at is not null`); err != nil {
		t.Fatal(err)
	}
	choreotest.Eventually(t, "the cursor is at the end of the log", func() bool { // one that was killed may hold it still
		if _, err := saga.Advance(t.Context(), s.DB); err != nil {
			t.Fatal(err)
		}
		return s.Count(`select count(*) from choreo.log_head h, choreo.saga_cursor c where h.position = c.position
			and not exists (select from choreo.saga_touched)`) == 1
	})
}

// Whatever happens in whatever order, and wherever the cursor dies, a saga's row
// says what is shown of it.
func TestListsSayWhatSagasAre(t *testing.T) {
	t.Parallel()
	var mended bool
	s, feeders, runner := theatre(t, &mended)
	pool := s.DB.Pool()
	sequencer := relay.New(s.DB, nil, nothing{}, slog.New(slog.DiscardHandler))
	sagas, settled := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		mended = false
		var mine []string
		for range rapid.IntRange(1, 12).Draw(rt, "things") {
			switch rapid.SampledFrom([]string{"begin", "begin", "join", "take", "take", "take", "run", "operate", "rest", "cursor", "killed"}).Draw(rt, "thing") {
			case "begin":
				sagas++
				mine = append(mine, begin1(rt, s, fmt.Sprint("key-", sagas), ""))
			case "join":
				if len(mine) > 0 {
					begin1(rt, s, fmt.Sprint("key-", sagas), rapid.SampledFrom(mine).Draw(rt, "saga"))
				}
			case "take":
				sequence(rt, sequencer)
				for range rapid.IntRange(1, 4).Draw(rt, "feeds") {
					if _, err := rapid.SampledFrom(feeders).Draw(rt, "who").Feed(t.Context()); err != nil {
						rt.Fatal(err)
					}
				}
			case "run":
				runSteps(rt, pool, runner, 3)
			case "rest":
				for range 3 {
					sequence(rt, sequencer)
					for _, f := range feeders {
						if _, err := f.Feed(t.Context()); err != nil {
							rt.Fatal(err)
						}
					}
					runSteps(rt, pool, runner, 20)
				}
			case "operate":
				mended = true
				for i, id := range choreotest.Column[int64](rt, pool, `select id from choreo.steps where state in ('gave-up','parked') order by id desc limit 2`) {
					_, err := steps.Redo(t.Context(), s.DB, id, steps.Action{Who: "ana"})
					if i == 1 {
						_, err = steps.Drop(t.Context(), s.DB, id, steps.Action{Who: "ana", Reason: "a test"})
					}
					if err != nil && i == 0 && !errors.Is(err, steps.ErrLater) {
						rt.Fatal(err)
					}
				}
			case "cursor":
				if _, err := saga.AdvanceBy(t.Context(), s.DB, rapid.IntRange(1, 3).Draw(rt, "batch")); err != nil {
					rt.Fatal(err)
				}
			case "killed":
				ctx, kill := context.WithCancel(t.Context())
				after := rapid.IntRange(0, 3000).Draw(rt, "µs")
				time.AfterFunc(time.Duration(after)*time.Microsecond, kill)
				_, _ = saga.AdvanceBy(ctx, s.DB, 2)
				kill()
			}
		}
		sequence(rt, sequencer)
		advance(t, s)
		for _, id := range mine {
			if sameAsShown(rt, s, id) == saga.Settled {
				settled++
			}
		}
	})
	for _, size := range []int{1, 7, 1000} {
		sameInLists(t, s, size)
	}
	if sagas == 0 || settled == 0 {
		t.Errorf("%d sagas, %d of them settled: nothing was tested", sagas, settled)
	}
}
