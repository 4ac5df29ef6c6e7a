// Package pull reads the events of a Troupe over HTTP, in the order of the log
// and without gaps, and remembers how far it is in the reader's own database: in
// the transaction of what the reader makes of the events. So each event is
// handled once, whatever ends in between. It needs nothing of the engine.
//
//	reader := &pull.Reader{
//		Name: "billing", DB: db,
//		Source: &pull.Client{URL: "https://troupe.example.com", Token: token},
//		Handle: func(ctx context.Context, tx *sql.Tx, events []pull.Event) error { … },
//	}
//	err := errors.Join(pull.Migrate(ctx, db), reader.Run(ctx))
package pull

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Event is an event as GET /events gives it.
type Event struct {
	Position    int64           `json:"position"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Topic       string          `json:"topic"`
	Key         string          `json:"key"`
	Time        time.Time       `json:"time"`
	SagaID      string          `json:"sagaId"`
	CausationID *string         `json:"causationId" doc:"Id of the event reacted to; null for that of a command"`
	Emitter     string          `json:"emitter" doc:"The consumer or command"`
	Data        json.RawMessage `json:"data"`
}

// Page is some events of the log, and the position to go on after.
type Page struct {
	Items    []Event
	Position int64
}

// Query says what to read.
type Query struct {
	After  int64         // the position read so far
	Limit  int           // at most so many events, 1 to 1000
	Topics []string      // only of these topics; none: of all
	Types  []string      // only of these types; none: of all
	Saga   string        // only of this saga; empty: of all
	Key    string        // only of this key; empty: of all
	Wait   time.Duration // for the first event, at most 20 s
}

// Source is what events are pulled from.
type Source interface {
	Pull(ctx context.Context, q Query) (Page, error)
}

// Handler takes events, in the order of the log and never none, in the
// transaction in which the reader's position moves behind them. An error has them
// come again.
type Handler func(ctx context.Context, tx *sql.Tx, events []Event) error

// Reader pulls events. Several of one name may run at once: one of them goes on,
// and the others find that it did.
type Reader struct {
	Name   string  // its position is kept under it
	DB     *sql.DB // the reader's own Postgres, prepared by Migrate
	Source Source
	Handle Handler
	Topics []string // only these topics; none: all
	Types  []string // only these types; none: all

	Schema string       // has the handler's statements find the tables of this schema; empty: as the connection has it
	Log    *slog.Logger // of errors that Run tries again after; slog.Default() by default
}

// Limits of one pull.
const (
	mostEvents = 500
	longPoll   = 20 * time.Second
)

// Migrate makes the table of positions in the reader's database. Several
// processes may call it at once.
func Migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("making the table of positions: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	for _, statement := range []string{
		`select pg_advisory_xact_lock(hashtextextended('troupe pull', 0))`,
		`create schema if not exists pull`,
		`create table if not exists pull.positions (reader text primary key, position bigint not null)`,
	} {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("making the table of positions: %w", err)
		}
	}
	return tx.Commit()
}

// Position is how far the reader has come; 0 before its first event.
func (r *Reader) Position(ctx context.Context) (at int64, err error) {
	err = r.DB.QueryRowContext(ctx, `select position from pull.positions where reader = $1`, r.Name).Scan(&at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("reading the position of %s: %w", r.Name, err)
	}
	return at, nil
}

// Once pulls once, waiting for the first event for the given time, and tells by
// how many positions it went on.
func (r *Reader) Once(ctx context.Context, wait time.Duration) (int64, error) {
	at, err := r.Position(ctx)
	if err != nil {
		return 0, err
	}
	page, err := r.Source.Pull(ctx, Query{After: at, Limit: mostEvents, Topics: r.Topics, Types: r.Types, Wait: wait})
	if err != nil || page.Position <= at {
		return 0, err
	}
	tx, err := r.DB.BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("%s after position %d: %w", r.Name, at, err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if moved, err := r.lock(ctx, tx, at); err != nil || moved {
		return 0, err
	}
	if len(page.Items) > 0 {
		if err := r.Handle(ctx, tx, page.Items); err != nil {
			return 0, fmt.Errorf("%s, handling events up to position %d: %w", r.Name, page.Position, err)
		}
	}
	if _, err := tx.ExecContext(ctx, `update pull.positions set position = $2 where reader = $1`, r.Name, page.Position); err != nil {
		return 0, fmt.Errorf("storing the position of %s: %w", r.Name, err)
	}
	return page.Position - at, tx.Commit()
}

// lock locks the reader's position, and tells whether another has moved it.
func (r *Reader) lock(ctx context.Context, tx *sql.Tx, at int64) (moved bool, err error) {
	if r.Schema != "" {
		// Shared: whoever puts other tables in their place waits for us.
		_, err := tx.ExecContext(ctx, `select set_config('search_path', $1, true), pg_advisory_xact_lock_shared(hashtextextended($1, 0))`, r.Schema)
		if err != nil {
			return false, fmt.Errorf("entering the tables of %s: %w", r.Name, err)
		}
	}
	var now int64
	err = tx.QueryRowContext(ctx, `insert into pull.positions as p (reader, position) values ($1, 0)
		on conflict (reader) do update set position = p.position returning position`, r.Name).Scan(&now)
	if err != nil {
		return false, fmt.Errorf("locking the position of %s: %w", r.Name, err)
	}
	return now != at, nil
}

// Run pulls until ctx ends. After an error it goes on from where it was.
func (r *Reader) Run(ctx context.Context) error {
	log := r.Log
	if log == nil {
		log = slog.Default()
	}
	pause, last := time.Duration(0), ""
	for ctx.Err() == nil {
		_, err := r.Once(ctx, longPoll)
		if err == nil {
			pause, last = 0, ""
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if err.Error() != last {
			last = err.Error()
			log.Warn("pulling events; it is tried again", "reader", r.Name, "error", err)
		}
		pause = min(max(2*pause, 50*time.Millisecond), 5*time.Second)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil
}
