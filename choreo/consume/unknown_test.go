package consume_test

import (
	"context"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/consume"
)

// flipped is a fact that came with a later binary.
type flipped struct {
	CoinID string `json:"coinId"`
	N      int    `json:"n"`
}

func (flipped) FactType() string { return "coins.Flipped.v1" }
func (f flipped) Key() string    { return f.CoinID }

// An old binary meets facts that only a newer one knows: they wait outside every
// line, and get into it, in their order, when the newer one comes.
func TestFactsOfALaterBinaryWaitForIt(t *testing.T) {
	t.Parallel()
	old, _ := theatre(t, nil)
	write := func(ctx context.Context, tx *choreo.Tx, e choreo.Event[flipped]) error {
		_, err := tx.ExecContext(ctx, `insert into notes (coin, n) values ($1, $2)`, e.Fact.CoinID, e.Fact.N)
		return err
	}
	flow, err := choreo.NewFlow(
		choreo.Command("toss").Emits(tossed{}), choreo.Command("flip").Emits(flipped{}),
		choreo.On("note", note), choreo.On("note", write),
		choreo.On("hear", hear).Local(),
	)
	if err != nil {
		t.Fatal(err)
	}
	db, err := choreo.Open(t.Context(), old.DB.Pool(), flow, choreo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	later := old.With(db)

	p := old.Perform()
	for n := range 3 {
		later.Emit("flip", flipped{"c", n})
	}
	old.Emit("toss", tossed{"c", 3})
	unknown := func() int { return old.Count(`select count(*) from choreo.steps where state = 'unknown'`) }
	choreotest.Eventually(t, "the old binary goes on behind what it does not know", func() bool {
		return unknown() == 6 && old.Count(`select count(*) from notes`) == 1 // for note, and for ring
	})
	p.Stop()
	later.Perform()
	choreotest.Eventually(t, "the new binary takes what waited for it", func() bool { return old.Count(`select count(*) from notes`) == 4 })
	if n := old.Count(`select count(*) from (select string_agg(n::text, ',' order by id) as taken from notes) x where taken = '3,0,1,2'`); n != 1 {
		t.Error("what waited was not taken in its order")
	}
	if n := old.Count(`select count(*) from choreo.steps where consumer = 'note' and state = 'unknown'`); n > 0 {
		t.Errorf("%d events wait still", n)
	}
}

func TestWhatNobodyKnowsIsParkedAndOldForeignEventsAreForgotten(t *testing.T) {
	t.Parallel()
	s, _ := theatre(t, nil)
	exec := func(query string) {
		if _, err := s.DB.Pool().Exec(query); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into choreo.steps (consumer, source, event_id, type, key, saga, line, meta, data, state, due_at, effect_key, created_at, updated_at)
		select 'note', '/s', 'e' || n, 'coins.Never.v1', 'c', 's', 'c', '{}', '', 'unknown', t, '', t, t
		from (values (1, choreo.troupe_now() - interval '8 days'), (2, choreo.troupe_now() - interval '6 days')) as v (n, t)`)
	exec(`insert into choreo.inbox (consumer, source, event_id, at)
		select 'note', '/s', n::text, choreo.troupe_now() - interval '8 days' from generate_series(1, 2500) n
		union all select 'note', '/s', 'young', choreo.troupe_now() - interval '6 days'`)
	if _, err := consume.Maintain(t.Context(), s.DB, s.DB.Flow().Consumers()); err != nil {
		t.Fatal(err)
	}
	if old, young := s.Count(`select count(*) from choreo.steps where event_id = 'e1' and state = 'parked'`),
		s.Count(`select count(*) from choreo.steps where event_id = 'e2' and state = 'unknown'`); old != 1 || young != 1 {
		t.Errorf("%d parked after a week, %d waiting before", old, young)
	}
	if n := s.Count(`select count(*) from choreo.inbox`); n != 1 {
		t.Errorf("%d foreign events are remembered, want the young one", n)
	}
	s.When("note", tossed{"c", 1}, "")
	if n := s.Count(`select count(*) from notes`); n != 1 {
		t.Error("a parked event of an unknown type holds a line")
	}
}
