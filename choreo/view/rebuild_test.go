package view_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/eventlog"
	"troupe/choreo/pull"
	"troupe/choreo/view"
)

// told are the rows of the view: of each coin how often it was tossed, and last.
func (g *gallery) told() (rows []string) {
	g.t.Helper()
	found, err := g.views.QueryContext(g.t.Context(), `select coin || ' ' || n || ' ' || last from coin_tally.tally order by coin`)
	if err != nil {
		g.t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var row string
		if err := found.Scan(&row); err != nil {
			g.t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if err := found.Err(); err != nil {
		g.t.Fatal(err)
	}
	return rows
}

const coins, each = 10, 40

// whole is what the view has to tell when each coin was tossed so often.
func whole() (rows []string) {
	for c := range coins {
		rows = append(rows, fmt.Sprintf("c%02d %d %d", c, each, each-1))
	}
	return rows
}

// traffic tosses every coin, each by a hand of its own, and returns at the end.
func (g *gallery) traffic(tossedAlready *atomic.Int64) {
	var hands sync.WaitGroup
	for c := range coins {
		hands.Go(func() {
			for n := range each {
				g.Emit("toss", tossed{fmt.Sprintf("c%02d", c), n})
				tossedAlready.Add(1)
			}
		})
	}
	hands.Wait()
}

// However often a view is rebuilt while events go on, and wherever it lives, it
// has each fact once in the end; and a reader never sees less than it saw.
func TestARebuiltViewIsTheLiveOneUnderTraffic(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, g *gallery) {
		g.Perform()
		var done atomic.Int64
		traffic := make(chan struct{})
		go func() { defer close(traffic); g.traffic(&done) }()
		reading, stop := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		readers.Go(func() {
			most := 0
			for reading.Err() == nil {
				var n int
				err := g.views.QueryRowContext(reading, `select coalesce(sum(n), 0) from coin_tally.tally`).Scan(&n)
				if reading.Err() != nil {
					return
				}
				if err != nil || n < most {
					t.Errorf("after %d tosses a reader sees %d, %v", most, n, err)
					return
				}
				most = n
			}
		})
		v := g.DB.Flow().View("coin-tally")
		for rebuilds := 0; rebuilds < 3 || done.Load() < coins*each; rebuilds++ {
			var events int64
			before := g.counted()
			if _, err := view.Rebuild(t.Context(), g.DB, v, func(n int64) { events = n }); err != nil {
				t.Fatal(err)
			}
			if events < int64(before) {
				t.Errorf("a rebuild tells of %d events where %d were counted", events, before)
			}
		}
		<-traffic
		choreotest.Eventually(t, "all is counted", func() bool { return g.counted() >= coins*each })
		stop()
		readers.Wait()
		if got := g.told(); !slices.Equal(got, whole()) {
			t.Errorf("after rebuilding under traffic: %v", got)
		}
		if _, err := view.Rebuild(t.Context(), g.DB, v, nil); err != nil {
			t.Fatal(err)
		}
		if got := g.told(); !slices.Equal(got, whole()) {
			t.Errorf("rebuilt at rest: %v", got)
		}
		if n := g.number(`select count(*) from pg_namespace where nspname like 'coin_tally_%'`); n != 0 {
			t.Errorf("%d schemas are left", n)
		}
		if n := g.number(`select count(*) from choreo.watermarks where consumer = 'coin-tally+next'`); n != 0 {
			t.Errorf("%d watermarks are left", n)
		}
	})
}

// A rebuild that ends half-way leaves the live view alone, and can be run again.
func TestARebuildThatWasKilledIsRunAgain(t *testing.T) {
	t.Parallel()
	g := here(t)
	g.Perform()
	var done atomic.Int64
	g.traffic(&done)
	choreotest.Eventually(t, "all is counted", func() bool { return g.counted() == coins*each })
	v := g.DB.Flow().View("coin-tally")
	ctx, kill := context.WithCancel(t.Context())
	_, err := view.Rebuild(ctx, g.DB, v, func(int64) { kill() })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("a rebuild that was killed ends with %v", err)
	}
	if n := g.number(`select count(*) from coin_tally_next.tally`); n == 0 {
		t.Error("it was killed before it had begun")
	}
	if got := g.told(); !slices.Equal(got, whole()) {
		t.Errorf("the live view has changed: %v", got)
	}
	if _, err := g.views.Exec(`insert into choreo.leases values ('rebuild coin-tally', 'somebody', choreo.troupe_now() + interval '1 minute')`); err != nil {
		t.Fatal(err)
	}
	if _, err := view.Rebuild(t.Context(), g.DB, v, nil); !errors.Is(err, view.ErrRebuilding) {
		t.Errorf("beside another rebuild: %v", err)
	}
	if _, err := g.views.Exec(`update choreo.leases set until = choreo.troupe_now() - interval '1 second' where holder = 'somebody'`); err != nil {
		t.Fatal(err)
	}
	if _, err := view.Rebuild(t.Context(), g.DB, v, nil); err != nil {
		t.Fatal(err)
	}
	if got := g.told(); !slices.Equal(got, whole()) {
		t.Errorf("rebuilt: %v", got)
	}
	g.Emit("toss", tossed{"c00", 1000})
	choreotest.Eventually(t, "the view goes on", func() bool { return g.told()[0] == fmt.Sprintf("c00 %d 1000", each+1) })
}

// A view that pulls is rebuilt as one that follows topics is.
func TestAPullingViewIsRebuiltUnderTraffic(t *testing.T) {
	t.Parallel()
	countPulled := func(ctx context.Context, tx *sql.Tx, events []pull.Event) error {
		for _, e := range events {
			var f tossed
			if err := json.Unmarshal(e.Data, &f); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `insert into tally as t (coin, n, last) values ($1, 1, $2)
				on conflict (coin) do update set n = t.n + 1, last = excluded.last`, f.CoinID, f.N); err != nil {
				return err
			}
		}
		return nil
	}
	flow, err := choreo.NewFlow(choreo.Command("toss").Emits(tossed{}), choreo.Pulled("coin-tally", tables, countPulled, tossed{}))
	if err != nil {
		t.Fatal(err)
	}
	g := &gallery{t: t, Stage: choreotest.New(t, flow, choreo.Migrate)}
	g.hang(g.DB.Pool())
	g.Perform()
	ctx, stop := context.WithCancel(t.Context())
	var live sync.WaitGroup
	v := flow.View("coin-tally")
	live.Go(func() { _ = view.Reader(g.DB, v, eventlog.Source{DB: g.DB}).Run(ctx) })
	defer live.Wait()
	defer stop()
	var done atomic.Int64
	traffic := make(chan struct{})
	go func() { defer close(traffic); g.traffic(&done) }()
	for rebuilds := 0; rebuilds < 3 || done.Load() < coins*each; rebuilds++ {
		if _, err := view.Rebuild(t.Context(), g.DB, v, nil); err != nil {
			t.Fatal(err)
		}
	}
	<-traffic
	choreotest.Eventually(t, "all is counted", func() bool { return g.counted() >= coins*each })
	if got := g.told(); !slices.Equal(got, whole()) {
		t.Errorf("after rebuilding under traffic: %v", got)
	}
	last := g.Emit("toss", tossed{"c00", 1})
	choreotest.Eventually(t, "the view goes on", func() bool { return g.passed(last.EventID) })
}
