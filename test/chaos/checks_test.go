package main

import (
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
)

type tossed struct {
	CoinID string `json:"coinId"`
}

func (tossed) FactType() string { return "coins.Tossed.v1" }
func (f tossed) Key() string    { return f.CoinID }

// What each question is to find, made to happen: a check that cannot fail shows
// nothing.
func TestEveryQuestionFindsWhatItAsksFor(t *testing.T) {
	t.Parallel()
	const (
		stream = `insert into choreo.streams (source, topic, partition, head) values ('/troupe/x/1', 'coins', 0, 3)`
		reader = `insert into choreo.consumers values ('note', '{coins}', false, choreo.troupe_now())`
		facts  = `insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data)
			select n, (select id from choreo.streams), n, 'e' || n, 'coins.Tossed.v1', 'k', 's', '', 'toss', '', '', choreo.troupe_now(), '{}'
			from generate_series(1, 3) n`
		forwarded = `insert into choreo.forwarded (stream, sequence) select id, 3 from choreo.streams`
		taken     = `insert into choreo.watermarks values ('note', '/troupe/x/1', 'coins', 0, 3)`
		emitted   = `insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data)
			select 10 + n, 99, n, 'r' || n, 'bells.Rung.v1', 'k', 's', 'e' || (array[1, 3, 2])[n], 'note', '', '', choreo.troupe_now(), '{}'
			from generate_series(1, 3) n`
		twice = `insert into choreo.event_log (position, stream, sequence, event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data)
			select 10 + n, 99, n, 'r' || n, 'bells.Rung.v1', 'k', 's', 'e1', 'note', '', '', choreo.troupe_now(), '{}' from generate_series(1, 2) n`
		steps = `insert into choreo.steps (consumer, source, event_id, type, key, saga, line, meta, data, state, error, due_at, effect_key, created_at, updated_at)
			select 'ring', '/troupe/x/1', 'e' || n, 'coins.Tossed.v1', 'k', 's', 'k', '{}', '{}', $1, $2, choreo.troupe_now(), '', choreo.troupe_now(), choreo.troupe_now() + n * $3 * interval '1 second'
			from generate_series(1, 2) n`
		outbox = `insert into choreo.outbox (event_id, type, key, saga, causation, emitter, ran_in, traceparent, at, data)
			values ('o', 'coins.Tossed.v1', 'k', 's', '', 'toss', '', '', choreo.troupe_now(), '{}')`
		bad = `insert into choreo.quarantine values ('coins', 'id', 0, 7, 'note', 'no JSON', '{}', '', '', 0, choreo.troupe_now())`
	)
	type statement struct {
		query string
		args  []any
	}
	do := func(queries ...string) (list []statement) {
		for _, q := range queries {
			list = append(list, statement{query: q})
		}
		return list
	}
	sound := do(stream, reader, facts, forwarded, taken)
	with := func(more ...statement) []statement { return append(append([]statement{}, sound...), more...) }
	for name, c := range map[string]struct {
		given    []statement
		question string // that finds it; empty: none does
	}{
		"nothing is wrong":             {sound, ""},
		"a step was refused":           {with(statement{steps, []any{"gave-up", "refused: the provider answered 402", 1}}), ""},
		"a fact waits":                 {with(do(outbox)...), "nothing under way"},
		"a step waits":                 {with(statement{steps, []any{"waiting", "", 1}}), "nothing under way"},
		"a step hangs":                 {with(statement{steps, []any{"calling", "", 1}}), "nothing under way"},
		"a fact of the log is gone":    {with(do(`delete from choreo.event_log where sequence = 2`)...), "sequences without a gap"},
		"a fact was not forwarded":     {with(do(`update choreo.forwarded set sequence = 2`)...), "sequences without a gap"},
		"a consumer is behind":         {with(do(`update choreo.watermarks set sequence = 2`)...), "every consumer has taken everything"},
		"a consumer took nothing":      {with(do(`delete from choreo.watermarks`)...), "every consumer has taken everything"},
		"a key was taken out of turn":  {with(do(emitted)...), "no key out of order at a plain consumer"},
		"a line was taken out of turn": {with(statement{steps, []any{"done", "", -1}}), "no line out of order at a step"},
		"a fact came twice of one":     {with(do(twice)...), "no outcome twice"},
		"a step ended by an outage":    {with(statement{steps, []any{"gave-up", "dial tcp 127.0.0.1:25: connect: connection refused", 1}}), "nothing undone because of an outage"},
		"a step ended by nothing":      {with(statement{steps, []any{"gave-up", "no answer within 30s", 1}}), "nothing undone because of an outage"},
		"a record was put aside":       {with(do(bad)...), "nothing put aside"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flow, err := choreo.NewFlow(choreo.Command("toss").Emits(tossed{}))
			if err != nil {
				t.Fatal(err)
			}
			db := choreotest.New(t, flow, choreo.Migrate).DB.Pool()
			for _, s := range c.given {
				if _, err := db.ExecContext(t.Context(), s.query, s.args...); err != nil {
					t.Fatalf("%s: %v", s.query, err)
				}
			}
			found := map[string][]string{}
			for _, q := range questions {
				_, bad, err := ask(t.Context(), db, q)
				if err != nil {
					t.Fatal(err)
				}
				if len(bad) > 0 {
					found[q.name] = bad
				}
			}
			if c.question == "" && len(found) > 0 || c.question != "" && found[c.question] == nil {
				t.Errorf("found %v, want %q", found, c.question)
			}
		})
	}
}

func TestKafkaIsComparedWithTheLog(t *testing.T) {
	t.Parallel()
	type record struct {
		id       string
		sequence int64
	}
	for name, c := range map[string]struct {
		records      []record
		again, wrong int
	}{
		"as the log has it":   {[]record{{"a", 1}, {"b", 2}, {"c", 3}}, 0, 0},
		"twice, in order":     {[]record{{"a", 1}, {"b", 2}, {"a", 1}, {"b", 2}, {"c", 3}}, 2, 0},
		"one is lost":         {[]record{{"a", 1}, {"c", 3}}, 0, 2},
		"the last is lost":    {[]record{{"a", 1}, {"b", 2}}, 0, 1},
		"out of order":        {[]record{{"b", 2}, {"a", 1}, {"b", 2}, {"c", 3}}, 0, 1},
		"another event":       {[]record{{"a", 1}, {"x", 2}, {"c", 3}}, 0, 3},
		"a sequence of two":   {[]record{{"a", 1}, {"b", 2}, {"c", 3}, {"x", 2}}, 0, 1},
		"beyond the log":      {[]record{{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}}, 0, 1},
		"there is not a fact": {nil, 0, 1},
	} {
		f := follower{place: place{"coins", 0}, ids: []string{"a", "b", "c"}}
		for _, r := range c.records {
			f.take(r.id, r.sequence)
		}
		f.end()
		if f.again != c.again || len(f.wrong) != c.wrong {
			t.Errorf("%s: %d came again, and %q is wrong; want %d and %d", name, f.again, f.wrong, c.again, c.wrong)
		}
	}
}
