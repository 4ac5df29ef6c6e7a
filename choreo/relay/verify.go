package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/wire"
)

// ErrRewound is a database that was set back behind what it has published: by a
// restore from a backup. Sequences would be given out twice.
var ErrRewound = errors.New("Kafka holds facts of this source that the log does not have, so the database was set back: " + //nolint:staticcheck // Kafka is a name
	"stop all of Troupe, run `troupe source new --execute`, and start again")

// known is a topic partition of our source, as the database knows it.
type known struct {
	id                      int
	topic                   string
	partition               int32
	head, forwarded, offset int64
}

// verify takes the lease and reads each topic partition back from where it was
// forwarded to its end. Facts of ours up to the log's head were published by a
// relay that died before it noted so: they need not be published again. One
// above the head is of a timeline that this database has lost.
func (r *Relay) verify(ctx context.Context) error {
	if err := r.hold(ctx, r.db.Pool()); err != nil {
		return err
	}
	streams, err := r.makeStreams(ctx)
	if err != nil {
		return err
	}
	ends, err := r.endsOf(ctx, streams)
	if err != nil {
		return err
	}
	for _, s := range streams {
		if end, known := ends[place{s.topic, s.partition}]; known && end == s.offset {
			continue // nothing stands behind what is known: so it is with nearly all
		}
		to, lost := mark{s.forwarded, s.offset}, false
		err := r.reader.ReadFrom(ctx, s.topic, s.partition, s.offset, func(record *wire.Record) error {
			lost = lost || record.Offset != to.nextOffset // Kafka has expired what stood there
			to.nextOffset = record.Offset + 1
			m, _, err := wire.Parse(record)
			if err != nil || m.Source != r.db.Source() || m.Sequence != to.sequence+1 && (!lost || m.Sequence <= s.head) {
				return nil //nolint:nilerr // no fact of ours, or none that follows: a forged sequence does not stop us
			}
			if m.Sequence > s.head && !safeguard.Off("refusal after a rewind") {
				if strange, err := r.strange(ctx, s, record.Offset, m); err != nil || strange {
					return err
				}
				return fmt.Errorf("%w (%s/%d holds sequence %d at offset %d, event %s; the log ends at %d)",
					ErrRewound, s.topic, s.partition, m.Sequence, record.Offset, m.ID, s.head)
			}
			ours, err := r.logged(ctx, s, m)
			if ours {
				to.sequence = m.Sequence
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("reading %s/%d back: %w", s.topic, s.partition, err)
		}
		if to.nextOffset > s.offset {
			if err := r.advance(ctx, map[int]mark{s.id: to}); err != nil {
				return err
			}
		}
		if err := r.hold(ctx, r.db.Pool()); err != nil {
			return err // it took longer than the lease, and another relay has it now
		}
	}
	r.verified.Store(true)
	return nil
}

// endsOf is where the partitions of the streams end, of those that can be asked, in
// one request: one by one, those of a flow take seconds on a broker that is busy.
func (r *Relay) endsOf(ctx context.Context, streams []known) (map[place]int64, error) {
	topics := make([]string, len(streams))
	for i, s := range streams { // by topic
		topics[i] = s.topic
	}
	all, err := r.reader.Ends(ctx, slices.Compact(topics))
	ends := map[place]int64{}
	for _, end := range all {
		ends[place{end.Topic, end.Partition}] = end.Offset
	}
	return ends, err
}

// logged tells whether the log has this event at its place: a forged one does not
// stand in for it.
func (r *Relay) logged(ctx context.Context, s known, m choreo.Meta) (ours bool, err error) {
	after, err := r.db.LogAfter(ctx, r.db.Pool(), choreo.Stream{Source: m.Source, Topic: s.topic, Partition: s.partition}, m.Sequence-1)
	if err != nil {
		return false, err
	}
	err = r.db.Pool().QueryRowContext(ctx, `select exists (select from choreo.event_log
		where stream = $1 and sequence = $2 and position > $3 and event_id = $4)`, s.id, m.Sequence, after, m.ID).Scan(&ours)
	if err != nil {
		return false, fmt.Errorf("looking event %s up in the log: %w", m.ID, err)
	}
	return ours, nil
}

// strange tells whether a record that bears our source and a sequence beyond the
// log is none that this database has lost: its id is none of ours, or a relay that
// was active has read past it, or it is a copy of a fact that the log has. A forger
// who takes care of all that, while no relay runs, has the next one refuse, which
// is safe: after `source new` it goes on.
func (r *Relay) strange(ctx context.Context, s known, offset int64, m choreo.Meta) (strange bool, err error) {
	if !choreo.IsOurs(m.ID) {
		return true, nil
	}
	ends, err := r.reader.Ends(ctx, []string{s.topic})
	if err != nil {
		return false, err
	}
	for _, end := range ends {
		if end.Partition != s.partition {
			continue
		}
		at := choreo.Spot{TopicID: end.TopicID, Partition: end.Partition, Offset: offset}
		if undecided, err := r.db.Undecided(ctx, r.db.Pool(), []choreo.Spot{at}); err != nil || len(undecided) == 0 {
			return err == nil, err
		}
	}
	err = r.db.Pool().QueryRowContext(ctx, `select exists (select from choreo.event_log where event_id = $1 and source = '')`,
		m.ID).Scan(&strange)
	if err != nil {
		return false, fmt.Errorf("looking event %s up in the log: %w", m.ID, err)
	}
	return strange, nil
}

// makeStreams makes the streams of every partition there is: also where the log
// has nothing, Kafka may hold a fact that this database has lost.
func (r *Relay) makeStreams(ctx context.Context) ([]known, error) {
	_, err := r.db.Pool().ExecContext(ctx, `
		with s as (insert into choreo.streams (source, topic, partition)
			select $1, t.topic, p from choreo.topics t, generate_series(0, t.partitions - 1) p
			where not exists (select from choreo.streams s where s.source = $1 and s.topic = t.topic and s.partition = p)
			order by t.topic, p on conflict do nothing returning id) -- a conflict uses an id up
		insert into choreo.forwarded (stream, sequence) select id, 0 from s`, r.db.Source())
	if err != nil {
		return nil, fmt.Errorf("making streams: %w", err)
	}
	return r.streams(ctx)
}

func (r *Relay) streams(ctx context.Context) ([]known, error) {
	rows, err := r.db.Pool().QueryContext(ctx, `select s.id, s.partition, s.topic, s.head, f.sequence, f.next_offset
		from choreo.streams s join choreo.forwarded f on f.stream = s.id
		where s.source = $1 order by s.topic, s.partition`, r.db.Source())
	if err != nil {
		return nil, fmt.Errorf("reading how far is forwarded: %w", err)
	}
	defer rows.Close()
	var all []known
	for rows.Next() {
		var s known
		if err := rows.Scan(&s.id, &s.partition, &s.topic, &s.head, &s.forwarded, &s.offset); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
