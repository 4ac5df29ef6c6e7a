package choreo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
)

// OutboxChannel is notified, as a hint, after facts were committed; LogChannel
// after they were sequenced.
const (
	OutboxChannel = "choreo_outbox"
	LogChannel    = "choreo_log"
)

// Options of a database handle; the zero value is sound.
type Options struct {
	Random        io.Reader // for ids of commands; crypto/rand by default
	MaxEventBytes int       // of a fact with its headers; 900 KiB by default
	Views         *sql.DB   // the database that views live in; nil: this one
	Recent        bool      // remember what was just committed, for LastOf

	// Unhinted leaves it to the relay to look for what was committed: for a
	// simulation, where nothing runs beside the scheduler.
	Unhinted bool
}

// DB is a database of the choreography. It is safe for concurrent use.
type DB struct {
	pool     *sql.DB
	flow     *Flow
	source   string
	random   io.Reader
	maxBytes int
	log      *sql.DB // of the database that holds the log: pool, but in a database of views
	views    *DB     // nil where views live here
	recent   *Recent // nil: nothing is remembered
	unhinted bool

	cuts cuts

	hinting, hintAgain atomic.Bool
}

// Open makes a handle of a migrated database. The pool stays the caller's.
func Open(ctx context.Context, pool *sql.DB, flow *Flow, o Options) (*DB, error) {
	db := &DB{pool: pool, flow: flow, random: o.Random, maxBytes: o.MaxEventBytes, unhinted: o.Unhinted}
	if db.random == nil {
		db.random = rand.Reader
	}
	if db.maxBytes == 0 {
		db.maxBytes = 900 << 10
	}
	var id string
	var epoch int
	err := pool.QueryRowContext(ctx, `select database_id, epoch from choreo.source`).Scan(&id, &epoch)
	if err != nil {
		return nil, fmt.Errorf("reading which database this is (run `troupe migrate` first?): %w", err)
	}
	db.source, db.log = sourceOf(id, epoch), pool
	if o.Recent {
		db.recent = &Recent{}
	}
	if o.Views != nil {
		db.views = &DB{pool: o.Views, flow: flow, source: db.source, random: db.random, maxBytes: db.maxBytes, log: pool}
	}
	return db, nil
}

// Home is the database that a consumer runs in, with its watermarks and steps:
// that of views for a view, else this one.
func (db *DB) Home(c *Consumer) *DB {
	if db.views != nil && c.View() {
		return db.views
	}
	return db
}

// ViewsHome is the database that views live in.
func (db *DB) ViewsHome() *DB {
	if db.views != nil {
		return db.views
	}
	return db
}

// Log is the pool of the database that holds the log and what is forwarded of
// it, which is that of the commands.
func (db *DB) Log() *sql.DB { return db.log }

// Pool is the connection pool, for queries.
func (db *DB) Pool() *sql.DB { return db.pool }

// Flow is the choreography that this handle commits for.
func (db *DB) Flow() *Flow { return db.flow }

// Source is the ce_source of the facts that this database emits.
func (db *DB) Source() string { return db.source }

// Origin is the part of a source that names the database, without its epoch.
func Origin(source string) string { return source[:strings.LastIndexByte(source, '/')+1] }

// Now reads the engine's clock.
func (db *DB) Now(ctx context.Context) (now time.Time, err error) {
	err = db.pool.QueryRowContext(ctx, `select choreo.troupe_now()`).Scan(&now)
	return now.UTC(), err
}

// hintsApart is how long a hint holds back the next: where commits follow each
// other faster, a hint for each would cost as much as they do.
const hintsApart = 3 * time.Millisecond

// hint wakes the relay. It is sent after the commit and coalesced: inside the
// transaction Postgres would serialise the commits of all notifiers. Its own
// commit does not wait for the disk. A lost hint costs one polling interval.
func (db *DB) hint() {
	if db.unhinted {
		return
	}
	db.hintAgain.Store(true)
	if !db.hinting.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer db.hinting.Store(false)
		for db.hintAgain.Swap(false) {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			_, err := db.pool.ExecContext(ctx, `select set_config('synchronous_commit', 'off', true), pg_notify($1, '')`, OutboxChannel)
			cancel()
			if err != nil {
				return
			}
			<-time.After(hintsApart)
		}
	}()
}

// SQLState is the five-character code of a Postgres error, empty for others.
func SQLState(err error) string {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return string(e.Code)
	}
	return ""
}

// transient tells whether running the same transaction again may succeed, and
// cannot do it twice.
func transient(err error) bool {
	s := SQLState(err)
	return s == "40001" || s == "40P01" || errors.Is(err, errAborted)
}
