package consume_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/steps"
)

type counted struct {
	CoinID string `json:"coinId"`
	N      int    `json:"n"`
}
type lost struct {
	CoinID string `json:"coinId"`
}

func (counted) FactType() string { return "coins.Counted.v1" }
func (f counted) Key() string    { return f.CoinID }
func (lost) FactType() string    { return "coins.Lost.v1" }
func (f lost) Key() string       { return f.CoinID }

// bank is a flow whose consumer count writes coins down, once mended also those
// that are foreign, and says so; tally hears of it inside that transaction.
func bank(t *testing.T) (s *choreotest.Stage, rings bell, mended *bool) {
	t.Helper()
	mended = new(bool)
	_, rings = theatre(t, nil)
	count := func(ctx context.Context, tx *choreo.Tx, e choreo.Event[tossed]) error {
		if strings.HasPrefix(e.Fact.CoinID, "foreign") && !*mended {
			return nil
		}
		if strings.HasPrefix(e.Fact.CoinID, "fake") && *mended {
			return errors.New("this coin is fake")
		}
		tx.Emit(counted(e.Fact))
		return note(ctx, tx, e)
	}
	tally := func(ctx context.Context, tx *choreo.Tx, e choreo.Event[counted]) error {
		_, err := tx.ExecContext(ctx, `insert into heard (coin, n) values ($1, $2)`, e.Fact.CoinID, e.Fact.N)
		return err
	}
	forget := func(ctx context.Context, tx *choreo.Tx, e choreo.Event[lost]) error {
		_, err := tx.ExecContext(ctx, `delete from notes where coin = $1`, e.Fact.CoinID)
		return err
	}
	flow, err := choreo.NewFlow(
		choreo.Command("toss").Emits(tossed{}),
		choreo.Command("lose").Emits(lost{}),
		choreo.On("count", count).Emits(counted{}),
		choreo.On("tally", tally).InTransaction(),
		choreo.On("forget", forget).Undoes("count"),
		choreo.OnEffect("ring", rings).Emits(rung{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, migrate), rings, mended
}

func TestAReplayRedoesStateAndNothingElse(t *testing.T) {
	t.Parallel()
	s, rings, mended := bank(t)
	s.Perform()
	for n, coin := range []string{"a", "a", "b", "foreign", "fake"} {
		s.Emit("toss", tossed{coin, n})
	}
	gone := s.Emit("toss", tossed{"gone", 9})
	choreotest.Eventually(t, "all is taken", func() bool {
		return s.Count(`select count(*) from notes`) == 5 && s.Count(`select count(*) from choreo.event_log where type = 'bells.Rung.v1'`) == 6
	})
	s.Given("lose", func(_ context.Context, tx *choreo.Tx) error {
		tx.JoinSaga(gone.Saga)
		tx.Emit(lost{"gone"})
		return nil
	})
	choreotest.Eventually(t, "it is lost", func() bool {
		return s.Count(`select count(*) from notes`) == 4 && s.Count(`select count(*) from choreo.outbox`) == 0
	})
	replay := func(r consume.Replay) (sum consume.Replayed) {
		t.Helper()
		r.DB, r.Consumer = s.DB, s.DB.Flow().Consumer("count")
		for position, more := int64(0), true; more; {
			var done consume.Replayed
			var err error
			if done, position, more, err = r.Batch(t.Context(), position); err != nil {
				t.Fatal(err)
			}
			sum.Add(done)
		}
		return sum
	}
	logged := s.Count(`select count(*) from choreo.event_log`)
	if _, err := s.DB.Pool().Exec(`delete from notes`); err != nil {
		t.Fatal(err)
	}
	if got := replay(consume.Replay{Dry: true}); got.Redone != 5 || got.Undone != 1 || s.Count(`select count(*) from notes`) != 0 {
		t.Errorf("a dry run: %+v", got)
	}
	if got := replay(consume.Replay{Key: "a"}); got.Redone != 2 || got.NewFacts != 0 || s.Count(`select count(*) from notes`) != 2 {
		t.Errorf("of one key: %+v", got)
	}
	if got := replay(consume.Replay{From: time.Now().Add(time.Hour)}); got.Redone != 0 || got.Undone != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	*mended = true
	got := replay(consume.Replay{})
	if got.Redone != 4 || got.Undone != 1 || got.Failed != 1 || len(got.Errors) != 1 || got.NewFacts != 1 {
		t.Errorf("of all, once mended: %+v", got)
	}
	choreotest.Eventually(t, "the new fact is logged", func() bool {
		return s.Count(`select count(*) from choreo.event_log`) == logged+1
	})
	if n := s.Count(`select count(*) from heard where coin = 'foreign'`); n != 1 {
		t.Errorf("what came of the new fact inside was done %d times", n)
	}
	if n := s.Count(`select count(*) from heard`); n != 6 {
		t.Errorf("in-transaction reactions ran %d times, want once for each fact", n)
	}
	for key, n := range rings.calls {
		if n != 1 {
			t.Errorf("%s was called %d times", key, n)
		}
	}
	effects := consume.Replay{DB: s.DB, Consumer: s.DB.Flow().Consumer("ring")}
	done, _, _, err := effects.Batch(t.Context(), 0)
	if err != nil || done.Effects != 6 || len(done.Steps) != 6 || done.Redone != 0 {
		t.Errorf("of an effect: %+v, %v", done, err)
	}
}

func TestAPausedConsumerStandsStill(t *testing.T) {
	t.Parallel()
	s, rings := theatre(t, nil)
	s.Perform()
	s.Emit("toss", tossed{"a", 1})
	choreotest.Eventually(t, "the first is heard", func() bool { return s.Count(`select count(*) from heard`) == 1 })
	for _, name := range []string{"note", "ring", "hear"} {
		if changed, err := consume.Pause(t.Context(), s.DB, s.DB.Flow().Consumer(name), true); err != nil || !changed {
			t.Fatalf("pausing %s: %v, %v", name, changed, err)
		}
	}
	if changed, err := consume.Pause(t.Context(), s.DB, s.DB.Flow().Consumer("note"), true); err != nil || changed {
		t.Errorf("pausing again: %v, %v", changed, err)
	}
	taken := s.Count(`select sum(sequence) from choreo.watermarks`)
	s.Emit("toss", tossed{"a", 2})
	// Each consumer has met the fact and held still; nothing shows that but time.
	choreotest.Eventually(t, "the fact is forwarded", func() bool {
		return s.Count(`select count(*) from choreo.streams s join choreo.forwarded f on f.stream = s.id where s.head > f.sequence`) == 0 &&
			s.Count(`select count(*) from choreo.event_log where type = 'coins.Tossed.v1'`) == 2
	})
	s.Emit("toss", tossed{"z", 3})
	choreotest.Eventually(t, "another one too", func() bool { return s.Count(`select count(*) from choreo.event_log`) == 4 })
	if now := s.Count(`select sum(sequence) from choreo.watermarks`); now != taken || s.Count(`select count(*) from notes`) != 1 {
		t.Errorf("paused consumers went on: %d taken, before %d", now, taken)
	}
	for _, name := range []string{"note", "ring", "hear"} {
		if _, err := consume.Pause(t.Context(), s.DB, s.DB.Flow().Consumer(name), false); err != nil {
			t.Fatal(err)
		}
	}
	choreotest.Eventually(t, "they go on", func() bool {
		return s.Count(`select count(*) from notes`) == 3 && s.Count(`select count(*) from heard`) == 3
	})
	if len(rings.calls) != 3 {
		t.Errorf("%d bells rang, want 3", len(rings.calls))
	}
	if n := s.Count(`select count(*) from choreo.audit where action in ('consumers pause', 'consumers resume') and count = 1`); n != 6 {
		t.Errorf("%d lines of audit, want 6", n)
	}
}

// What waits in steps stands still too, and so does a step that another process
// has picked up.
func TestStepsOfAPausedConsumerStandStill(t *testing.T) {
	t.Parallel()
	s, rings := theatre(t, nil)
	if _, err := consume.Pause(t.Context(), s.DB, s.DB.Flow().Consumer("hear"), true); err != nil {
		t.Fatal(err)
	}
	before := s.When("ring", tossed{"a", 1}, "")
	if before.State != "done" || len(rings.calls) != 1 {
		t.Fatalf("the step is %s", before.State)
	}
	runner := steps.NewRunner(s.DB, s.DB.Flow().Consumers(), steps.Options{})
	run := func() {
		t.Helper()
		if err := runner.RunOne(t.Context(), int64(s.Count(`select id from choreo.steps`))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.DB.Pool().Exec(`update choreo.steps set state = 'waiting', head = true, place = coalesce(place, 1)`); err != nil {
		t.Fatal(err)
	}
	if _, err := consume.Pause(t.Context(), s.DB, s.DB.Flow().Consumer("ring"), true); err != nil {
		t.Fatal(err)
	}
	run()
	if s.Count(`select count(*) from choreo.steps where state = 'waiting'`) != 1 {
		t.Error("the step of a paused consumer ran")
	}
	if _, err := consume.Pause(t.Context(), s.DB, s.DB.Flow().Consumer("ring"), false); err != nil {
		t.Fatal(err)
	}
	run()
	if s.Count(`select count(*) from choreo.steps where state = 'done'`) != 1 {
		t.Error("it does not go on")
	}
}
