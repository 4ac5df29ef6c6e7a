package choreo

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"troupe/choreo/internal/safeguard"
)

// Tx is the transaction that a command or a reaction runs in. It is not safe
// for concurrent use, and of no use after the function that it was given to.
type Tx struct {
	*Unit
	emitter  string
	declared []string                  // fact types that the flow lets the emitter emit
	cause    *Meta                     // nil in a command
	round    int                       // how often the step was redone
	targets  []Target                  // what this reaction undoes
	ordinals map[string]map[string]int // by what was emitted, by cause
}

// Now is the engine's time at the start of the transaction, UTC.
func (tx *Tx) Now() time.Time { return tx.now }

// NewID is a fresh id: random in a command, derived in a reaction, so that one
// that runs again makes the same.
func (tx *Tx) NewID() string {
	if tx.cause != nil {
		return derivedID(tx.db.source, tx.cause, tx.emitter, "", tx.ordinal("", ""), tx.round)
	}
	return tx.freshID()
}

// Round is how often the step that this reaction runs for was redone, 0 in a
// command and in a reaction that needed no step.
func (tx *Tx) Round() int { return tx.round }

// Saga is the id of the saga that the facts of this transaction belong to.
func (tx *Tx) Saga() string {
	if tx.saga == "" {
		tx.saga = tx.freshID()
	}
	return tx.saga
}

// JoinSaga makes a command's facts part of a saga that runs already. It comes
// before the first Emit.
func (tx *Tx) JoinSaga(saga string) { tx.saga = saga }

// Emit puts facts in the outbox of this transaction. A fact that is not whole,
// not declared or too large makes the transaction fail.
func (tx *Tx) Emit(facts ...Fact) { tx.emit(tx.cause, facts) }

// EmitFor is Emit for the reaction to one event among several.
func (tx *Tx) EmitFor(c Cause, facts ...Fact) {
	cause := c.cause()
	tx.emit(&cause, facts)
}

func (tx *Tx) emit(cause *Meta, facts []Fact) {
	for _, fact := range facts {
		if err := tx.add(cause, fact); err != nil && tx.err == nil {
			tx.err = fmt.Errorf("%s emits %s: %w", tx.emitter, fact.FactType(), err)
		}
	}
}

func (tx *Tx) add(cause *Meta, fact Fact) error {
	if !slices.Contains(tx.declared, fact.FactType()) {
		return ErrUndeclared
	}
	if err := validate(fact); err != nil {
		return err
	}
	if tx.encoder == nil {
		tx.encoder = newEncoder()
	}
	data, err := tx.encoder.encode(fact)
	if err != nil {
		return fmt.Errorf("writing its JSON: %w", err)
	}
	if most := tx.db.maxBytes; len(data)+headerBytes > most {
		return fmt.Errorf("%w: %d bytes, at most %d with headers", ErrTooLarge, len(data), most)
	}
	m := Meta{
		Source: tx.db.source, Type: fact.FactType(), Key: fact.Key(), Time: tx.now,
		Emitter: tx.emitter, TraceParent: tx.trace,
	}
	if cause == nil {
		m.ID, m.Saga = tx.freshID(), tx.Saga()
	} else {
		m.Causation, m.Saga, m.TraceParent = cause.ID, cause.Saga, cause.TraceParent
		if tx.db.flow.IsDomain(cause.Type) { // stored nowhere: what caused it caused this
			m.Causation = cause.Causation
		}
		m.ID = derivedID(tx.db.source, cause, tx.emitter, m.Type, tx.ordinal(cause.ID, m.Type), tx.round)
	}
	if safeguard.Off("derived ids") {
		m.ID = tx.freshID()
	}
	tx.pend(pending{Meta: m, fact: fact, data: data})
	return nil
}

// encoder writes the facts of a transaction as JSON, as it is: escaping < > & for
// HTML would make a fact that holds some up to six times as large.
type encoder struct {
	buffer bytes.Buffer
	json   *json.Encoder
}

func newEncoder() *encoder {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buffer)
	e.json.SetEscapeHTML(false)
	return e
}

func (e *encoder) encode(fact Fact) ([]byte, error) {
	e.buffer.Reset()
	err := e.json.Encode(fact)
	return bytes.Clone(bytes.TrimSuffix(e.buffer.Bytes(), []byte("\n"))), err
}

// headerBytes bounds what the headers of a record of ours take.
const headerBytes = 2 << 10

// ordinal counts the facts of one type, or the ids, that a cause brought here.
func (tx *Tx) ordinal(cause, what string) int {
	of := tx.ordinals[what]
	if of == nil {
		if of = map[string]int{}; tx.ordinals == nil {
			tx.ordinals = map[string]map[string]int{}
		}
		tx.ordinals[what] = of
	}
	n := of[cause]
	of[cause] = n + 1
	return n
}

// Last has fn run right before the transaction commits, after the in-transaction
// reactions: what depends on all that the command did, such as its answer, can be
// stored with it. fn gets the receipt of the command and must not emit. Its error
// rolls everything back.
func (tx *Tx) Last(fn func(context.Context, Receipt) error) { tx.last = append(tx.last, fn) }

// ExecContext runs a statement in the transaction. One that runs more than once
// is prepared.
func (tx *Tx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := tx.prepared(ctx, query); stmt != nil {
		return stmt.ExecContext(ctx, args...)
	}
	return tx.sql.ExecContext(ctx, query, args...)
}

// QueryContext runs a query in the transaction.
func (tx *Tx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := tx.prepared(ctx, query); stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return tx.sql.QueryContext(ctx, query, args...)
}

// QueryRowContext runs a query for one row in the transaction.
func (tx *Tx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if stmt := tx.prepared(ctx, query); stmt != nil {
		return stmt.QueryRowContext(ctx, args...)
	}
	return tx.sql.QueryRowContext(ctx, query, args...)
}

// prepared is the statement of a query that comes for the second time in the
// transaction, or later; nil otherwise, and where preparing fails, since
// running it then gives the error. A batch of events runs the same few
// statements over and over: preparing them is worth a third of its time.
func (u *Unit) prepared(ctx context.Context, query string) *sql.Stmt {
	if u.statements == nil {
		u.statements = map[string]*sql.Stmt{}
	}
	stmt, seen := u.statements[query]
	if seen && stmt == nil {
		stmt, _ = u.sql.PrepareContext(ctx, query)
	}
	u.statements[query] = stmt
	return stmt
}
