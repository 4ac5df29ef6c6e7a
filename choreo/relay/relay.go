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
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/wire"
)

// Batch is how many facts one claim of the sequencer takes at most, and one turn
// of the forwarder for each partition.
const Batch = 4000

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
	floor     floor // of the outbox, while this relay is the active one
	verified  bool  // Kafka was read back since the lease was taken
	current   bool  // all that was sequenced before fresh is on Kafka, by this relay
	fresh     []*fact
	held      time.Time // when the lease was last renewed
	clock     time.Time // the engine's time then
	written   written
	retention time.Duration // of the log; 0: for ever
	needed    string        // by whom the log was found to be needed for longer
}

// Reader reads a topic partition from an offset, or from its first record where
// that offset is gone, to its present end.
type Reader interface {
	ReadFrom(ctx context.Context, topic string, partition int32, offset int64, each func(*wire.Record) error) error
}

// New makes a relay that publishes to the given publisher, and reads back through
// the reader what stands on Kafka when it becomes the active one.
func New(db *choreo.DB, publisher message.Publisher, reader Reader, log *slog.Logger) *Relay {
	return &Relay{db: db, publisher: publisher, reader: reader, holder: uuid.NewString(), log: log}
}

// Run relays until ctx ends. hints wakes it; without one it looks ten times a
// second.
func (r *Relay) Run(ctx context.Context, hints <-chan *pq.Notification) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	defer func() {
		if err := r.Release(); err != nil {
			r.log.Info("stopping the relay", "error", err)
		}
	}()
	var beside sync.WaitGroup
	beside.Go(func() { r.keep(ctx) })
	defer beside.Wait()
	var last string
	hinted := false
	for ctx.Err() == nil {
		more, err := r.turn(ctx, hinted)
		switch {
		case err == nil:
			if last != "" {
				r.log.Info("relaying again")
			}
			last = ""
		case ctx.Err() != nil:
		case err.Error() != last:
			last = err.Error()
			r.log.Warn("relaying is held up; commands go on being accepted", "error", err)
		}
		if hinted = more; more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-hints:
			hinted = true
		case <-tick.C:
		}
	}
	return nil
}

// turn sequences and forwards once; more tells that there is more to do now.
// While claims come back full, what one brought is published beside the next.
func (r *Relay) turn(ctx context.Context, hinted bool) (more bool, err error) {
	if !hinted {
		if idle, err := r.idle(ctx); idle || err != nil {
			return false, err
		}
	}
	if !r.current {
		if err := r.catchUp(ctx); errors.Is(err, ErrStandby) {
			return false, nil
		} else if err != nil { // Kafka is away: the log goes on, and those fed from it
			_, also := r.Sequence(ctx)
			return false, errors.Join(err, also)
		}
		return true, nil
	}
	sequenced, err := r.Sequence(ctx)
	for err == nil && sequenced == Batch && r.current {
		facts, published := r.fresh, make(chan error, 1)
		r.fresh = nil
		go func() { published <- r.publish(ctx, facts) }()
		sequenced, err = r.Sequence(ctx)
		if failed := <-published; failed != nil {
			r.behind()
			err = errors.Join(failed, err)
		}
	}
	if errors.Is(err, ErrStandby) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	forwarded, err := r.Forward(ctx)
	return err == nil && (sequenced == Batch || forwarded >= Batch), err
}

// catchUp forwards what another relay, or this one before an error, has left in
// the log, before more is added to it.
func (r *Relay) catchUp(ctx context.Context) (err error) {
	if !r.verified {
		err = r.verify(ctx)
	} else {
		err = r.hold(ctx, r.db.Pool())
	}
	if err == nil {
		_, err = r.Forward(ctx)
	}
	return err
}

// behind has the next Forward read what is not on Kafka from the log.
func (r *Relay) behind() { r.current, r.fresh = false, nil }

// idle tells that there is nothing to do: the lease need not be renewed yet, no
// fact waits, and all is forwarded. A relay at rest writes nothing.
func (r *Relay) idle(ctx context.Context) (idle bool, err error) {
	if !r.verified || time.Since(r.held) > lease/3 {
		return false, nil
	}
	err = r.db.Pool().QueryRowContext(ctx, `select not exists (select from choreo.outbox where id > $1)
		and not exists (select from choreo.streams s join choreo.forwarded f on f.stream = s.id
		                where s.source = $2 and s.head > f.sequence)`, r.floor.id, r.db.Source()).Scan(&idle)
	if err != nil {
		return false, fmt.Errorf("looking for work: %w", err)
	}
	return idle, nil
}

// Sequence moves up to Batch facts from the outbox to the log, in the order in
// which they were emitted, and gives each its partition, the next sequence of
// that partition and a position. The commit is synchronous and returns before
// anything of it is published: otherwise a crash gives one sequence to two
// facts. Facts of one key are claimed in order, since their commands locked the
// aggregate before they took their outbox ids.
func (r *Relay) Sequence(ctx context.Context) (n int, err error) {
	if !r.verified {
		if err := r.verify(ctx); err != nil {
			return 0, err
		}
	}
	n, err = r.sequence(ctx)
	if errors.Is(err, errNoPartition) {
		if err = r.MakeAhead(ctx); err == nil {
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
	claimed, risen, err := claim(ctx, tx, r.floor)
	if err != nil {
		return 0, err
	}
	into, err := r.openPartition(ctx, tx, len(claimed))
	if err != nil {
		return 0, err
	}
	if len(claimed) > 0 {
		if err := number(ctx, tx, r.db.Source(), claimed); err != nil {
			return 0, err
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
	r.floor, r.written = risen, into
	r.written.head += int64(len(claimed))
	if r.current {
		r.fresh = append(r.fresh, claimed...)
	}
	return len(claimed), nil
}

// hold takes or renews the lease; ErrStandby where another relay has it. In a
// transaction the row stays locked until its end.
func (r *Relay) hold(ctx context.Context, tx rowQuerier) error {
	err := tx.QueryRowContext(ctx, `
		insert into choreo.leases as l (name, holder, until)
		select 'relay', $1, n + $2 * interval '1 second' from choreo.troupe_now() n
		on conflict (name) do update set holder = excluded.holder, until = excluded.until
		where l.holder = excluded.holder or l.until < choreo.troupe_now()
		returning choreo.troupe_now()`, r.holder, lease.Seconds()).Scan(&r.clock)
	if errors.Is(err, sql.ErrNoRows) {
		r.floor, r.verified, r.written = floor{}, false, written{}
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

// Forward publishes what was sequenced and is not on Kafka: what this relay has
// just sequenced, or what the log holds beyond the forwarded sequences, up to
// Batch facts of each partition. A partition that cannot be written holds up
// only itself.
func (r *Relay) Forward(ctx context.Context) (n int, err error) {
	facts := r.fresh
	if r.fresh = nil; !r.current {
		if facts, err = r.pending(ctx); err != nil {
			return 0, err
		}
		r.current = len(facts) == 0
	}
	if err := r.publish(ctx, facts); err != nil {
		r.behind()
		return 0, err
	}
	return len(facts), nil
}

// pending reads what the log holds beyond the forwarded sequences.
func (r *Relay) pending(ctx context.Context) ([]*fact, error) {
	after, err := r.pendingAfter(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.db.Pool().QueryContext(ctx, `
		select s.id, s.topic, s.partition, l.sequence, l.event_id, l.type, l.key, l.saga, l.causation, l.emitter,
		       l.ran_in, l.traceparent, l.at, l.data
		from choreo.streams s join choreo.forwarded f on f.stream = s.id,
		lateral (select * from choreo.event_log where stream = s.id and sequence > f.sequence and position > $3
		         order by sequence limit $1) l
		where s.head > f.sequence and s.source = $2
		order by s.topic, s.id, l.sequence`, Batch, r.db.Source(), after)
	if err != nil {
		return nil, fmt.Errorf("reading the log to forward: %w", err)
	}
	defer rows.Close()
	var facts []*fact
	for rows.Next() {
		f := &fact{}
		if err := rows.Scan(&f.stream, &f.place.topic, &f.place.partition, &f.sequence, &f.eventID, &f.typ, &f.key, &f.saga,
			&f.causation, &f.emitter, &f.ranIn, &f.traceparent, &f.at, &f.data); err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	return facts, rows.Err()
}

// pendingAfter is a position behind which the log holds what is not forwarded.
func (r *Relay) pendingAfter(ctx context.Context) (int64, error) {
	streams, err := r.streams(ctx)
	after := int64(math.MaxInt64)
	for _, s := range streams {
		if s.head == s.forwarded || err != nil {
			continue
		}
		var behind int64
		behind, err = r.db.LogAfter(ctx, r.db.Pool(), choreo.Stream{Source: r.db.Source(), Topic: s.topic, Partition: s.partition}, s.forwarded)
		after = min(after, behind)
	}
	return after, err
}

// publish publishes facts, of each partition in order, and stores how far it came.
func (r *Relay) publish(ctx context.Context, facts []*fact) error {
	topics := map[string]*outgoing{}
	for _, f := range facts {
		m := choreo.Meta{ID: f.eventID, Source: r.db.Source(), Type: f.typ, Key: f.key, Time: f.at, Saga: f.saga,
			Causation: f.causation, Emitter: f.emitter, Sequence: f.sequence, TraceParent: f.traceparent}
		if f.ranIn != "" {
			m.RanIn = strings.Split(f.ranIn, ",")
		}
		o := topics[f.place.topic]
		if o == nil {
			o = &outgoing{}
			topics[f.place.topic] = o
		}
		o.records = append(o.records, wire.Encode(m, f.data, f.place.partition))
		o.streams, o.sequences = append(o.streams, int(f.stream)), append(o.sequences, f.sequence)
	}
	var errs []error
	for _, topic := range slices.Sorted(maps.Keys(topics)) { // in one order: a simulation repeats it
		o := topics[topic]
		err := r.publisher.Publish(topic, broker.NewMessage(ctx, &broker.Batch{Records: o.records}))
		errs = append(errs, err)
		if err := r.advance(ctx, o.reached(err)); err != nil {
			return fmt.Errorf("storing how far %s is forwarded: %w", topic, err)
		}
	}
	return errors.Join(errs...)
}

// mark is how far a stream stands on Kafka.
type mark struct{ sequence, nextOffset int64 }

// advance stores how far streams are forwarded. The commit is lazy: lost in a
// crash of the database, it is made good when the next relay reads Kafka back.
func (r *Relay) advance(ctx context.Context, reached map[int]mark) error {
	var streams, sequences, offsets []int64
	for stream, to := range reached {
		streams, sequences = append(streams, int64(stream)), append(sequences, to.sequence)
		offsets = append(offsets, to.nextOffset)
	}
	if len(streams) == 0 {
		return nil
	}
	_, err := r.db.Pool().ExecContext(ctx, `
		with lazy as materialized (select set_config('synchronous_commit', 'off', true))
		update choreo.forwarded f set sequence = m.sequence, next_offset = m.next_offset
		from unnest($1::int[], $2::bigint[], $3::bigint[]) as m (stream, sequence, next_offset), lazy
		where f.stream = m.stream and f.sequence <= m.sequence`, pq.Array(streams), pq.Array(sequences), pq.Array(offsets))
	return err
}

// outgoing is what goes to one topic, by stream and sequence.
type outgoing struct {
	records   []*wire.Record
	streams   []int
	sequences []int64
}

// reached is, per stream, the last sequence before the first that failed.
func (o *outgoing) reached(err error) map[int]mark {
	var failed *broker.FailedError
	if err != nil && !errors.As(err, &failed) {
		return nil
	}
	reached := map[int]mark{}
	var broken []int
	for i, stream := range o.streams {
		if failed != nil && failed.At[i] != nil {
			broken = append(broken, stream)
		}
		if !slices.Contains(broken, stream) {
			reached[stream] = mark{o.sequences[i], o.records[i].Offset + 1}
		}
	}
	return reached
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
