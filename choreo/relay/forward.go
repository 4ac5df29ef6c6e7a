package relay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/wire"
)

// Forward publishes what was sequenced and is not on Kafka: what this relay has
// just sequenced, or what the log holds beyond the forwarded sequences, up to
// Batch facts of each partition. A partition that cannot be written holds up
// only itself.
func (r *Relay) Forward(ctx context.Context) (n int, err error) {
	facts := r.fresh
	if r.fresh = nil; r.current {
		_, err = r.publish(ctx, facts)
	} else if n, err = r.forwardPending(ctx); err == nil {
		r.current = n == 0
		return n, nil
	}
	if err != nil {
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

// forwardPending forwards what the log holds, and touches nothing of the relay's
// turns: it runs beside them.
//
// The first fact of each partition goes alone: while a broker comes back, a
// producer may fail with the first records that it was given, and succeed with
// those behind them.
func (r *Relay) forwardPending(ctx context.Context) (n int, err error) {
	facts, err := r.pending(ctx)
	if err != nil || len(facts) == 0 {
		return 0, err
	}
	var first, behind []*fact
	seen := map[int64]bool{}
	for _, f := range facts {
		if !seen[f.stream] {
			seen[f.stream] = true
			first = append(first, f)
		} else {
			behind = append(behind, f)
		}
	}
	broken, err := r.publish(ctx, first)
	behind = slices.DeleteFunc(behind, func(f *fact) bool { return broken[f.stream] })
	if len(behind) > 0 {
		_, also := r.publish(ctx, behind)
		err = errors.Join(err, also)
	}
	return len(facts), err
}

// errOthers says that some of what was to be published was.
var errOthers = errors.New("the other partitions go on")

// publish publishes facts, of each partition in order, and stores how far it came.
// It tells which streams failed.
func (r *Relay) publish(ctx context.Context, facts []*fact) (broken map[int64]bool, err error) {
	if safeguard.Off("per-partition order") {
		slices.Reverse(facts)
	}
	topics := map[string]*outgoing{}
	for _, f := range facts {
		o := topics[f.place.topic]
		if o == nil {
			o = &outgoing{}
			topics[f.place.topic] = o
		}
		o.records = append(o.records, wire.Encode(f.meta(r.db.Source()), f.data, f.place.partition))
		o.streams, o.sequences = append(o.streams, int(f.stream)), append(o.sequences, f.sequence)
	}
	var errs []error
	delivered := 0
	broken = map[int64]bool{}
	for _, topic := range slices.Sorted(maps.Keys(topics)) { // in one order: a simulation repeats it
		o := topics[topic]
		arrived, err := r.write(ctx, topic, o.records)
		errs, delivered = append(errs, err), delivered+arrived
		o.failed(err, broken)
		if err := r.advance(ctx, o.reached(err)); err != nil {
			for _, o := range topics { // nothing may go out that comes behind them
				o.failed(err, broken)
			}
			return broken, fmt.Errorf("storing how far %s is forwarded: %w", topic, err)
		}
	}
	err = errors.Join(errs...)
	if err != nil && delivered > 0 {
		err = fmt.Errorf("%w (%w)", err, errOthers)
	}
	return broken, err
}

// write publishes to one topic, and tells how many records arrived.
func (r *Relay) write(ctx context.Context, topic string, records []*wire.Record) (arrived int, err error) {
	defer r.collector.writes()()
	err = r.publisher.Publish(topic, broker.NewMessage(ctx, &broker.Batch{Records: records}))
	return r.collector.wrote(topic, records, err), err
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

// failed adds the streams of which something did not arrive.
func (o *outgoing) failed(err error, broken map[int64]bool) {
	var failed *broker.FailedError
	all := err != nil && !errors.As(err, &failed)
	for i, stream := range o.streams {
		if all || failed != nil && failed.At[i] != nil {
			broken[int64(stream)] = true
		}
	}
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
