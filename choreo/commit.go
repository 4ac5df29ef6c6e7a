package choreo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"troupe/choreo/internal/crashpoint"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
)

// Receipt is what a command that was committed can tell its caller.
type Receipt struct {
	EventID string // of its last fact, empty if it emitted none
	Saga    string // empty if it emitted none
}

// Commit is the unit of work of a command: fn and its facts become durable
// together or not at all. fn locks the aggregate's row first and emits then:
// that order is what keeps the order of facts per key. In-transaction
// reactions run before the commit; one of their failure facts rolls everything
// back as a *RejectedError. fn runs again after a deadlock, and where the answer
// to COMMIT was lost only once it is certain that nothing was committed.
func Commit(ctx context.Context, db *DB, command string, fn func(context.Context, *Tx) error) (Receipt, error) {
	line := db.flow.Command(command)
	if line == nil {
		return Receipt{}, fmt.Errorf("the flow has no command %q", command)
	}
	for try := 1; ; try++ {
		var unit *Unit
		err := db.InUnit(ctx, func(ctx context.Context, u *Unit) error {
			unit, u.command, u.trace = u, true, traceParent(ctx)
			return fn(ctx, &Tx{Unit: u, emitter: command, declared: line.EmitsTypes})
		})
		if err == nil {
			return unit.receipt(), nil
		}
		if !transient(err) || try == 4 {
			return Receipt{}, err
		}
	}
}

// receipt names the last fact that is stored: a domain fact is not.
func (u *Unit) receipt() (r Receipt) {
	for _, p := range u.queue {
		if !u.db.flow.IsDomain(p.Type) {
			r = Receipt{EventID: p.ID, Saga: p.Saga}
		}
	}
	return r
}

type traceKey struct{}

// WithTraceParent puts a W3C traceparent into the context of a command, for
// the facts that it emits.
func WithTraceParent(ctx context.Context, traceparent string) context.Context {
	return context.WithValue(ctx, traceKey{}, traceparent)
}

func traceParent(ctx context.Context) string {
	t, _ := ctx.Value(traceKey{}).(string)
	return t
}

// Unit is one transaction of the engine, with the facts emitted in it. Handlers
// see it through their Tx; the engine's packages make it with InUnit.
type Unit struct {
	db       *DB
	sql      *sql.Tx
	now      time.Time
	saga     string
	trace    string
	command  bool
	queue    []*pending
	room     []pending // where those of the queue to come are put, some at a time
	encoder  *encoder
	err      error
	consumer string                                 // whose reactions it commits, for tests
	last     []func(context.Context, Receipt) error // run right before the commit

	leaveOut bool // facts that were emitted before, as in a replay
	looked   int  // how many of the queue were looked for

	statements map[string]*sql.Stmt // seen in this transaction; nil until seen twice
}

type pending struct {
	Meta
	fact Fact
	data []byte
}

// pend puts a fact behind those that were emitted.
func (u *Unit) pend(p pending) {
	if len(u.room) == cap(u.room) {
		u.room = make([]pending, 0, min(64, 2*cap(u.room)+1))
	}
	u.room = append(u.room, p)
	u.queue = append(u.queue, &u.room[len(u.room)-1])
}

// InUnit runs fn in a transaction, then the in-transaction reactions to what
// was emitted, writes the outbox and commits. An error rolls everything back.
func (db *DB) InUnit(ctx context.Context, fn func(context.Context, *Unit) error) error {
	var xid string
	return db.inUnit(ctx, func(ctx context.Context, tx *sql.Tx) (now time.Time, err error) {
		err = tx.QueryRowContext(ctx, `select choreo.troupe_now(), pg_current_xact_id()::text`).Scan(&now, &xid)
		if err != nil {
			err = fmt.Errorf("reading the clock: %w", err)
		}
		return now, err
	}, &xid, fn)
}

// InUnitBegun is InUnit with a first statement of the caller's, which reads the
// engine's clock and gives the transaction its xid. The transaction has its xid
// before its outbox ids: the relay's floor rests on that.
func (db *DB) InUnitBegun(ctx context.Context, begin func(context.Context, *sql.Tx) (time.Time, error),
	fn func(context.Context, *Unit) error) error {
	return db.inUnit(ctx, begin, nil, fn)
}

// inUnit runs fn in a transaction. Where begin tells the transaction's id, it is
// asked about if the answer to its COMMIT is lost.
func (db *DB) inUnit(ctx context.Context, begin func(context.Context, *sql.Tx) (time.Time, error), xid *string,
	fn func(context.Context, *Unit) error) error {
	sqlTx, err := db.pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer sqlTx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	u := &Unit{db: db, sql: sqlTx}
	if u.now, err = begin(ctx, sqlTx); err != nil {
		return err
	}
	u.now = u.now.UTC()
	if safeguard.Off("lock then emit") {
		u.emitFirst(ctx)
	}
	if err := fn(ctx, u); err != nil {
		return err
	}
	if err := u.reactInside(ctx); err != nil {
		return err
	}
	emitted, err := u.writeOutbox(ctx)
	if err != nil {
		return err
	}
	for _, do := range u.last {
		if err := do(ctx, u.receipt()); err != nil {
			return err
		}
	}
	crashpoint.At(u.consumer, crashpoint.BeforeCommit)
	err = sqlTx.Commit()
	if err != nil && xid != nil {
		err = db.outcome(ctx, *xid, err)
	}
	if err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	crashpoint.At(u.consumer, crashpoint.AfterCommit)
	if emitted {
		u.noteRecent()
		db.hint()
	}
	return nil
}

// SQL is the transaction itself, for the engine's own statements.
func (u *Unit) SQL() *sql.Tx { return u.sql }

// Of says whose reactions the transaction commits: where a test kills the process
// at a commit of that consumer, it is this one.
func (u *Unit) Of(consumer string) { u.consumer = consumer }

// Flow is the choreography that the transaction is for.
func (u *Unit) Flow() *Flow { return u.db.flow }

// Clock is the engine's time at the start of the transaction, UTC.
func (u *Unit) Clock() time.Time { return u.now }

// For is the Tx that a rule runs with: caused by the event, undoing targets,
// in the given redo round.
func (u *Unit) For(rule *Rule, cause *Meta, round int, targets []Target) *Tx {
	return &Tx{
		Unit: u, emitter: rule.Consumer, declared: slices.Concat(rule.Emits, rule.FailsWith),
		cause: cause, round: round, targets: targets,
	}
}

// Savepoint runs fn so that its error takes back what it did, and what it
// emitted, and nothing else of the transaction.
func (u *Unit) Savepoint(ctx context.Context, fn func() error) error {
	if _, err := u.sql.ExecContext(ctx, `savepoint one`); err != nil {
		return err
	}
	emitted := len(u.queue)
	cause := fn()
	if cause == nil {
		_, err := u.sql.ExecContext(ctx, `release savepoint one`)
		return err
	}
	u.queue, u.err = u.queue[:emitted], nil
	if _, err := u.sql.ExecContext(ctx, `rollback to savepoint one`); err != nil {
		return errors.Join(err, cause)
	}
	return cause
}

// Err is the first error of an Emit in this transaction.
func (u *Unit) Err() error { return u.err }

// reactInside runs in-transaction reactions until none is left.
func (u *Unit) reactInside(ctx context.Context) error {
	for i := 0; i < len(u.queue) && u.err == nil; i++ {
		if err := u.dropEmitted(ctx); err != nil || i == len(u.queue) {
			return err
		}
		p := u.queue[i]
		for _, c := range u.db.flow.insiders {
			if r := c.Rule(p.Type); r != nil && r.InTransaction {
				if err := u.runInside(ctx, r, p); err != nil {
					return err
				}
			}
		}
	}
	return u.err
}

// LeaveOutEmitted has the transaction emit nothing twice: a fact whose id the log
// or the outbox has is left out, with what in-transaction reactions would make of
// it. It is for replays, whose reactions derive the ids that they gave before.
func (u *Unit) LeaveOutEmitted() { u.leaveOut = true }

// Emitted is how many facts the transaction has emitted.
func (u *Unit) Emitted() int { return len(u.queue) }

func (u *Unit) dropEmitted(ctx context.Context) error {
	if !u.leaveOut || u.looked == len(u.queue) {
		return nil
	}
	var ids pgarray.Text
	for _, p := range u.queue[u.looked:] {
		ids = append(ids, p.ID)
	}
	rows, err := u.sql.QueryContext(ctx, `select event_id from choreo.event_log where event_id = any ($1)
		union all select event_id from choreo.outbox where event_id = any ($1)`, ids)
	if err != nil {
		return fmt.Errorf("looking which facts were emitted before: %w", err)
	}
	defer rows.Close()
	emitted := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return err
		}
		emitted[id] = true
	}
	u.queue = slices.DeleteFunc(u.queue, func(p *pending) bool { return emitted[p.ID] })
	u.looked = len(u.queue)
	return rows.Err()
}

func (u *Unit) runInside(ctx context.Context, r *Rule, p *pending) error {
	event, err := r.Decode(p.Meta, p.data)
	if err != nil {
		return err
	}
	u.Of(r.Consumer)
	before := len(u.queue)
	if err := r.React(ctx, u.For(r, &p.Meta, 0, nil), event); err != nil {
		return fmt.Errorf("%s on %s %s: %w", r.Consumer, p.Type, p.ID, err)
	}
	p.RanIn = append(p.RanIn, r.Consumer)
	for _, came := range u.queue[before:] {
		if u.command && slices.Contains(r.FailsWith, came.Type) {
			return &RejectedError{Consumer: r.Consumer, Fact: came.fact}
		}
	}
	return u.err
}

// freshID is a UUIDv7 of a command; a failing source of randomness fails the
// transaction.
func (u *Unit) freshID() string {
	id, err := newID(u.now, u.db.random)
	if err != nil && u.err == nil {
		u.err = err
	}
	return id
}

// IsInfrastructure tells whether an error says nothing about the event: the
// connection, a conflict, resources, an operator. Such work is done again.
func IsInfrastructure(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, sql.ErrConnDone) || errors.Is(err, errBadConn) {
		return true
	}
	s := SQLState(err)
	if s == "" {
		return isNetwork(err)
	}
	return slices.Contains([]string{"08", "40", "53", "55", "57", "58"}, s[:2])
}

// IsBroken tells whether an error says that the consumer itself is broken: a
// statement that the database does not understand, a table that is not there,
// or ErrBroken.
func IsBroken(err error) bool {
	return errors.Is(err, ErrBroken) || strings.HasPrefix(SQLState(err), "42")
}
