package steps_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/steps"
)

// kitchen is a bakery whose oven is a provider of three calls at once.
func kitchen(t *testing.T, o oven) *choreotest.Stage {
	t.Helper()
	flow, err := choreo.NewFlow(
		choreo.Provider("oven", 3),
		choreo.Command("order").Emits(ordered{}),
		choreo.OnEffect("bake", o).Calls("oven").Emits(baked{}).FailsWith(burnt{}).GivesUp(time.Hour, burn).
			Retry(choreo.RetryPolicy{Base: time.Millisecond, Factor: 1, Most: time.Millisecond}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, choreo.Migrate)
}

func TestWhileAProviderIsDownItsStepsWait(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	var calls, underWay, most atomic.Int32
	s := kitchen(t, oven{call: func(context.Context) (string, error) {
		calls.Add(1)
		if n := underWay.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer underWay.Add(-1)
		if !up.Load() {
			return "", errors.New("the oven is cold")
		}
		return "cake", nil
	}, ask: func() (string, bool, error) { return "", false, nil }})
	const cakes = 40
	for n := range cakes {
		give(t, s, "bake", ordered{fmt.Sprint("c", n)})
	}
	began := time.Now()
	var told []bool
	var mu sync.Mutex
	r := steps.NewRunner(s.DB, s.DB.Flow().Consumers(), steps.Options{
		Clock: func() time.Time { return began.Add(20 * time.Since(began)) }, // it pauses for a twentieth of the time
		Provider: func(_ string, down bool) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, down)
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	choreotest.Eventually(t, "the circuit opens, and tries twice in vain", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) >= 3 && told[2]
	})
	if trouble := r.Troubles(); len(trouble) != 1 || trouble[0].Provider != "oven" {
		t.Errorf("it tells of %v", trouble)
	}
	if n := s.Count(`select count(*) from choreo.outages where provider = 'oven' and until > since`); n != 1 {
		t.Errorf("%d outages noted", n)
	}
	if n := s.Count(`select sum(attempts) from choreo.steps`); n > 12 {
		t.Errorf("%d attempts were used up while the oven was cold", n)
	}
	up.Store(true)
	choreotest.Eventually(t, "all cakes are baked", func() bool { return facts(s, "cakes.Baked.v1") == cakes })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if most.Load() > 3 {
		t.Errorf("%d calls at once, of three", most.Load())
	}
	if len(r.Troubles()) > 0 {
		t.Error("it tells of a provider that answers")
	}
}

// give puts a step, and does not run it.
func give(t *testing.T, s *choreotest.Stage, consumer string, f choreo.Fact) {
	t.Helper()
	if r := s.Arrive(consumer, f, ""); r.Outcome != consume.Enqueued {
		t.Fatalf("it was %s", r.Outcome)
	}
}

func TestAnOutageCountsForNoStepThatIsToGiveUp(t *testing.T) {
	t.Parallel()
	for outage, givesUp := range map[string]bool{
		"'110 minutes'": false, // ten minutes are its own
		"'30 minutes'":  true,  // an hour and a half
	} {
		t.Run(outage, func(t *testing.T) {
			t.Parallel()
			s := kitchen(t, oven{call: func(context.Context) (string, error) { return "", errors.New("the oven is cold") },
				ask: func() (string, bool, error) { return "", false, nil }})
			s.When("bake", ordered{"c"}, "saga").Emits()
			id := makeDue(t, s, `due_at = choreo.troupe_now(), begun_at = choreo.troupe_now() - interval '2 hours',
				updated_at = choreo.troupe_now() - interval '2 hours'`)
			// Two processes saw it; it counts once.
			if _, err := s.DB.Pool().Exec(`insert into choreo.outages (provider, process, opened, since, until)
				select 'oven', p, n, n - interval '2 hours', n - interval '2 hours' + $1::interval
				from choreo.troupe_now() n, unnest(array['a', 'b']) p`, outage[1:len(outage)-1]); err != nil {
				t.Fatal(err)
			}
			if err := steps.NewRunner(s.DB, nil, steps.Options{}).RunOne(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if gaveUp := facts(s, "cakes.Burnt.v1") == 1; gaveUp != givesUp {
				t.Errorf("gave up: %t, want %t", gaveUp, givesUp)
			}
		})
	}
}

func TestAFlowNamesItsProviders(t *testing.T) {
	t.Parallel()
	bake := func() *choreo.Reaction[ordered] { return choreo.OnEffect("bake", oven{}).Emits(baked{}) }
	for name, lines := range map[string][]choreo.Line{
		"not named":    {bake().Calls("oven")},
		"named twice":  {choreo.Provider("oven", 1), choreo.Provider("oven", 2), bake().Calls("oven")},
		"takes none":   {choreo.Provider("oven", 0), bake()},
		"no effect":    {choreo.Provider("oven", 1), choreo.On("bin", bin).Calls("oven")},
		"two, for one": {choreo.Provider("oven", 1), bake().Calls("oven"), choreo.On("bake", bin).Emits(binned{})},
	} {
		if _, err := choreo.NewFlow(lines...); err == nil {
			t.Errorf("%s: it holds together", name)
		}
	}
}
