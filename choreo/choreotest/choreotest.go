// Package choreotest tests handlers in given/when/then: given rows and earlier
// facts, when a consumer gets a fact, then these facts come of it. Everything
// is real: the flow, the engine's transactions and steps, and a Postgres
// database of the test's own; only Kafka is left out.
package choreotest

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/uuid"
	_ "github.com/lib/pq" // the driver of the test's database

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/choreo/steps"
	"troupe/choreo/wire"
)

// Stage is a flow over a database of the test's own.
type Stage struct {
	DB *choreo.DB

	t      testing.TB
	runner *steps.Runner
}

// New makes a stage. migrate is a named function that makes the engine's tables,
// by choreo.Migrate, and those that the handlers use; it runs once for all
// tests of a binary. change may change the options of the database handle.
func New(t testing.TB, flow *choreo.Flow, migrate func(context.Context, *sql.DB) error, change ...func(*choreo.Options)) *Stage {
	t.Helper()
	pool, err := sql.Open("postgres", embeddedtest.Database(t, migrate))
	if err != nil {
		t.Fatal(err)
	}
	pool.SetMaxOpenConns(20)
	t.Cleanup(func() { _ = pool.Close() })
	var o choreo.Options
	for _, c := range change {
		c(&o)
	}
	db, err := choreo.Open(t.Context(), pool, flow, o)
	if err != nil {
		t.Fatal(err)
	}
	return &Stage{DB: db, t: t, runner: steps.NewRunner(db, flow.Consumers(), steps.Options{})}
}

// With is the same stage with another flow over its database: a later binary, or
// an earlier one.
func (s *Stage) With(db *choreo.DB) *Stage {
	return &Stage{DB: db, t: s.t, runner: steps.NewRunner(db, db.Flow().Consumers(), steps.Options{})}
}

// Given runs a command that must succeed, and is what happened before.
func (s *Stage) Given(command string, fn func(context.Context, *choreo.Tx) error) choreo.Receipt {
	s.t.Helper()
	r, err := choreo.Commit(s.t.Context(), s.DB, command, fn)
	if err != nil {
		s.t.Fatalf("given %s: %v", command, err)
	}
	return r
}

// When gives a fact to a consumer, as an event of the given saga, or of a saga
// of its own where that is empty. An effect makes one attempt.
func (s *Stage) When(consumer string, fact choreo.Fact, saga string) *Result {
	s.t.Helper()
	return s.end(s.Arrive(consumer, fact, saga))
}

// Arrive is When, but leaves the event's step alone where it has one.
func (s *Stage) Arrive(consumer string, fact choreo.Fact, saga string) *Result {
	s.t.Helper()
	m := choreo.Meta{ID: uuid.Must(uuid.NewV7()).String(), Source: "/choreotest", Type: fact.FactType(), Key: fact.Key(), Saga: saga}
	now, err := s.DB.Now(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	m.Time = now
	if m.Saga == "" {
		m.Saga = m.ID
	}
	return s.deliver(consumer, m, fact)
}

// Forward gives an event that was emitted to a consumer, as it is.
func (s *Stage) Forward(consumer, eventID string) *Result {
	s.t.Helper()
	m := choreo.Meta{ID: eventID, Source: "/choreotest"}
	var data []byte
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select type, key, saga, causation, emitter, at, data from choreo.outbox
		where event_id = $1`, eventID).Scan(&m.Type, &m.Key, &m.Saga, &m.Causation, &m.Emitter, &m.Time, &data)
	if err != nil {
		s.t.Fatalf("reading event %s: %v", eventID, err)
	}
	return s.end(s.deliver(consumer, m, forwarded{m, data}))
}

// forwarded is a fact as it was emitted.
type forwarded struct {
	m    choreo.Meta
	data json.RawMessage
}

func (f forwarded) FactType() string             { return f.m.Type }
func (f forwarded) Key() string                  { return f.m.Key }
func (f forwarded) MarshalJSON() ([]byte, error) { return f.data, nil }

// Again gives the event of an earlier result to its consumer once more.
func (s *Stage) Again(r *Result) *Result {
	s.t.Helper()
	return s.end(s.deliver(r.consumer, r.meta, r.fact))
}

func (s *Stage) deliver(consumer string, m choreo.Meta, fact choreo.Fact) *Result {
	s.t.Helper()
	c := s.DB.Flow().Consumer(consumer)
	if c == nil || c.Rule(m.Type) == nil {
		s.t.Fatalf("the flow has no consumer %q of %s", consumer, m.Type)
	}
	data, err := json.Marshal(fact)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &Result{t: s.t, consumer: consumer, meta: m, fact: fact}
	a := &consume.Applier{DB: s.DB, Consumer: c}
	counts, err := a.Batch(s.t.Context(), &broker.Batch{Records: []*wire.Record{r.record(data)}})
	if err != nil {
		s.t.Fatalf("%s on %s: %v", consumer, m.Type, err)
	}
	for r.Outcome = range counts {
		break
	}
	return r
}

// end runs the step that was made of the event, if it is due, and reads what came.
func (s *Stage) end(r *Result) *Result {
	s.t.Helper()
	var id int64
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select id from choreo.steps where consumer = $1 and event_id = $2`,
		r.consumer, r.meta.ID).Scan(&id)
	if err == nil {
		s.run(r, id)
	} else if !errors.Is(err, sql.ErrNoRows) {
		s.t.Fatal(err)
	}
	s.readEmitted(r)
	return r
}

// record is the event as one of somebody else's: the log of the stage does not
// hold it. Its offset is its own, so that only its id tells that it came before.
func (r *Result) record(data []byte) *wire.Record {
	w := wire.Encode(r.meta, data, 0)
	w.TopicID = r.meta.ID
	return w
}

func (s *Stage) run(r *Result, id int64) {
	s.t.Helper()
	if err := s.runner.RunOne(s.t.Context(), id); err != nil {
		s.t.Fatalf("running the step of %s: %v", r.consumer, err)
	}
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select state, error from choreo.steps where id = $1`, id).
		Scan(&r.State, &r.Error)
	if err != nil {
		s.t.Fatal(err)
	}
}

// Watch asks what came of the call of a step that gave up without knowing, as if
// the time to ask again had come. Where it succeeded late, what is redone for it
// runs by Again.
func (s *Stage) Watch(r *Result) {
	s.t.Helper()
	var id int64
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `update choreo.steps set watch_at = choreo.troupe_now()
		where consumer = $1 and event_id = $2 and watch_at is not null returning id`, r.consumer, r.meta.ID).Scan(&id)
	if err != nil {
		s.t.Fatalf("the step of %s is not watched: %v", r.consumer, err)
	}
	if err := s.runner.WatchOne(s.t.Context(), id); err != nil {
		s.t.Fatalf("watching the step of %s: %v", r.consumer, err)
	}
}

func (s *Stage) readEmitted(r *Result) {
	s.t.Helper()
	rows, err := s.DB.Pool().QueryContext(s.t.Context(), `select type, data from choreo.outbox
		where causation = $1 and emitter = $2 order by id`, r.meta.ID, r.consumer)
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var e emitted
		if err := rows.Scan(&e.typ, &e.data); err != nil {
			s.t.Fatal(err)
		}
		r.emitted = append(r.emitted, e)
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
}

// Result is what came of a fact.
type Result struct {
	Outcome consume.Outcome // of its arrival
	State   string          // of its step, empty where it has none
	Error   string          // of the step's last attempt

	t        testing.TB
	consumer string
	meta     choreo.Meta
	fact     choreo.Fact
	emitted  []emitted
}

type emitted struct {
	typ  string
	data []byte
}

// EventID is the id of the event that was given.
func (r *Result) EventID() string { return r.meta.ID }

// Emits checks that exactly these facts came, in this order.
func (r *Result) Emits(want ...choreo.Fact) {
	r.t.Helper()
	if len(r.emitted) != len(want) {
		r.t.Errorf("%s on %s emitted %s, want %d facts (outcome %s, step %s %s)",
			r.consumer, r.meta.Type, r.list(), len(want), r.Outcome, r.State, r.Error)
		return
	}
	for i, fact := range want {
		data, err := json.Marshal(fact)
		if err != nil {
			r.t.Fatal(err)
		}
		if r.emitted[i].typ != fact.FactType() || !sameJSON(r.emitted[i].data, data) {
			r.t.Errorf("%s on %s emitted %s %s, want %s %s",
				r.consumer, r.meta.Type, r.emitted[i].typ, r.emitted[i].data, fact.FactType(), data)
		}
	}
}

// Read reads the only fact that came, for what a test cannot know beforehand.
func (r *Result) Read(into any) {
	r.t.Helper()
	if len(r.emitted) != 1 {
		r.t.Fatalf("%s on %s emitted %s, want one fact (step %s %s)", r.consumer, r.meta.Type, r.list(), r.State, r.Error)
	}
	want, _ := into.(choreo.Fact)
	if want != nil && r.emitted[0].typ != want.FactType() {
		r.t.Fatalf("%s on %s emitted %s, want %s", r.consumer, r.meta.Type, r.list(), want.FactType())
	}
	if err := json.Unmarshal(r.emitted[0].data, into); err != nil {
		r.t.Fatal(err)
	}
}

// Last reads the last of the facts that came: the one of the latest round.
func (r *Result) Last(into choreo.Fact) {
	r.t.Helper()
	if n := len(r.emitted); n > 0 && r.emitted[n-1].typ == into.FactType() {
		r.emitted = r.emitted[n-1:]
	}
	r.Read(into)
}

func (r *Result) list() (all []string) {
	for _, e := range r.emitted {
		all = append(all, e.typ+" "+string(e.data))
	}
	return all
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}
