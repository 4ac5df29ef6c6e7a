package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/consume"
	"troupe/choreo/eventlog"
	"troupe/choreo/pull"
)

// ErrRebuilding is a rebuild of a view that another process is at.
var ErrRebuilding = errors.New("another process rebuilds this view: let it end, or try again half a minute after it was killed")

const (
	leaseFor   = 30 * time.Second // of a rebuild; renewed before each step, which is shorter
	mostPause  = 5 * time.Second  // that the live view may be held still at the end
	swapsTried = 50

	betweenSwaps = 100 * time.Millisecond
)

// Progress is told how many events of the log were taken into the new tables.
type Progress func(events int64)

// rebuild is a rebuild under way.
type rebuild struct {
	db     *choreo.DB
	view   *choreo.ViewLine
	home   *sql.DB
	holder string
	told   Progress
	events int64

	feed func(context.Context) (int64, error) // takes what comes next of the log; 0 at its end
}

// Rebuild fills new tables of a view from the log, beside those that are live,
// and puts them in their place once they hold all that those do: in one moment,
// in which a reader sees the one or the other, with nothing missed and nothing
// twice while events go on. Killed half-way it leaves the live view as it is, and
// can be run again. It tells how many events it took.
func Rebuild(ctx context.Context, db *choreo.DB, v *choreo.ViewLine, told Progress) (events int64, err error) {
	r := &rebuild{db: db, view: v, home: db.ViewsHome().Pool(), holder: uuid.NewString(), told: told}
	if err := r.hold(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.release(context.WithoutCancel(ctx))) }()
	if err := r.begin(ctx); err != nil {
		return 0, err
	}
	r.follow()
	for range swapsTried {
		if err := r.catchUp(ctx); err != nil {
			return 0, err
		}
		swapped, err := r.swap(ctx)
		if swapped {
			return r.events, errors.Join(r.audit(ctx), r.dropOld(ctx))
		}
		if err != nil && !choreo.IsInfrastructure(err) || ctx.Err() != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(betweenSwaps):
		}
	}
	return 0, fmt.Errorf("rebuilding %s: events come faster than they can be taken; try again when there are fewer", v.Name)
}

// name is that of what fills the new tables.
func (r *rebuild) name() string { return r.view.Name + "+next" }

// follow sets how the new tables are filled: by the projection, or by the handler
// of one that pulls, in both cases from the log itself.
func (r *rebuild) follow() {
	if r.view.Pulls != nil {
		reader := &pull.Reader{Name: r.name(), DB: r.home, Source: eventlog.Source{DB: r.db}, Handle: r.view.Pulls,
			Types: r.view.Types, Schema: r.view.NextSchema()}
		r.feed = func(ctx context.Context) (int64, error) { return reader.Once(ctx, 0) }
		return
	}
	next := r.db.Flow().Consumer(r.view.Name).Rebuild()
	feeder := consume.NewFeeder(&consume.Applier{DB: r.db, Consumer: next}, slog.New(slog.DiscardHandler))
	r.feed = func(ctx context.Context) (int64, error) {
		n, err := feeder.Feed(ctx)
		return int64(n), err
	}
}

// begin makes empty new tables, also where an earlier rebuild left some.
func (r *rebuild) begin(ctx context.Context) error {
	return r.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `drop schema if exists `+r.view.NextSchema()+` cascade`); err != nil {
			return err
		}
		if err := forget(ctx, tx, r.name()); err != nil {
			return err
		}
		if err := r.beginAtFirst(ctx, tx); err != nil {
			return err
		}
		return makeTables(ctx, tx, r.view, r.view.NextSchema())
	})
}

// beginAtFirst sets the watermarks to where the log begins, once days of it were
// dropped.
func (r *rebuild) beginAtFirst(ctx context.Context, tx *sql.Tx) error {
	rows, err := r.db.Log().QueryContext(ctx, `select c.source, c.topic, c.partition, c.sequence
		from choreo.log_cuts c join choreo.log_head h on c.position = h.begins_after where c.topic = any ($1)`, pq.Array(r.view.Topics()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var source, topic string
		var partition, sequence int64
		if err := rows.Scan(&source, &topic, &partition, &sequence); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `insert into choreo.watermarks (consumer, source, topic, partition, sequence)
			values ($1, $2, $3, $4, $5)`, r.name(), source, topic, partition, sequence)
		if err != nil {
			return err
		}
	}
	return rows.Err()
}

// forget takes away how far a consumer or reader has come.
func forget(ctx context.Context, tx *sql.Tx, name string) error {
	for _, statement := range []string{
		`delete from choreo.watermarks where consumer = $1`, `delete from choreo.foreign_offsets where consumer = $1`,
		`delete from choreo.inbox where consumer = $1`, `delete from choreo.steps where consumer = $1`,
		`delete from pull.positions where reader = $1`,
	} {
		if _, err := tx.ExecContext(ctx, statement, name); err != nil {
			return err
		}
	}
	return nil
}

// catchUp feeds the new tables to the end of the log.
func (r *rebuild) catchUp(ctx context.Context) error {
	for {
		if err := r.hold(ctx); err != nil {
			return err
		}
		n, err := r.feed(ctx)
		if err != nil && !choreo.IsInfrastructure(err) || ctx.Err() != nil {
			return fmt.Errorf("rebuilding %s: %w", r.view.Name, errors.Join(err, ctx.Err()))
		}
		if r.events += n; r.told != nil {
			r.told(r.events)
		}
		if err == nil && n == 0 {
			return nil
		}
	}
}

// swap holds the live view still, has the new tables take the rest of the log,
// which is at least what the live ones have, and puts them in their place. false
// where that rest was too much to hold still for.
func (r *rebuild) swap(ctx context.Context) (swapped bool, err error) {
	err = r.inTx(ctx, func(tx *sql.Tx) error {
		// Its transactions hold this shared, from their start to their end.
		if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, r.view.Schema()); err != nil {
			return err
		}
		still, cancel := context.WithTimeout(ctx, mostPause)
		defer cancel()
		for n := int64(1); n > 0; {
			if n, err = r.feed(still); err != nil {
				return err
			}
			r.events += n
		}
		// Foreign events come to the log a moment later than to the live view.
		err := tx.QueryRowContext(ctx, `select not exists (select from choreo.foreign_offsets l
			left join choreo.foreign_offsets n on n.consumer = $2 and n.topic_id = l.topic_id and n.partition = l.partition
			where l.consumer = $1 and l.next_offset > coalesce(n.next_offset, 0))`, r.view.Name, r.name()).Scan(&swapped)
		if err != nil || !swapped {
			return err
		}
		return r.exchange(ctx, tx)
	})
	return swapped && err == nil, err
}

func (r *rebuild) exchange(ctx context.Context, tx *sql.Tx) error {
	live, next := r.view.Schema(), r.view.NextSchema()
	for _, statement := range []string{
		`drop schema if exists ` + live + `_old cascade`,
		`alter schema ` + live + ` rename to ` + live + `_old`,
		`alter schema ` + next + ` rename to ` + live,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	for _, statement := range []string{
		`delete from choreo.watermarks where consumer = $1`, `update choreo.watermarks set consumer = $1 where consumer = $2`,
		`delete from choreo.steps where consumer = $1`, `update choreo.steps set consumer = $1 where consumer = $2`,
		`delete from choreo.foreign_offsets where consumer = $1`, `update choreo.foreign_offsets set consumer = $1 where consumer = $2`,
		`delete from choreo.inbox where consumer = $1`, `update choreo.inbox set consumer = $1 where consumer = $2`,
		`delete from pull.positions where reader = $1`, `update pull.positions set reader = $1 where reader = $2`,
	} {
		args := []any{r.view.Name, r.name()}
		if statement[0] == 'd' {
			args = args[:1]
		}
		if _, err := tx.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `insert into choreo.views (view, tables) values ($1, $2)
		on conflict (view) do update set tables = excluded.tables`, r.view.Name, r.view.Tables)
	return err
}

// audit leaves its line beside the log, which may be another database than that of
// the view: so not in the transaction of the swap.
func (r *rebuild) audit(ctx context.Context) error {
	return r.db.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		return u.Audit(ctx, "views rebuild", r.view.Name, r.events, "events of "+strings.Join(r.view.Topics(), ", "))
	})
}

// dropOld drops the tables that were live. It waits for those who read them, and
// nobody waits for it: they have other names already.
func (r *rebuild) dropOld(ctx context.Context) error {
	for {
		_, err := r.home.ExecContext(ctx, `drop schema if exists `+r.view.Schema()+`_old cascade`)
		if err == nil || !choreo.IsInfrastructure(err) || ctx.Err() != nil {
			return err
		}
	}
}

func (r *rebuild) inTx(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := r.home.BeginTx(ctx, nil)
	if err == nil {
		defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
		if err = do(tx); err == nil {
			err = tx.Commit()
		}
	}
	if err != nil {
		return fmt.Errorf("rebuilding %s: %w", r.view.Name, err)
	}
	return nil
}

// hold takes or renews the lease: one process rebuilds a view at a time.
func (r *rebuild) hold(ctx context.Context) error {
	result, err := r.home.ExecContext(ctx, `
		insert into choreo.leases as l (name, holder, until)
		select 'rebuild ' || $1, $2, n + $3 * interval '1 second' from choreo.troupe_now() n
		on conflict (name) do update set holder = excluded.holder, until = excluded.until
		where l.holder = excluded.holder or l.until < choreo.troupe_now()`, r.view.Name, r.holder, leaseFor.Seconds())
	if err != nil {
		return fmt.Errorf("rebuilding %s: %w", r.view.Name, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(ErrRebuilding, err)
	}
	return nil
}

func (r *rebuild) release(ctx context.Context) error {
	_, err := r.home.ExecContext(ctx, `delete from choreo.leases where name = 'rebuild ' || $1 and holder = $2`, r.view.Name, r.holder)
	return err
}
