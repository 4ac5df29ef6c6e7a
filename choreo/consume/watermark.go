package consume

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
)

// watermarks are the rows of a batch, locked: of our own events the last
// sequence taken per topic partition, of foreign records the next offset per
// incarnation of a topic and partition.
type watermarks struct {
	consumer     string
	marks        map[place]*mark
	ends         map[place]int64 // of the partitions read to their end
	offsets      map[offsetPlace]int64
	movedOffsets map[offsetPlace]bool
}

// mark is the watermark of a place, which every arrival of that place has.
type mark struct {
	sequence int64
	moved    bool
}

func (m *mark) move(to int64) int64 {
	if to != m.sequence {
		m.sequence, m.moved = to, true
	}
	return to
}

// of is the mark of a place, made where there is none yet.
func (w *watermarks) of(p place) *mark {
	m := w.marks[p]
	if m == nil {
		m = &mark{}
		w.marks[p] = m
	}
	return m
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(len(p.source), len(q.source)), cmp.Compare(p.source, q.source), cmp.Compare(p.topic, q.topic), cmp.Compare(p.partition, q.partition))
}

func (p place) stream() choreo.Stream {
	return choreo.Stream{Source: p.source, Topic: p.topic, Partition: p.partition}
}

type offsetPlace struct {
	topicID   string
	partition int32
}

func (v *arrival) offsetPlace() offsetPlace {
	id := v.record.TopicID
	if id == "" {
		id = v.record.Topic
	}
	return offsetPlace{id, v.record.Partition}
}

// begin locks the rows that the batch may move, in one order, making those that
// are missing. A zombie that wakes after a rebalance finds them moved, and
// changes nothing. It is the first statement of the transaction.
func (t *transaction) begin(ctx context.Context, tx *sql.Tx) (now time.Time, err error) {
	w := &watermarks{consumer: t.Consumer.Name, marks: map[place]*mark{},
		offsets: map[offsetPlace]int64{}, movedOffsets: map[offsetPlace]bool{}}
	var last *arrival // of ours: most come in runs of one place
	for _, v := range t.arrivals {
		if !v.own {
			continue
		}
		if last != nil && last.place == v.place {
			v.mark = last.mark
		} else {
			v.mark = w.of(v.place)
		}
		last = v
	}
	if w.ends, err = t.ends(ctx, t.log(tx), t.tails); err != nil {
		return now, err
	}
	if err := t.addEarlier(ctx, t.log(tx), w.ends); err != nil {
		return now, err
	}
	for p := range w.ends {
		w.of(p)
	}
	places := slices.SortedFunc(maps.Keys(w.marks), place.compare)
	sources, topics, partitions := columns(places)
	var marks pq.Int64Array
	err = tx.QueryRowContext(ctx, `select * from choreo.begin_batch($1, $2, $3, $4)`,
		w.consumer, sources, topics, partitions).Scan(&now, &marks, &t.busy)
	if err != nil {
		return now, fmt.Errorf("locking watermarks: %w", err)
	}
	for i, p := range places {
		w.marks[p].sequence = marks[i]
	}
	t.marks = w
	return now, nil
}

func columns(places []place) (sources, topics pgarray.Text, partitions pgarray.Int8) {
	for _, p := range places {
		sources, topics, partitions = append(sources, p.source), append(topics, p.topic), append(partitions, int64(p.partition))
	}
	return sources, topics, partitions
}

// lockOffsets locks the offset watermark of a foreign record's partition.
func (w *watermarks) lockOffsets(ctx context.Context, u *choreo.Unit, p offsetPlace) error {
	if _, ok := w.offsets[p]; ok {
		return nil
	}
	var next int64
	err := u.SQL().QueryRowContext(ctx, `insert into choreo.foreign_offsets as f (consumer, topic_id, partition, next_offset)
		values ($1, $2, $3, 0) on conflict (consumer, topic_id, partition) do update set next_offset = f.next_offset
		returning next_offset`, w.consumer, p.topicID, p.partition).Scan(&next)
	if err != nil {
		return fmt.Errorf("locking an offset watermark: %w", err)
	}
	w.offsets[p] = next
	return nil
}

// sift keeps what has not come before, in order, with what Kafka lost read from
// the log in its place. An event that bears our source and is not in the log as
// it says is a foreign one: it never moves a sequence watermark.
func (t *transaction) sift(ctx context.Context, u *choreo.Unit, w *watermarks) ([]*arrival, error) {
	if err := t.unmask(ctx, u, w); err != nil {
		return nil, err
	}
	room := healAtOnce
	fresh, err := t.healEnds(ctx, u, w, &room, true)
	if err != nil || t.more {
		return fresh, err
	}
	for _, v := range t.arrivals {
		if v.copied {
			v.outcome = Duplicate
			t.done = append(t.done, v)
			continue
		}
		if !v.own {
			first, err := t.firstOfForeign(ctx, u, w, v)
			if err != nil {
				return nil, err
			}
			if first {
				fresh = append(fresh, v)
			} else {
				v.outcome = Duplicate
				t.done = append(t.done, v)
			}
			continue
		}
		at := v.mark.sequence
		if v.meta.Sequence > at+1 && !safeguard.Off("hole healing") {
			healed, err := t.heal(ctx, u, v.place, at+1, min(v.meta.Sequence-1, at+int64(room)))
			if err != nil {
				return nil, err
			}
			fresh, room = append(fresh, healed...), room-len(healed)
			at = v.mark.move(at + int64(len(healed)))
			if v.meta.Sequence > at+1 { // not to its end yet: the rest of the batch comes again
				t.more = true
				return fresh, nil
			}
		}
		if v.meta.Sequence <= at && !safeguard.Off("watermark") {
			v.outcome = Duplicate
			t.done = append(t.done, v)
			continue
		}
		v.mark.move(v.meta.Sequence)
		fresh = append(fresh, v)
	}
	healed, err := t.healEnds(ctx, u, w, &room, false)
	return append(fresh, healed...), err
}

// healEnds reads what is missing up to the ends of the partitions that were read
// to theirs: of earlier sources, or of the present one.
func (t *transaction) healEnds(ctx context.Context, u *choreo.Unit, w *watermarks, room *int, earlier bool) (fresh []*arrival, err error) {
	for _, p := range slices.SortedFunc(maps.Keys(w.ends), place.compare) {
		m, end := w.marks[p], w.ends[p]
		at := m.sequence
		if end <= at || earlier == (p.source == t.DB.Source()) || safeguard.Off("tail check") {
			continue
		}
		healed, err := t.heal(ctx, u, p, at+1, min(end, at+int64(*room)))
		if err != nil {
			return nil, err
		}
		fresh, *room = append(fresh, healed...), *room-len(healed)
		if at = m.move(at + int64(len(healed))); end > at {
			t.more = true
			return fresh, nil
		}
	}
	return fresh, nil
}

// firstOfForeign tells whether a foreign record comes for the first time: its
// offset in this incarnation of the topic was not passed, and its id is not in
// the inbox.
func (t *transaction) firstOfForeign(ctx context.Context, u *choreo.Unit, w *watermarks, v *arrival) (bool, error) {
	p := v.offsetPlace()
	if err := w.lockOffsets(ctx, u, p); err != nil {
		return false, err
	}
	if v.record.Offset < w.offsets[p] {
		return false, nil
	}
	w.offsets[p], w.movedOffsets[p] = v.record.Offset+1, true
	if v.rule == nil || safeguard.Off("foreign duplicates") {
		return true, nil
	}
	result, err := u.SQL().ExecContext(ctx, `insert into choreo.inbox (consumer, source, event_id, at)
		values ($1, $2, $3, $4) on conflict do nothing`, w.consumer, v.meta.Source, v.meta.ID, u.Clock())
	if err != nil {
		return false, fmt.Errorf("noting foreign event %s: %w", v.meta.ID, err)
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// advance stores the watermarks that moved, unless the consumer is paused. Who
// pauses it waits for their locks, and so for the batches under way.
func (w *watermarks) advance(ctx context.Context, u *choreo.Unit) error {
	places := slices.SortedFunc(maps.Keys(w.marks), place.compare)
	places = slices.DeleteFunc(places, func(p place) bool { return !w.marks[p].moved })
	if len(places) > 0 {
		sources, topics, partitions := columns(places)
		var sequences pgarray.Int8
		for _, p := range places {
			sequences = append(sequences, w.marks[p].sequence)
		}
		var advanced bool
		err := u.SQL().QueryRowContext(ctx, `select choreo.advance_watermarks($1, $2, $3, $4, $5)`,
			w.consumer, sources, topics, partitions, sequences).Scan(&advanced)
		if err != nil {
			return fmt.Errorf("advancing watermarks: %w", err)
		}
		if !advanced {
			return ErrPaused
		}
	}
	for p := range w.movedOffsets {
		result, err := u.SQL().ExecContext(ctx, `update choreo.foreign_offsets set next_offset = $4
			where consumer = $1 and topic_id = $2 and partition = $3
			  and not exists (select from choreo.consumers c where c.consumer = $1 and c.paused_at is not null)`,
			w.consumer, p.topicID, p.partition, w.offsets[p])
		if err != nil {
			return fmt.Errorf("advancing an offset watermark: %w", err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(ErrPaused, err)
		}
	}
	return nil
}
