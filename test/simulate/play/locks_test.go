package play

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"troupe/choreo"
	"troupe/choreo/sim"
)

// tookCells says which cells a command has taken, by the numbers that it drew.
type tookCells struct {
	Who     string  `json:"who"`
	Numbers []int64 `json:"numbers"`
}

func (tookCells) FactType() string { return "cells.TookCells.v1" }
func (t tookCells) Key() string    { return t.Who }

// scramble is a script of commands that get into each other's way: each takes
// some of a few rows, in any order, draws a number once it has one, and fails now
// and then, which gives back what it has.
func scramble(s *sim.Sim, n int) (acts []sim.Act) {
	for i := range 12 {
		who := fmt.Sprintf("command-%d-%d", n, i)
		var cells []int
		for range 2 + s.Rand().IntN(4) {
			cells = append(cells, 1+s.Rand().IntN(6))
		}
		fails := -1
		if s.Rand().IntN(6) == 0 {
			fails = s.Rand().IntN(len(cells))
		}
		acts = append(acts, sim.Act{Name: "take-cells", Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			return choreo.Commit(ctx, db, "take-cells", func(ctx context.Context, tx *choreo.Tx) error {
				took := tookCells{Who: who}
				for i, cell := range cells {
					var number int64
					divisor := 1
					if i == fails {
						divisor = 0
					}
					err := tx.QueryRowContext(ctx, `with taken as (update cells set n = n + 1 where id = $1 returning id)
						insert into draws (who, cell) select $2, id / $3::int from taken returning number`, cell, who, divisor).Scan(&number)
					if err != nil {
						return fmt.Errorf("taking cell %d: %w", cell, err)
					}
					took.Numbers = append(took.Numbers, number)
				}
				s.Note(tx.Saga(), "  %s has drawn %v", who, took.Numbers)
				tx.Emit(took)
				return nil
			})
		}})
	}
	return acts
}

// Whoever waits for a lock goes on when it is given, one after the other and in
// the same order every time: when those they wait for commit, fail or are the
// victims of a deadlock, however fast Postgres and the machine are.
func TestLocksAreGivenInOneOrder(t *testing.T) {
	t.Parallel()
	stage, err := Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	}()
	err = stage.template(t.Context(), "scramble_template", func(ctx context.Context, db *sql.DB) error {
		if err := choreo.Migrate(ctx, db); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, `create table cells (id int primary key, n int not null default 0);
			insert into cells (id) select generate_series(1, 6);
			create table draws (number bigserial, who text, cell int)`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	play := sim.Play{
		Flow: func(*sim.Sim) (*choreo.Flow, error) {
			return choreo.NewFlow(choreo.Command("take-cells").Emits(tookCells{}), choreo.Final(tookCells{}, choreo.Completed))
		},
		Saga:  scramble,
		Check: func(context.Context, *sim.Sim) ([]sim.Violation, error) { return nil, nil },
	}
	first := ""
	for range 2 {
		r, err := stage.run(t.Context(), "scramble_template", play, sim.Options{Seed: 1, Sagas: 12})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() {
			r.Write(t.Output())
			t.Fatal(r.Invariants(), r.Err)
		}
		if r.Counts["waits for locks"] < 30 || r.Counts["deadlocks"] < 3 {
			t.Errorf("they waited %d times for locks, with %d deadlocks: that shows little", r.Counts["waits for locks"], r.Counts["deadlocks"])
		}
		if first == "" {
			first = r.Digest
		} else if r.Digest != first {
			t.Errorf("digest %s, and the first time %s", r.Digest, first)
		}
	}
}
