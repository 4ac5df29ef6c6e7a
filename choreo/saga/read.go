package saga

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
)

// reading is one snapshot over log, outbox, watermarks and steps: a fact that
// moves from one to the other in between would be missed, or its reaction seen
// twice.
type reading struct {
	*sql.Tx
	db  *choreo.DB
	now time.Time
}

// inSnapshot runs fn over a snapshot. What it writes is committed.
func inSnapshot(ctx context.Context, db *choreo.DB, fn func(*reading) error) error {
	tx, err := db.Pool().BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return fmt.Errorf("reading sagas: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	r := &reading{Tx: tx, db: db}
	if err := tx.QueryRowContext(ctx, `select choreo.troupe_now()`).Scan(&r.now); err != nil {
		return fmt.Errorf("reading the clock: %w", err)
	}
	if err := fn(r); err != nil {
		return err
	}
	return tx.Commit()
}

// fact is a fact of a saga, in the log or still in the outbox.
type fact struct {
	Step
	saga     string
	key      string
	reason   string
	position int64 // 0 in the outbox
	place    place // of a foreign fact: its source is the id of its topic
	sequence int64 // of a foreign fact: its offset on Kafka, and one
	ranIn    []string
}

// place is a topic partition of a source.
type place struct {
	source, topic string
	partition     int
}

// compute computes the sagas of these ids that there are, in the order of ids.
func (r *reading) compute(ctx context.Context, ids []string) ([]*Saga, error) {
	facts, err := r.readFacts(ctx, ids)
	if err != nil {
		return nil, err
	}
	w := world{flow: r.db.Flow(), now: r.now}
	if w.taken, err = r.readWatermarks(ctx); err != nil {
		return nil, err
	}
	if w.open, err = r.readSteps(ctx, ids); err != nil {
		return nil, err
	}
	var sagas []*Saga
	for _, id := range ids {
		if len(facts[id]) > 0 {
			sagas = append(sagas, w.build(id, facts[id]))
		}
	}
	return sagas, nil
}

// readFacts reads the facts of sagas, in order. Their data it reads only of undos
// that failed, for the reason: a post's contents are large.
func (r *reading) readFacts(ctx context.Context, ids []string) (map[string][]fact, error) {
	rows, err := r.QueryContext(ctx, `
		select f.saga, f.type, f.event_id, f.causation, f.emitter, f.at, f.key, f.ran_in, f.position, coalesce(f.sequence, k.record_offset + 1, 0),
		       coalesce(s.source, k.topic_id, ''), coalesce(s.topic, k.topic, ''), coalesce(s.partition, k.partition, 0),
		       case when f.type = any ($2) then f.data end
		from (
		  select saga, type, event_id, causation, emitter, at, key, ran_in, position, sequence, stream, data, 0 as place, position as n
		  from choreo.event_log where saga = any ($1)
		  union all
		  select saga, type, event_id, causation, emitter, at, key, ran_in, 0, 0, null, data, 1, id
		  from choreo.outbox where saga = any ($1)
		) f left join choreo.streams s on s.id = f.stream
		left join choreo.foreign_records k on f.stream is null and k.position = f.position
		order by f.place, f.n`, pq.Array(ids), pq.Array(owing(r.db.Flow())))
	if err != nil {
		return nil, fmt.Errorf("reading the facts of sagas: %w", err)
	}
	defer rows.Close()
	facts := map[string][]fact{}
	for rows.Next() {
		var f fact
		var ranIn string
		var data []byte
		if err := rows.Scan(&f.saga, &f.Event, &f.EventID, &f.CausedBy, &f.Consumer, &f.At, &f.key, &ranIn, &f.position, &f.sequence,
			&f.place.source, &f.place.topic, &f.place.partition, &data); err != nil {
			return nil, err
		}
		f.At, f.ranIn, f.reason = f.At.UTC(), strings.Split(ranIn, ","), reason(data)
		facts[f.saga] = append(facts[f.saga], f)
	}
	return facts, rows.Err()
}

func reason(data []byte) string {
	var f struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(data, &f) // a fact without a reason has none to show
	return f.Reason
}

// owing are the fact types that leave an undo owed.
func owing(flow *choreo.Flow) (types []string) {
	for _, f := range flow.Facts() {
		if o, _ := flow.Final(f.FactType()); o == choreo.Owed {
			types = append(types, f.FactType())
		}
	}
	return types
}

// readFirst reads the data of a saga's first fact.
func (r *reading) readFirst(ctx context.Context, s *Saga) error {
	err := r.QueryRowContext(ctx, `select data from choreo.event_log where position = $1
		union all select data from choreo.outbox where event_id = $2 and $1 = 0`, s.place, s.Steps[0].EventID).
		Scan((*[]byte)(&s.first))
	if err != nil {
		return fmt.Errorf("reading the first fact of saga %s: %w", s.ID, err)
	}
	return nil
}

type mark struct {
	consumer string
	place    place
}

// watermarks say how far consumers have come: by sequence, and of foreign facts
// by offset.
type watermarks map[mark]int64

// readWatermarks reads all of them: they are few, and do not grow.
func (r *reading) readWatermarks(ctx context.Context) (watermarks, error) {
	rows, err := r.QueryContext(ctx, `select consumer, source, topic, partition, sequence from choreo.watermarks
		union all
		select o.consumer, o.topic_id, c.topic, o.partition, o.next_offset from choreo.foreign_offsets o
		join choreo.collected c on c.topic_id = o.topic_id and c.partition = o.partition where c.last_offset is not null`)
	if err != nil {
		return nil, fmt.Errorf("reading what consumers have taken: %w", err)
	}
	defer rows.Close()
	w := watermarks{}
	for rows.Next() {
		var m mark
		var sequence int64
		if err := rows.Scan(&m.consumer, &m.place.source, &m.place.topic, &m.place.partition, &sequence); err != nil {
			return nil, err
		}
		w[m] = sequence
	}
	return w, rows.Err()
}

// has tells whether a consumer has taken a fact.
func (w watermarks) has(consumer string, f *fact) bool {
	return f.sequence > 0 && w[mark{consumer, f.place}] >= f.sequence || slices.Contains(f.ranIn, consumer)
}

type taking struct{ consumer, event string }

// readSteps finds the states of the steps of sagas that are not over.
func (r *reading) readSteps(ctx context.Context, ids []string) (map[taking]string, error) {
	rows, err := r.QueryContext(ctx, `select consumer, event_id, state from choreo.steps
		where saga = any ($1) and state in ('waiting','calling','parked','unknown')`, pq.Array(ids))
	if err != nil {
		return nil, fmt.Errorf("reading the steps of sagas: %w", err)
	}
	defer rows.Close()
	open := map[taking]string{}
	for rows.Next() {
		var t taking
		var state string
		if err := rows.Scan(&t.consumer, &t.event, &state); err != nil {
			return nil, err
		}
		open[t] = state
	}
	return open, rows.Err()
}
