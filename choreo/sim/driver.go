package sim

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

// connector opens connections that ask the scheduler before every statement.
// The backends behind them are kept and used again: a simulated process that
// dies leaves its transaction rolled back, and no connection to be made anew.
type connector struct {
	sim  *Sim
	base *pq.Connector

	mu     sync.Mutex
	idle   []*backend
	closed bool
}

// backend is a session of Postgres.
type backend struct {
	conn pqConn
	pid  int64
	now  time.Time // its session's troupe.now
}

type pqConn interface {
	driver.Conn
	driver.QueryerContext
	driver.ExecerContext
	driver.NamedValueChecker
	driver.ConnPrepareContext
}

// Connect takes a backend, or opens one.
func (k *connector) Connect(context.Context) (driver.Conn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, driver.ErrBadConn
	}
	if n := len(k.idle); n > 0 {
		b := k.idle[n-1]
		k.idle = k.idle[:n-1]
		return &conn{sim: k.sim, home: k, backend: b}, nil
	}
	raw, err := k.base.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	b := &backend{conn: raw.(pqConn)}
	// Deadlocks are found, and their victims chosen, by the scheduler.
	if _, err := b.conn.ExecContext(context.Background(), `set deadlock_timeout = '1h'`, nil); err != nil {
		return nil, err
	}
	rows, err := b.query(`select pg_backend_pid()`, nil)
	if err != nil {
		return nil, err
	}
	b.pid = rows.values[0][0].(int64)
	return &conn{sim: k.sim, home: k, backend: b}, nil
}

// Driver is not used.
func (k *connector) Driver() driver.Driver { return k.base.Driver() }

func (b *backend) exec(query string) error {
	_, err := b.conn.ExecContext(context.Background(), query, nil)
	return err
}

// query reads all rows at once, so that no statement is half done when the
// scheduler turns to another process.
func (b *backend) query(query string, args []driver.NamedValue) (*table, error) {
	rows, err := b.conn.QueryContext(context.Background(), query, args)
	if err != nil {
		return nil, err
	}
	return readAll(rows)
}

// conn is a connection of a simulated process.
type conn struct {
	sim  *Sim
	home *connector
	*backend

	proc       *process // of the transaction under way
	inTx       bool
	failed     bool     // the transaction is, and can only be rolled back
	bad        bool     // the connection is lost
	lazy       bool     // its commit does not wait for the disk
	loser      *process // which takes a commit for done that a crash of Postgres loses
	emitted    *table   // the facts that the transaction put into the outbox
	wroteSteps bool
	mark       int // how much the process had to note at the savepoint
}

// errLost is what a lost connection gives: pq returns the bare errors of its
// socket.
var errLost = fmt.Errorf("the simulated connection broke: %w", io.ErrUnexpectedEOF)

// run asks the scheduler, does one thing at the database and tells the
// scheduler if that had to wait for a lock.
func (c *conn) run(ctx context.Context, k kind, what string, do func() error) error {
	p := processOf(ctx)
	if p == nil {
		p = c.proc
	}
	if p == nil {
		return do()
	}
	if w := c.sim.crashing; w != nil && w.loser == p {
		p.dead = true
	}
	if p.dead { // it died while it was at something else
		c.abandon()
	}
	if c.bad {
		return errLost
	}
	v := p.park(k, what)
	if v == crash || v == lose {
		c.abandon()
		p.dead = p.dead || v == crash
		return errLost
	}
	p.pid.Store(c.pid)
	err := do()
	p.released()
	if p.victim && err != nil {
		p.victim, err = false, &pq.Error{Code: "40P01", Message: "deadlock detected by the simulation"}
	}
	if v == crashAfter || v == loseAnswer {
		c.abandon()
		p.dead = p.dead || v == crashAfter
		return errLost
	}
	return err
}

// abandon is what Postgres does when the other side is gone.
func (c *conn) abandon() {
	if c.inTx {
		c.inTx = false
		_ = c.exec("rollback")
	}
	c.bad = true
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	var rows *table
	err := c.statement(ctx, query, args, func() (err error) {
		rows, err = c.query(query, args)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	err = c.statement(ctx, query, args, func() (err error) {
		result, err = c.conn.ExecContext(context.Background(), query, args)
		return err
	})
	return result, err
}

func (c *conn) statement(ctx context.Context, query string, args []driver.NamedValue, do func() error) error {
	autocommit := !c.inTx
	c.noteLaziness(query, args)
	k := atStatement
	if autocommit && !strings.HasPrefix(c.sim.short(query), "select") {
		k = atCommit
	}
	err := c.run(ctx, k, c.sim.short(query), func() error {
		if autocommit {
			if err := c.setClock(); err != nil {
				return err
			}
			if k == atCommit && c.losesCommit(processOf(ctx)) {
				return errors.Join(c.exec("begin"), do())
			}
		}
		err := do()
		c.noteStatement(query, err)
		if autocommit && err == nil && strings.Contains(query, "choreo.steps") {
			c.sim.stepsStale.Store(true)
		}
		return err
	})
	return err
}

// noteLaziness follows whether a commit waits for the disk.
func (c *conn) noteLaziness(query string, args []driver.NamedValue) {
	switch {
	case strings.Contains(query, "set_config('synchronous_commit', 'off'"):
		c.lazy = true
	case strings.Contains(query, "set_config('synchronous_commit', $"):
		c.lazy = args[len(args)-1].Value == "off"
	case !c.inTx:
		c.lazy = false
	}
}

// noteStatement follows what the transaction has written, and its savepoints.
func (c *conn) noteStatement(query string, err error) {
	if !c.inTx {
		return
	}
	head := c.sim.short(query)
	switch {
	case err != nil:
		c.failed = true
	case strings.HasPrefix(head, "rollback to"):
		c.failed = false
		if c.proc != nil {
			c.proc.pending = c.proc.pending[:c.mark]
		}
	case strings.HasPrefix(head, "savepoint"):
		if c.proc != nil {
			c.mark = len(c.proc.pending)
		}
	case strings.HasPrefix(head, "insert into choreo.outbox"):
		if c.proc != nil {
			c.emitted, err = c.query(`select event_id, type, key, saga, causation, emitter from choreo.outbox
				where id between (select last_value from choreo.outbox_id_seq) - 4000 and (select last_value from choreo.outbox_id_seq)
				  and pg_xact_status(xmin::text::xid8) = 'in progress' order by id`, nil)
			if err != nil {
				c.sim.broken(err)
				return
			}
			c.sim.emitting(c.proc, c.emitted)
		}
	case strings.Contains(query, "choreo.steps"):
		c.wroteSteps = true
	}
}

func (c *conn) setClock() error {
	if c.now.Equal(c.sim.now) {
		return nil
	}
	c.now = c.sim.now
	return c.exec(`set troupe.now = '` + c.now.Format(time.RFC3339Nano) + `'`)
}

// BeginTx begins at the simulation's time.
func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if c.inTx {
		return nil, errors.New("the connection is in a transaction already")
	}
	p := processOf(ctx)
	begin := "begin"
	if o.Isolation == 4 { // repeatable read
		begin += " isolation level repeatable read"
	}
	err := c.run(ctx, atBegin, "begin", func() error {
		return c.exec(begin + `; set local troupe.now = '` + c.sim.now.Format(time.RFC3339Nano) + `'`)
	})
	if err != nil {
		return nil, err
	}
	c.inTx, c.failed, c.proc, c.emitted, c.wroteSteps, c.mark, c.lazy = true, false, p, nil, false, 0, false
	if p != nil {
		p.pending, p.clock = nil, c.sim.now
	}
	return tx{c}, nil
}

// Begin is BeginTx of old.
func (c *conn) Begin() (driver.Tx, error) { return c.BeginTx(context.Background(), driver.TxOptions{}) }

type tx struct{ c *conn }

func (t tx) Commit() error {
	c := t.c
	defer func() { c.proc = nil }()
	if !c.inTx {
		return errLost
	}
	return c.run(context.Background(), atCommit, "commit", func() error {
		if c.failed {
			c.inTx = false
			return errors.Join(c.exec("rollback"), pq.ErrInFailedTransaction)
		}
		if c.losesCommit(c.proc) {
			return nil
		}
		err := c.exec("commit")
		c.inTx = false
		if err == nil && c.proc != nil {
			c.sim.committed(c.proc, c.emitted, c.wroteSteps)
		}
		return err
	})
}

func (t tx) Rollback() error {
	c := t.c
	defer func() { c.proc = nil }()
	if !c.inTx {
		return errLost
	}
	c.inTx = false
	if c.proc != nil {
		c.proc.pending = nil
	}
	return c.exec("rollback")
}

// PrepareContext prepares a statement; running it asks the scheduler.
func (c *conn) PrepareContext(_ context.Context, query string) (driver.Stmt, error) {
	if c.bad {
		return nil, errLost
	}
	s, err := c.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	return &stmt{Stmt: s, c: c, query: query}, nil
}

// Prepare is PrepareContext of old.
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// CheckNamedValue is pq's.
func (c *conn) CheckNamedValue(v *driver.NamedValue) error { return c.conn.CheckNamedValue(v) }

// IsValid tells database/sql to drop a lost connection.
func (c *conn) IsValid() bool { return !c.bad }

// Close gives the backend back.
func (c *conn) Close() error {
	if c.inTx {
		c.abandon()
	}
	if c.loser == nil { // its transaction is open still
		c.home.back(c.backend)
	}
	return nil
}

// back takes a backend that nobody uses.
func (k *connector) back(b *backend) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.idle = append(k.idle, b)
}

// close ends all backends.
func (k *connector) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, b := range k.idle {
		errs = append(errs, b.conn.Close())
	}
	k.idle, k.closed = nil, true
	return errors.Join(errs...)
}
