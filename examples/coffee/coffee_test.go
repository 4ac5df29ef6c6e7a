// Package coffee_test is a whole choreography on one page: a coffee is ordered,
// the beans are taken, it is brewed; where there are no beans the order is
// canceled. It has everything of its own: facts, handlers, flow, tables, tests.
package coffee_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/check"
	"troupe/choreo/choreotest"
	"troupe/choreo/saga"
)

type (
	Ordered  struct{ Cup string }
	Brewed   struct{ Cup string }
	SoldOut  struct{ Cup string }
	Canceled struct{ Cup string }
)

func (Ordered) FactType() string  { return "coffees.Ordered.v1" }
func (f Ordered) Key() string     { return f.Cup }
func (Brewed) FactType() string   { return "coffees.Brewed.v1" }
func (f Brewed) Key() string      { return f.Cup }
func (SoldOut) FactType() string  { return "coffees.SoldOut.v1" }
func (f SoldOut) Key() string     { return f.Cup }
func (Canceled) FactType() string { return "coffees.Canceled.v1" }
func (f Canceled) Key() string    { return f.Cup }

// Brew on Ordered takes a portion of beans. Emits Brewed; fails with SoldOut.
func Brew(ctx context.Context, tx *choreo.Tx, e choreo.Event[Ordered]) error {
	taken, err := tx.ExecContext(ctx, `update beans set portions = portions - 1 where portions > 0`)
	if err != nil {
		return err
	}
	if n, err := taken.RowsAffected(); n == 0 {
		tx.Emit(SoldOut(e.Fact))
		return err
	}
	tx.Emit(Brewed(e.Fact))
	return nil
}

// Cancel on SoldOut takes the order back. Emits Canceled. Undoes order-coffee.
func Cancel(ctx context.Context, tx *choreo.Tx, e choreo.Event[SoldOut]) error {
	_, err := tx.ExecContext(ctx, `delete from cups where id = $1`, e.Fact.Cup)
	tx.Emit(Canceled(e.Fact))
	return err
}

func migrate(ctx context.Context, pool *sql.DB) error {
	if err := choreo.Migrate(ctx, pool); err != nil {
		return err
	}
	_, err := pool.ExecContext(ctx, `create table cups (id text primary key); create table beans (portions int); insert into beans values (1)`)
	return err
}

func TestTwoCupsFromBeansForOne(t *testing.T) {
	flow, err := choreo.NewFlow(
		choreo.Command("order-coffee").Emits(Ordered{}),
		choreo.On("brew", Brew).Emits(Brewed{}).FailsWith(SoldOut{}).Within(time.Second),
		choreo.On("cancel", Cancel).Emits(Canceled{}).Undoes("order-coffee").Within(time.Second),
		choreo.Final(Brewed{}, choreo.Completed),
		choreo.Final(Canceled{}, choreo.Undone),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range check.Flow(flow, check.Options{}).Findings {
		t.Error(finding)
	}
	s := choreotest.New(t, flow, migrate)
	s.Perform() // a relay and the consumers, on a Kafka broker
	for _, c := range []struct {
		cup     string
		outcome choreo.Outcome
	}{{"first", choreo.Completed}, {"second", choreo.Undone}} {
		order := s.Given("order-coffee", func(ctx context.Context, tx *choreo.Tx) error {
			_, err := tx.ExecContext(ctx, `insert into cups values ($1)`, c.cup)
			tx.Emit(Ordered{Cup: c.cup})
			return err
		})
		choreotest.Eventually(t, "it is "+string(c.outcome), func() bool {
			told, err := saga.Show(t.Context(), s.DB, order.Saga)
			return err == nil && told.Status == saga.Settled && told.Outcome == c.outcome
		})
	}
}
