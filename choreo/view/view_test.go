package view_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/view"
	"troupe/choreo/wire"
)

// The tests' own choreography: coins are tossed, and a view counts the tosses of
// each. It counts blindly, so that a fact that came twice or never shows.
type tossed struct {
	CoinID string `json:"coinId"`
	N      int    `json:"n"`
}

func (tossed) FactType() string { return "coins.Tossed.v1" }
func (f tossed) Key() string    { return f.CoinID }

type weighed struct {
	CoinID string `json:"coinId"`
}

func (weighed) FactType() string { return "scales.Weighed.v1" }
func (f weighed) Key() string    { return f.CoinID }

const tables = `create table tally (coin text primary key, n int not null, last int not null)`

func count(ctx context.Context, tx *choreo.Tx, e choreo.Event[tossed]) error {
	if e.Fact.CoinID == "bad" {
		return errors.New("this coin is bad")
	}
	_, err := tx.ExecContext(ctx, `insert into tally as t (coin, n, last) values ($1, 1, $2)
		on conflict (coin) do update set n = t.n + 1, last = excluded.last`, e.Fact.CoinID, e.Fact.N)
	return err
}

func newFlow(t testing.TB) *choreo.Flow {
	t.Helper()
	flow, err := choreo.NewFlow(
		choreo.Command("toss").Emits(tossed{}),
		choreo.Command("weigh").Emits(weighed{}),
		choreo.View("coin-tally", tables, choreo.Project(count)),
	)
	if err != nil {
		t.Fatal(err)
	}
	return flow
}

// gallery is a stage with the view in it.
type gallery struct {
	*choreotest.Stage
	t     testing.TB
	views *sql.DB
}

// here has the view in the database of the log, elsewhere in another one.
func here(t testing.TB) *gallery {
	t.Helper()
	g := &gallery{t: t, Stage: choreotest.New(t, newFlow(t), choreo.Migrate)}
	return g.hang(g.DB.Pool())
}

func elsewhere(t testing.TB) *gallery {
	t.Helper()
	pool, err := sql.Open("postgres", embeddedtest.Database(t, choreo.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	g := &gallery{t: t, Stage: choreotest.New(t, newFlow(t), choreo.Migrate, func(o *choreo.Options) { o.Views = pool })}
	return g.hang(pool)
}

func (g *gallery) hang(pool *sql.DB) *gallery {
	g.t.Helper()
	g.views = pool
	if err := view.Migrate(g.t.Context(), pool, g.DB.Flow()); err != nil {
		g.t.Fatal(err)
	}
	return g
}

// number runs a query for one number where the view lives.
func (g *gallery) number(query string, args ...any) (n int) {
	g.t.Helper()
	if err := g.views.QueryRowContext(g.t.Context(), query, args...).Scan(&n); err != nil {
		g.t.Fatalf("%s: %v", query, err)
	}
	return n
}

func (g *gallery) counted() int {
	return g.number(`select coalesce(sum(n), 0) from coin_tally.tally`)
}

func (g *gallery) passed(eventID string) bool {
	g.t.Helper()
	ok, err := view.Passed(g.t.Context(), g.DB, g.DB.Flow().View("coin-tally"), eventID)
	if err != nil {
		g.t.Fatal(err)
	}
	return ok
}

func both(t *testing.T, test func(*testing.T, *gallery)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB) *gallery{"in the database of the log": here, "in another database": elsewhere} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func TestAViewTellsWhatItHasPassed(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, g *gallery) {
		early := g.Emit("toss", tossed{"c", 1})
		if g.passed(early.EventID) {
			t.Error("a fact is passed before anything runs")
		}
		if g.passed("nobody's") {
			t.Error("an event that nobody knows is passed")
		}
		g.Perform()
		choreotest.Eventually(t, "the fact is passed", func() bool { return g.passed(early.EventID) })
		if n := g.counted(); n != 1 {
			t.Errorf("%d tosses are counted where one is passed", n)
		}
		other := g.Emit("weigh", weighed{"c"})
		choreotest.Eventually(t, "a fact that the view does not follow is passed", func() bool { return g.passed(other.EventID) })

		// One that the projection cannot take is not passed, and holds up only itself.
		bad := g.Emit("toss", tossed{"bad", 1})
		good := g.Emit("toss", tossed{"good", 1})
		choreotest.Eventually(t, "its neighbour is passed", func() bool { return g.passed(good.EventID) })
		choreotest.Eventually(t, "the bad one is a step", func() bool {
			return g.number(`select count(*) from choreo.steps where event_id = $1 and attempts > 1`, bad.EventID) == 1
		})
		if g.passed(bad.EventID) {
			t.Error("a fact that waits to be tried again is passed")
		}
	})
}

// The transaction of the projection, its watermarks and its tables are where the
// view is; what Kafka lost is read from the log, which is where the commands are.
func TestAViewInAnotherDatabaseHealsFromTheLog(t *testing.T) {
	t.Parallel()
	g := elsewhere(t)
	p := g.Perform()
	g.Emit("toss", tossed{"first", 1})
	choreotest.Eventually(t, "the first is counted", func() bool { return g.counted() == 1 })
	p.Stop()
	for n := range 100 {
		g.Emit("toss", tossed{fmt.Sprintf("c%d", n%7), n})
	}
	p.Forward()
	topic := p.Broker.Prefix + "coins"
	client := &kafka.Client{Addr: kafka.TCP(p.Broker.Brokers...)}
	if r, err := client.DeleteTopics(t.Context(), &kafka.DeleteTopicsRequest{Topics: []string{topic}}); err != nil || r.Errors[topic] != nil {
		t.Fatal(err, r.Errors[topic])
	}
	p.Start()
	g.Emit("toss", tossed{"c1", 1000})
	choreotest.Eventually(t, "all is counted", func() bool { return g.counted() >= 102 })
	if n := g.counted(); n != 102 {
		t.Errorf("%d tosses are counted, want 102", n)
	}
	if n := g.number(`select last from coin_tally.tally where coin = 'c1'`); n != 1000 {
		t.Errorf("the last toss of c1 is %d: they are out of order", n)
	}
	if n := g.Count(`select count(*) from choreo.watermarks where consumer = 'coin-tally'`); n != 0 {
		t.Errorf("%d watermarks of the view are in the database of the commands", n)
	}
	if n := g.Count(`select count(*) from pg_namespace where nspname = 'coin_tally'`); n != 0 {
		t.Error("the view's tables are in the database of the commands, too")
	}
}

// A projection finds the tables of its view, and no others.
func TestAViewTouchesNoOtherTables(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(choreo.View("nosy", `create table mine (n int)`,
		choreo.Project(func(ctx context.Context, tx *choreo.Tx, _ choreo.Event[tossed]) error {
			_, err := tx.ExecContext(ctx, `insert into theirs values (1)`)
			return err
		})))
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, func(ctx context.Context, pool *sql.DB) error {
		if err := view.Migrate(ctx, pool, flow); err != nil {
			return err
		}
		_, err := pool.ExecContext(ctx, `create table theirs (n int)`)
		return err
	})
	record := wire.Encode(choreo.Meta{ID: "e1", Source: "/crm", Type: "coins.Tossed.v1", Key: "c", Time: time.Now()}, []byte(`{"coinId":"c"}`), 0)
	a := &consume.Applier{DB: s.DB, Consumer: flow.Consumer("nosy")}
	_, err = a.Batch(t.Context(), &broker.Batch{Records: []*wire.Record{record}})
	if !choreo.IsBroken(err) || choreo.SQLState(err) != "42P01" {
		t.Errorf("writing to a table of the commands gives %v", err)
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	began := time.Now()
	ok, err := view.Until(t.Context(), 60*time.Millisecond, func(context.Context) (bool, error) { return false, nil })
	if ok || err != nil || time.Since(began) < 60*time.Millisecond {
		t.Errorf("after %v: %t, %v", time.Since(began), ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := view.Until(ctx, time.Minute, func(context.Context) (bool, error) { return false, nil }); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %t, %v", ok, err)
	}
}
