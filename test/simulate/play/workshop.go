package play

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"troupe/choreo"
	"troupe/choreo/sim"
)

// The workshop is a play of every kind of reaction that the engine has, whose
// handlers protect themselves as little as they may: an engine that fails at
// anything is seen to fail. Parts are ordered, many of one kind (the key); each
// is cut (an effect, undone by scrap), polished (a plain reaction, undone by
// unpolish), assembled once both halves are there (a join over two topics),
// shipped a while later, and counted in a batch and locally.

type part struct {
	Kind   string `json:"kind"`
	N      int    `json:"n"`
	Serial string `json:"serial"`
}

func (p part) Key() string { return p.Serial }

type (
	ordered   struct{ part }
	cut       struct{ part }
	cutFailed struct{ part }
	polished  struct{ part }
	assembled struct{ part }
	shipped   struct{ part }
	notSent   struct{ part }
	recalled  struct{ part }
	scrapped  struct{ part }
	notScrap  struct{ part }
	roughened struct{ part }
	counted   struct{ part }
)

func (ordered) FactType() string   { return "parts.Ordered.v1" }
func (recalled) FactType() string  { return "parts.Recalled.v1" }
func (cut) FactType() string       { return "cuts.Cut.v1" }
func (cutFailed) FactType() string { return "cuts.CutFailed.v1" }
func (scrapped) FactType() string  { return "cuts.Scrapped.v1" }
func (notScrap) FactType() string  { return "cuts.NotScrapped.v1" }
func (polished) FactType() string  { return "polishes.Polished.v1" }
func (roughened) FactType() string { return "polishes.Roughened.v1" }
func (assembled) FactType() string { return "wares.Assembled.v1" }
func (shipped) FactType() string   { return "wares.Shipped.v1" }
func (notSent) FactType() string   { return "wares.NotShipped.v1" }
func (counted) FactType() string   { return "wares.Counted.v1" }

func (p part) line() string { return p.Kind }

func migrateWorkshop(ctx context.Context, db *sql.DB) error {
	if err := choreo.Migrate(ctx, db); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, `
		create table parts (serial text primary key, saga text not null, recalled boolean not null default false,
			n integer not null default 0, polish integer not null default 0);
		create table halves (serial text, half text);
		create table counts (serial text, by text)`)
	return err
}

// machine cuts: once per key, as providers do, and not at all under a key that
// was scrapped.
type machine struct {
	sim  *sim.Sim
	keys map[string]*work
	made map[string]int // by serial

	tardy bool // it may cut long after it was asked to
}

// work is what a machine did under a key. It knows the key for a day; later it
// has to be asked. Now and then it does not answer, and cuts days later, whatever
// it is told in between.
type work struct {
	serial         string
	done, scrapped bool
	first          time.Time
	late           time.Time // when it will cut, zero where it has or will not
}

func (m *machine) work(key, serial string) *work {
	if m.keys[key] == nil {
		m.keys[key] = &work{serial: serial, first: m.sim.Now()}
	}
	w := m.keys[key]
	if !w.late.IsZero() && !m.sim.Now().Before(w.late) {
		w.late = time.Time{}
		w.done, w.first = true, m.sim.Now()
		m.made[w.serial]++
		m.sim.Count("late successes")
		m.sim.Note("", "  %s is made, late", w.serial)
	}
	return w
}

// ask tells what came of a key.
func (m *machine) ask(key string) (string, bool, error) {
	w := m.work(key, "")
	if !w.late.IsZero() {
		return "", false, choreo.ErrOutcomeUnknown
	}
	return "cut", w.done, nil
}

var (
	errScrapped = errors.New("this was scrapped")
	errTardy    = errors.New("no answer")
)

func (m *machine) cut(key, serial string) error {
	w := m.work(key, serial)
	switch {
	case w.scrapped:
		return choreo.Refused(errScrapped)
	case !w.done && w.late.IsZero() && m.tardy && !m.sim.Draining() && m.sim.Rand().IntN(25) == 0:
		w.late = m.sim.Now().Add(time.Duration(m.sim.Rand().Int64N(int64(3 * 24 * time.Hour))))
	}
	if !w.late.IsZero() {
		return errTardy
	}
	if !w.done || m.sim.Now().Sub(w.first) > idempotent {
		w.done, w.first = true, m.sim.Now()
		m.made[serial]++
	}
	return nil
}

func (m *machine) scrap(key, serial string) bool {
	w := m.work(key, serial)
	if !w.late.IsZero() {
		return false // it knows of nothing yet
	}
	undo := w.done && !w.scrapped
	w.scrapped = true
	if undo {
		m.made[serial]--
	}
	return w.done
}

type workshop struct {
	cutter  *machine
	carrier *machine
	unsure  map[string]bool // whose failure was of an unknown outcome
}

type cutting struct{ w *workshop }

func (cutting) Load(context.Context, *choreo.Tx, choreo.Event[ordered]) (int, error) { return 0, nil }
func (c cutting) Call(_ context.Context, key string, e choreo.Event[ordered], _ int) (string, error) {
	return "cut", c.w.cutter.cut(key, e.Fact.Serial)
}
func (cutting) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[ordered], _ string) error {
	tx.Emit(cut{e.Fact.part})
	return nil
}
func (c cutting) Ask(_ context.Context, key string) (string, bool, error) {
	return c.w.cutter.ask(key)
}

type scrapping struct{ w *workshop }

func (scrapping) Load(_ context.Context, tx *choreo.Tx, e choreo.Event[recalled]) (string, error) {
	u, ok := choreo.UndoOf[string](tx)
	if !ok || !u.Begun {
		tx.Emit(scrapped{e.Fact.part})
		return "", choreo.Skip
	}
	return u.Key, nil
}
func (s scrapping) Call(_ context.Context, _ string, e choreo.Event[recalled], key string) (bool, error) {
	return s.w.cutter.scrap(key, e.Fact.Serial), nil
}
func (scrapping) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[recalled], _ bool) error {
	tx.Emit(scrapped{e.Fact.part})
	return nil
}

type shipping struct{ w *workshop }

func (shipping) Load(context.Context, *choreo.Tx, choreo.Event[assembled]) (int, error) {
	return 0, nil
}
func (s shipping) Call(_ context.Context, key string, e choreo.Event[assembled], _ int) (string, error) {
	return "", s.w.carrier.cut(key, e.Fact.Serial)
}
func (shipping) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[assembled], _ string) error {
	tx.Emit(shipped{e.Fact.part})
	return nil
}
func (s shipping) Ask(_ context.Context, key string) (string, bool, error) {
	return s.w.carrier.ask(key)
}

// assemble keeps the half that has come, and looks whether it is the second.
func assemble[F choreo.Fact](half string, of func(F) part) func(context.Context, *choreo.Tx, choreo.Event[F]) error {
	return func(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
		p := of(e.Fact)
		if _, err := tx.ExecContext(ctx, `insert into halves (serial, half) values ($1, $2)`, p.Serial, half); err != nil {
			return err
		}
		var halves int
		if err := tx.QueryRowContext(ctx, `select count(distinct half) from halves where serial = $1`, p.Serial).Scan(&halves); err != nil {
			return err
		}
		if halves == 2 {
			tx.Emit(assembled{p})
		}
		return nil
	}
}

func (w *workshop) flow(s *sim.Sim) (*choreo.Flow, error) {
	w.cutter = &machine{sim: s, keys: map[string]*work{}, made: map[string]int{}, tardy: true}
	w.carrier = &machine{sim: s, keys: map[string]*work{}, made: map[string]int{}}
	count := func(by string) func(context.Context, *choreo.Tx, part) error {
		return func(ctx context.Context, tx *choreo.Tx, p part) error {
			_, err := tx.ExecContext(ctx, `insert into counts (serial, by) values ($1, $2)`, p.Serial, by)
			return err
		}
	}
	return choreo.NewFlow(
		choreo.Command("order-part").Emits(ordered{}),
		choreo.Command("recall-part").Emits(recalled{}).Cancels("order-part", "cut", "polish"),
		choreo.OnEffect("cut", cutting{w}).Emits(cut{}).FailsWith(cutFailed{}).
			Line(func(e choreo.Event[ordered]) string { return e.Fact.line() }).
			GivesUp(time.Hour, func(_ context.Context, _ *choreo.Tx, e choreo.Event[ordered], cause error) (choreo.Fact, error) {
				w.unsure[e.Fact.Serial] = errors.Is(cause, choreo.ErrOutcomeUnknown)
				return cutFailed{e.Fact.part}, nil
			}).Within(time.Minute),
		choreo.On("polish", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[ordered]) error {
			_, err := tx.ExecContext(ctx, `update parts set polish = polish + 1 where serial = $1`, e.Fact.Serial)
			tx.Emit(polished{e.Fact.part})
			return err
		}).Emits(polished{}).Within(time.Minute),
		choreo.On("assemble", assemble("cut", func(f cut) part { return f.part })).Joins().Parallel().Emits(assembled{}).Within(time.Minute),
		choreo.On("assemble", assemble("polish", func(f polished) part { return f.part })).Joins().Parallel().Emits(assembled{}).Within(time.Minute),
		choreo.OnEffect("ship", shipping{w}).Emits(shipped{}).FailsWith(notSent{}).After(2*time.Second).
			Line(func(e choreo.Event[assembled]) string { return e.Fact.line() }).
			GivesUp(24*time.Hour, func(_ context.Context, _ *choreo.Tx, e choreo.Event[assembled], _ error) (choreo.Fact, error) {
				return notSent{e.Fact.part}, nil
			}).Irreversible("it is gone").Within(time.Minute),
		choreo.OnBatch("count", func(ctx context.Context, tx *choreo.Tx, events []choreo.Event[ordered]) error {
			for _, e := range events {
				if err := count("batch")(ctx, tx, e.Fact.part); err != nil {
					return err
				}
				tx.EmitFor(e, counted{e.Fact.part})
			}
			return nil
		}).Emits(counted{}).Within(time.Minute),
		choreo.On("file", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[cut]) error {
			return count("file")(ctx, tx, e.Fact.part)
		}).Local().Within(time.Minute),
		choreo.On("file", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[scrapped]) error {
			return count("file")(ctx, tx, e.Fact.part)
		}).Local().Within(time.Minute),
		choreo.OnEffect("scrap", scrapping{w}).Undoes("cut").Emits(scrapped{}).FailsWith(notScrap{}).
			GivesUp(7*24*time.Hour, func(_ context.Context, _ *choreo.Tx, e choreo.Event[recalled], _ error) (choreo.Fact, error) {
				return notScrap{e.Fact.part}, nil
			}).Within(time.Minute),
		choreo.On("unpolish", func(ctx context.Context, tx *choreo.Tx, e choreo.Event[recalled]) error {
			if _, ok := choreo.UndoOf[any](tx); !ok {
				return errors.New("an undo is handed no step")
			}
			_, err := tx.ExecContext(ctx, `update parts set polish = 0 where serial = $1`, e.Fact.Serial)
			tx.Emit(roughened{e.Fact.part})
			return err
		}).Undoes("polish").Emits(roughened{}).Within(time.Minute),
		choreo.Final(shipped{}, choreo.Completed), choreo.Final(notSent{}, choreo.Failed), choreo.Final(cutFailed{}, choreo.Failed),
		choreo.Final(scrapped{}, choreo.Undone), choreo.Final(notScrap{}, choreo.Owed), choreo.Final(roughened{}, choreo.Undone),
	)
}

func (w *workshop) saga(s *sim.Sim, n int) []sim.Act {
	kind := fmt.Sprintf("kind-%d", s.Rand().IntN(2+n/8))
	serial := fmt.Sprintf("part-%d", n)
	acts := []sim.Act{{Name: "order-part", Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		return choreo.Commit(ctx, db, "order-part", func(ctx context.Context, tx *choreo.Tx) error {
			_, err := tx.ExecContext(ctx, `insert into parts (serial, saga) values ($1, $2)`, serial, tx.Saga())
			tx.Emit(ordered{part{kind, n, serial}})
			return err
		})
	}}}
	if s.Rand().IntN(3) == 0 {
		acts = append(acts, sim.Act{Name: "recall-part", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			return choreo.Commit(ctx, db, "recall-part", func(ctx context.Context, tx *choreo.Tx) error {
				var saga string
				err := tx.QueryRowContext(ctx, `update parts set recalled = true where serial = $1 and not recalled returning saga`, serial).Scan(&saga)
				if err != nil {
					return fmt.Errorf("recalling: %w", err)
				}
				tx.JoinSaga(saga)
				tx.Emit(recalled{part{kind, n, serial}})
				return nil
			})
		}})
	}
	return acts
}

func (w *workshop) stray(s *sim.Sim) choreo.Fact {
	return ordered{part{Kind: "stray", Serial: fmt.Sprintf("stray-%d", s.Rand().Uint32())}}
}

func (w *workshop) check(ctx context.Context, s *sim.Sim) (found []sim.Violation, err error) {
	report := func(invariant, saga, format string, args ...any) {
		found = append(found, sim.Violation{Invariant: invariant, Saga: saga, Detail: fmt.Sprintf(format, args...)})
	}
	facts := map[string][]string{}
	for _, n := range s.Notes() {
		if n.Kind == sim.Emitted {
			facts[n.Event.Key] = append(facts[n.Event.Key], n.Event.Type)
		}
	}
	rows, err := s.DB.Pool().QueryContext(ctx, `select p.serial, p.saga, p.recalled, p.polish,
		(select count(*) from counts c where c.serial = p.serial and by = 'batch') from parts p order by p.serial`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var serial, saga string
		var back bool
		var polish, batch int
		if err := rows.Scan(&serial, &saga, &back, &polish, &batch); err != nil {
			return nil, err
		}
		has := func(f choreo.Fact) bool { return slices.Contains(facts[serial], f.FactType()) }
		made := w.cutter.made[serial]
		switch {
		case back && !has(notScrap{}) && (made != 0 || !has(scrapped{})):
			report("every undo owed is done", saga, "%s is recalled and is cut %d times (%v)", serial, made, facts[serial])
		case back && (polish != 0 || !has(roughened{})):
			report("every undo owed is done", saga, "%s is recalled and polished %d times (%v)", serial, polish, facts[serial])
		case !back && polish != 1:
			report("each once", saga, "%s is polished %d times", serial, polish)
		case !back && made != 1 && !has(cutFailed{}):
			report("each once", saga, "%s is cut %d times", serial, made)
		case has(cutFailed{}) && !w.unsure[serial] && made != 0:
			report("a failure says the truth", saga, "%s is cut %d times, and is said to have failed", serial, made)
		case has(cut{}) && has(polished{}) && !has(assembled{}):
			report("a join misses nothing", saga, "%s has both halves and is not assembled", serial)
		}
		if w.carrier.made[serial] > 1 {
			report("each once", saga, "%s is shipped %d times", serial, w.carrier.made[serial])
		}
		if batch != 1 {
			report("each once", saga, "%s is counted %d times", serial, batch)
		}
	}
	return found, rows.Err()
}

// Workshop simulates the workshop.
func (s *Stage) Workshop(ctx context.Context, o sim.Options) (*sim.Report, error) {
	w := &workshop{unsure: map[string]bool{}}
	return s.run(ctx, "workshop_template", sim.Play{Flow: w.flow, Saga: w.saga, Stray: w.stray, Check: w.check}, o)
}
