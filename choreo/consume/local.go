package consume

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/pgarray"
	"troupe/choreo/wire"
)

// Feeder takes events from the log to one Local() consumer, right after they
// were sequenced.
type Feeder struct {
	applier *Applier
	topics  []string
	log     *slog.Logger
}

// NewFeeder makes the feeder of a local consumer's applier.
func NewFeeder(a *Applier, log *slog.Logger) *Feeder {
	return &Feeder{applier: a, topics: a.Consumer.Topics(), log: log}
}

// Run feeds until ctx ends. A hint, or a quarter of a second, makes it look.
func (f *Feeder) Run(ctx context.Context, hints *choreo.Hints) error {
	hints.Look(ctx, 250*time.Millisecond, func(ctx context.Context) (more bool) {
		n, err := f.Feed(ctx)
		if errors.Is(err, ErrPaused) {
			err = f.applier.awaitResume(ctx)
		}
		if err != nil && ctx.Err() == nil {
			f.log.Warn("feeding a local consumer; it is tried again", "consumer", f.applier.Consumer.Name, "error", err)
		}
		return err == nil && n > 0
	})
	return nil
}

// Feed applies what the log holds beyond the consumer's watermarks, at most a
// batch of each partition, and tells how many events that were.
func (f *Feeder) Feed(ctx context.Context) (int, error) {
	log := f.applier.DB.Log()
	heads, err := readPlaces(ctx, log, `select source, topic, partition, head from choreo.streams
		where topic = any ($1) and head > 0`, pq.Array(f.topics))
	if err != nil {
		return 0, err
	}
	behind, err := f.applier.beyond(ctx, heads)
	if err != nil {
		return 0, err
	}
	var batch []*arrival
	for _, p := range slices.SortedFunc(maps.Keys(behind), place.compare) {
		found, err := f.applier.readLog(ctx, log, p, behind[p]+1, healAtOnce)
		if err != nil {
			return 0, err
		}
		for _, v := range found {
			f.applier.bind(v)
		}
		batch = append(batch, found...)
	}
	foreign, err := f.foreign(ctx, log)
	if err != nil {
		return 0, err
	}
	if batch = append(batch, foreign...); len(batch) == 0 {
		return 0, nil
	}
	slices.SortStableFunc(batch, func(a, b *arrival) int { return cmp.Compare(a.position, b.position) })
	_, err = f.applier.take(ctx, batch, nil)
	return len(batch), err
}

// foreign are the events of others that the log holds and the consumer has not
// taken: it goes by the offsets that they had on Kafka, as it would there, so that
// a consumer that was fed from Kafka before takes none again.
func (f *Feeder) foreign(ctx context.Context, log *sql.DB) ([]*arrival, error) {
	last, err := f.offsets(ctx, log, `select topic_id, partition, last_offset from choreo.collected
		where topic = any ($1) and last_offset is not null`, pq.Array(f.topics))
	if err != nil || len(last) == 0 {
		return nil, err
	}
	taken, err := f.offsets(ctx, f.applier.home().Pool(), `select topic_id, partition, next_offset from choreo.foreign_offsets
		where consumer = $1`, f.applier.Consumer.Name)
	if err != nil {
		return nil, err
	}
	at := map[int64]*wire.Record{}
	for p, offset := range last {
		if offset >= taken[p] {
			if err := readPlacesOf(ctx, log, p, taken[p], at); err != nil {
				return nil, err
			}
		}
	}
	return f.readForeign(ctx, log, at, slices.Sorted(maps.Keys(at)))
}

// readPlacesOf reads where the foreign events of a partition stand in the log,
// and stood on Kafka, from an offset on.
func readPlacesOf(ctx context.Context, log *sql.DB, p offsetPlace, from int64, at map[int64]*wire.Record) error {
	rows, err := log.QueryContext(ctx, `select position, topic, record_offset from choreo.foreign_records
		where topic_id = $1 and partition = $2 and record_offset >= $3 order by record_offset limit $4`,
		p.topicID, p.partition, from, healAtOnce)
	if err != nil {
		return fmt.Errorf("reading where foreign events stood: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var position int64
		r := &wire.Record{TopicID: p.topicID, Partition: p.partition}
		if err := rows.Scan(&position, &r.Topic, &r.Offset); err != nil {
			return err
		}
		at[position] = r
	}
	return rows.Err()
}

func (f *Feeder) offsets(ctx context.Context, q choreo.Querier, query string, args ...any) (map[offsetPlace]int64, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("looking for foreign events in the log: %w", err)
	}
	defer rows.Close()
	offsets := map[offsetPlace]int64{}
	for rows.Next() {
		var p offsetPlace
		var offset int64
		if err := rows.Scan(&p.topicID, &p.partition, &offset); err != nil {
			return nil, err
		}
		offsets[p] = offset
	}
	return offsets, rows.Err()
}

// readForeign reads the foreign events at these positions of the log.
func (f *Feeder) readForeign(ctx context.Context, log *sql.DB, at map[int64]*wire.Record, positions []int64) (found []*arrival, err error) {
	if len(positions) == 0 {
		return nil, nil
	}
	rows, err := log.QueryContext(ctx, `select `+logged+`, l.position, l.source
		from choreo.event_log l where l.position = any ($1::bigint[]) order by l.position`, pgarray.Int8(positions))
	if err != nil {
		return nil, fmt.Errorf("reading foreign events from the log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		v := &arrival{}
		m := &v.meta
		if err := v.scan(rows, &v.position, &m.Source); err != nil {
			return nil, err
		}
		v.record = at[v.position]
		v.record.Key, v.record.Value, v.record.Time = []byte(m.Key), v.data, m.Time
		v.place = place{m.Source, v.record.Topic, v.record.Partition}
		f.applier.bind(v)
		found = append(found, v)
	}
	return found, rows.Err()
}
