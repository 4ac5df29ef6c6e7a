package saga_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/choreotest"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
)

func begin1(t *rapid.T, s *choreotest.Stage, key, join string) string {
	p := scripts(key, 3).Draw(t, "script")
	p.ID = key
	return s.Given("start", func(_ context.Context, tx *choreo.Tx) error {
		if join != "" {
			tx.JoinSaga(join)
		}
		tx.Emit(start{p})
		return nil
	}).Saga
}

// nothing is a Kafka that holds nothing.
type nothing struct{}

func (nothing) Ends(context.Context, []string) ([]broker.End, error) { return nil, nil }

func (nothing) ReadFrom(context.Context, string, int32, int64, func(*wire.Record) error) error {
	return nil
}

func sequence(t *rapid.T, r *relay.Relay) {
	if _, err := r.Sequence(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// runSteps runs the heads of lines and what joins one later, as if they were due.
func runSteps(t *rapid.T, pool *sql.DB, runner *steps.Runner, most int) {
	for _, id := range choreotest.Column[int64](t, pool, fmt.Sprintf(`update choreo.steps set due_at = choreo.troupe_now()
		where id in (select id from choreo.steps where (head or place is null) and state = 'waiting' order by id desc limit %d) returning id`, most)) {
		if err := runner.RunOne(context.Background(), id); err != nil {
			t.Fatal(err)
		}
	}
}

func sameAsShown(t *rapid.T, s *choreotest.Stage, id string) string {
	g, err := saga.Show(context.Background(), s.DB, id)
	if err != nil {
		t.Fatal(err)
	}
	var status, by string
	var outcome choreo.Outcome
	var owed int
	var at *time.Time
	err = s.DB.Pool().QueryRow(`select case when status = 'running' and due_at < choreo.troupe_now() then 'overdue' else status end,
		outcome, owed, started_by, settled_at from choreo.sagas where saga = $1`, id).Scan(&status, &outcome, &owed, &by, &at)
	if err != nil {
		t.Fatalf("the row of saga %s: %v", id, err)
	}
	shown, _ := json.Marshal(g)
	if status != g.Status || outcome != g.Outcome || owed != len(g.Owed) || by != g.StartedBy || (at == nil) != (g.SettledAt == nil) || at != nil && !at.Equal(*g.SettledAt) {
		t.Fatalf("the row says %s, %q, %d owed, begun by %s, settled %v; shown is %s", status, outcome, owed, by, at, shown)
	}
	return g.Status
}

// sameInLists: the lists of all statuses together hold every saga once, newest
// first, in pages of any size.
func sameInLists(t *testing.T, s *choreotest.Stage, size int) {
	t.Helper()
	lists := map[string][]string{}
	for _, status := range []string{"", saga.Running, saga.Overdue, saga.Parked, saga.Settled} {
		for before := int64(0); ; {
			page, next, err := saga.List(context.Background(), s.DB, status, before, size)
			if err != nil {
				t.Fatal(err)
			}
			for _, g := range page {
				if status != "" && g.Status != status {
					t.Fatalf("saga %s is %s, in the list of those %s", g.ID, g.Status, status)
				}
				lists[status] = append(lists[status], g.ID)
			}
			if before = next; next == 0 {
				break
			}
		}
	}
	var apart []string
	for status, ids := range lists {
		if status != "" {
			apart = append(apart, ids...)
		}
	}
	all := slices.Clone(lists[""])
	slices.Sort(all)
	slices.Sort(apart)
	if !slices.Equal(all, apart) || len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Fatalf("the list of all has %d sagas, those by status %d", len(all), len(apart))
	}
}
