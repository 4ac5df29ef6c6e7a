// Package relay takes committed facts to Kafka. The sequencer moves them from
// the outbox to the append-only log and numbers them; the forwarder publishes
// each topic partition in the order of its sequence. One relay is active per
// database; others stand by.
package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/wire"
)

// Batch is how many facts one claim of the sequencer takes at most, and one turn
// of the forwarder for each partition.
const Batch = 4000

// batchBytes is how many bytes of data these are, the last one reaching beyond:
// large facts would else take gigabytes of memory.
const batchBytes = 16 << 20

// lease is how long a relay that is gone holds up its stand-by.
const lease = 2 * time.Second

// ErrStandby says that another relay is active.
var ErrStandby = errors.New("another relay is active")

// Relay is one relay process. Its steps, Sequence and Forward, do one thing and
// return; Run calls them.
type Relay struct {
	db        *choreo.DB
	publisher message.Publisher
	holder    string
	reader    Reader
	log       *slog.Logger
	floor     floor       // of the outbox, while this relay is the active one
	verified  atomic.Bool // Kafka was read back since the lease was taken
	full      bool        // the last claim left something, as far as it knows
	claimed   int         // facts, by the last claim
	current   bool        // all that was sequenced before fresh is on Kafka, by this relay
	fresh     []*fact
	held      time.Time // when the lease was last renewed
	clock     time.Time // the engine's time then
	written   written
	retention time.Duration // of the log; 0: for ever
	needed    string        // by whom the log was found to be needed for longer
	collector collector

	course   course
	failed   error         // why it is held up
	catching chan error    // what is behind is being forwarded beside
	wait     time.Duration // until it is tried again
	retryAt  time.Time
}

// Reader reads a topic partition from an offset, or from its first record where
// that offset is gone, to its present end, and tells where partitions end.
type Reader interface {
	Ends(ctx context.Context, topics []string) ([]broker.End, error)
	ReadFrom(ctx context.Context, topic string, partition int32, offset int64, each func(*wire.Record) error) error
}

// New makes a relay that publishes to the given publisher, and reads back through
// the reader what stands on Kafka when it becomes the active one.
func New(db *choreo.DB, publisher message.Publisher, reader Reader, log *slog.Logger) *Relay {
	return &Relay{db: db, publisher: publisher, reader: reader, holder: uuid.NewString(), log: log}
}

// Sequence moves up to Batch facts, or 16 MiB of them, from the outbox to the log, in the order in
// which they were emitted, and gives each its partition, the next sequence of
// that partition and a position. The commit is synchronous and returns before
// anything of it is published: otherwise a crash gives one sequence to two
// facts. Facts of one key are claimed in order, since their commands locked the
// aggregate before they took their outbox ids.
func (r *Relay) Sequence(ctx context.Context) (n int, err error) {
	if !r.verified.Load() {
		if err := r.verify(ctx); err != nil {
			return 0, err
		}
	}
	n, err = r.sequence(ctx)
	if errors.Is(err, errFull) {
		r.written = written{} // as it is now
		n, err = r.sequence(ctx)
	}
	if errors.Is(err, errNoPartition) {
		// The lease that was taken for it went with the transaction that failed.
		if err = r.makeAhead(ctx, func(ctx context.Context, tx *sql.Tx) error { return r.hold(ctx, tx) }); err == nil {
			n, err = r.sequence(ctx)
		}
	}
	return n, err
}

func (r *Relay) sequence(ctx context.Context) (n int, err error) {
	tx, err := r.db.Pool().BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("sequencing: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if err := r.hold(ctx, tx); err != nil {
		return 0, err
	}
	claimed, risen, err := claim(ctx, tx, r.floor, r.holder)
	if err != nil {
		return 0, err
	}
	into, err := openPartition(ctx, tx, r.written, r.clock, len(claimed))
	if err != nil {
		return 0, err
	}
	if len(claimed) > 0 {
		if into.head, err = number(ctx, tx, r.db.Source(), claimed, into.head); err != nil {
			return 0, err
		}
		if into.head >= into.first()+room {
			return 0, errFull
		}
	}
	if safeguard.Off("sequenced before published") {
		r.publishEarly(ctx, tx, claimed)
	}
	if err := tx.Commit(); err != nil {
		r.written = written{}
		r.behind() // the log has them or not
		return 0, fmt.Errorf("committing %d sequences: %w", len(claimed), err)
	}
	r.floor, r.written, r.full, r.claimed = risen, into, full(claimed), len(claimed)
	if r.current {
		r.fresh = append(r.fresh, claimed...)
	}
	return len(claimed), nil
}

// hold takes or renews the lease; ErrStandby where another relay has it. In a
// transaction the row stays locked until its end. The commit is lazy, unless facts
// are sequenced with it: a lease that a crash of the database takes back is taken
// again, and a look at an empty outbox does not wait for the disk.
func (r *Relay) hold(ctx context.Context, tx rowQuerier) error {
	var lazy string
	err := tx.QueryRowContext(ctx, `
		insert into choreo.leases as l (name, holder, until)
		select 'relay', $1, n + $2 * interval '1 second' from choreo.troupe_now() n
		on conflict (name) do update set holder = excluded.holder, until = excluded.until
		where l.holder = excluded.holder or l.until < choreo.troupe_now()
		returning choreo.troupe_now(), set_config('synchronous_commit', 'off', true)`,
		r.holder, lease.Seconds()).Scan(&r.clock, &lazy)
	if errors.Is(err, sql.ErrNoRows) {
		r.verified.Store(false)
		r.floor, r.written = floor{}, written{}
		r.behind()
		return ErrStandby
	}
	if err != nil {
		return fmt.Errorf("taking the relay's lease: %w", err)
	}
	r.held = time.Now()
	return nil
}

type rowQuerier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Release gives the lease up, so that a stand-by need not wait for its end.
func (r *Relay) Release() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := r.db.Pool().ExecContext(ctx, `delete from choreo.leases where name = 'relay' and holder = $1`, r.holder)
	if err != nil {
		return fmt.Errorf("giving up the relay's lease: %w", err)
	}
	return nil
}
