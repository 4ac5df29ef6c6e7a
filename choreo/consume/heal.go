package consume

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/broker"
)

// healAtOnce is how many events of a hole one transaction reads from the log.
const healAtOnce = 2000

// heal reads events of ours that Kafka lost, or expired, before they were read.
func (t *transaction) heal(ctx context.Context, u *choreo.Unit, p place, from, to int64) ([]*arrival, error) {
	found, err := t.readLog(ctx, t.log(u.SQL()), p, from, int(to-from+1))
	if err != nil {
		return nil, err
	}
	for i, v := range found {
		if v.meta.Sequence != from+int64(i) || v.meta.Sequence > to {
			return nil, fmt.Errorf("%w: %s/%d, sequence %d", ErrGap, p.topic, p.partition, from+int64(i))
		}
		v.healed = true
		t.bind(v)
		v.outcome = v.sorted
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %s/%d, sequences %d to %d", ErrGap, p.topic, p.partition, from, to)
	}
	return found, nil
}

// logged are the columns of a row l of the log that scan reads first.
const logged = `l.event_id, l.type, l.key, l.saga, l.causation, l.emitter, l.ran_in, l.traceparent, l.at, l.data`

// scan reads an event from a row of the log, and the columns behind it.
func (v *arrival) scan(rows *sql.Rows, behind ...any) error {
	m, ran := &v.meta, ""
	err := rows.Scan(append([]any{&m.ID, &m.Type, &m.Key, &m.Saga, &m.Causation, &m.Emitter, &ran, &m.TraceParent, &m.Time, &v.data}, behind...)...)
	if ran != "" {
		m.RanIn = strings.Split(ran, ",")
	}
	m.Time = m.Time.UTC()
	return err
}

// readLog reads events of a topic partition from the log, by sequence.
func (a *Applier) readLog(ctx context.Context, q choreo.Querier, p place, from int64, limit int) ([]*arrival, error) {
	after, err := a.DB.LogAfter(ctx, q, p.stream(), from-1)
	if err != nil {
		return nil, err
	}
	rows, err := q.QueryContext(ctx, `
		select `+logged+`, l.position, l.sequence from choreo.event_log l
		where l.stream = (select id from choreo.streams where source = $1 and topic = $2 and partition = $3) and l.sequence >= $4
		  and l.position > $5
		order by l.sequence limit $6`, p.source, p.topic, p.partition, from, after, limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s/%d from the log: %w", p.topic, p.partition, err)
	}
	defer rows.Close()
	var found []*arrival
	for rows.Next() {
		v := &arrival{place: p, own: true, meta: choreo.Meta{Source: p.source}}
		if err := v.scan(rows, &v.position, &v.meta.Sequence); err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, rows.Err()
}

// behind tells whether the consumer has not taken all that it should have been
// given of the partitions read to their end. It takes no lock.
func (a *Applier) behind(ctx context.Context, tails []broker.Tail) (bool, error) {
	ends, err := a.ends(ctx, a.DB.Log(), tails)
	if err != nil {
		return false, err
	}
	left, err := a.beyond(ctx, ends)
	return len(left) > 0, err
}

// ends are, for the partitions read to their end, how far each stream there has
// come: of our present source what is forwarded, of an earlier one all that the
// log holds.
func (a *Applier) ends(ctx context.Context, q choreo.Querier, tails []broker.Tail) (map[place]int64, error) {
	if len(tails) == 0 {
		return map[place]int64{}, nil
	}
	topics, partitions := spread(tails)
	return readPlaces(ctx, q, `
		select s.source, s.topic, s.partition, case when s.source = $3 then f.sequence else s.head end
		from unnest($1::text[], $2::int[]) as t (topic, partition)
		join choreo.streams s on s.topic = t.topic and s.partition = t.partition
		join choreo.forwarded f on f.stream = s.id`, pq.Array(topics), pq.Array(partitions), a.DB.Source())
}

// addEarlier adds the ends of earlier sources on the partitions of which the batch
// brings events of the present one, until all of them were taken: they come first,
// and where the relay of their time had not published them they are in the log
// alone.
func (t *transaction) addEarlier(ctx context.Context, q choreo.Querier, ends map[place]int64) error {
	source := t.DB.Source()
	if strings.HasSuffix(source, "/1") {
		return nil
	}
	for _, v := range t.arrivals {
		tail := broker.Tail{Topic: v.place.topic, Partition: v.place.partition}
		if _, taken := t.earlierTaken.Load(tail); !taken && v.meta.Source == source && !slices.Contains(t.follow, tail) {
			t.follow = append(t.follow, tail)
		}
	}
	all, err := t.ends(ctx, q, t.follow)
	for p, end := range all {
		if p.source != source {
			ends[p] = end
		}
	}
	return err
}

// beyond finds the places whose end the consumer has not reached, each with its
// watermark. What it is known to have passed is not asked for again.
func (a *Applier) beyond(ctx context.Context, ends map[place]int64) (map[place]int64, error) {
	left := map[place]int64{}
	for p, end := range ends {
		if at, ok := a.passed.Load(p); !ok || at.(int64) < end { //nolint:forcetypeassert // only such are stored
			left[p] = 0
		}
	}
	if len(left) == 0 {
		return left, nil
	}
	sources, topics, partitions := unzip(left)
	marks, err := readPlaces(ctx, a.home().Pool(), `select w.source, w.topic, w.partition, w.sequence from choreo.watermarks w
		where w.consumer = $1 and (w.source, w.topic, w.partition) in (select * from unnest($2::text[], $3::text[], $4::int[]))`,
		a.Consumer.Name, pq.Array(sources), pq.Array(topics), pq.Array(partitions))
	if err != nil {
		return nil, err
	}
	for p, at := range marks {
		if left[p] = at; at >= ends[p] {
			delete(left, p)
		}
	}
	return left, nil
}

// readPlaces reads a sequence for each place.
func readPlaces(ctx context.Context, q choreo.Querier, query string, args ...any) (map[place]int64, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading how far partitions have come: %w", err)
	}
	defer rows.Close()
	found := map[place]int64{}
	for rows.Next() {
		var p place
		var sequence int64
		if err := rows.Scan(&p.source, &p.topic, &p.partition, &sequence); err != nil {
			return nil, err
		}
		found[p] = sequence
	}
	return found, rows.Err()
}

func unzip(places map[place]int64) (sources, topics []string, partitions []int64) {
	for p := range places {
		sources, topics, partitions = append(sources, p.source), append(topics, p.topic), append(partitions, int64(p.partition))
	}
	return sources, topics, partitions
}

func spread(tails []broker.Tail) (topics []string, partitions []int64) {
	for _, tail := range tails {
		topics, partitions = append(topics, tail.Topic), append(partitions, int64(tail.Partition))
	}
	return topics, partitions
}
