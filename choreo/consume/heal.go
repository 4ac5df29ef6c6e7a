package consume

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/broker"
)

// healAtOnce is how many events of a hole one transaction reads from the log.
const healAtOnce = 2000

// heal reads events of ours that Kafka lost, or expired, before they were read.
func (t *transaction) heal(ctx context.Context, u *choreo.Unit, p place, from, to int64) ([]*arrival, error) {
	found, err := readLog(ctx, u.SQL(), p, from, int(to-from+1))
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

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// readLog reads events of a topic partition from the log, by sequence.
func readLog(ctx context.Context, q querier, p place, from int64, limit int) ([]*arrival, error) {
	rows, err := q.QueryContext(ctx, `
		select l.sequence, l.event_id, l.type, l.key, l.saga, l.causation, l.emitter, l.ran_in, l.traceparent, l.at, l.data
		from choreo.event_log l
		where l.stream = (select id from choreo.streams where source = $1 and topic = $2 and partition = $3) and l.sequence >= $4
		order by l.sequence limit $5`, p.source, p.topic, p.partition, from, limit)
	if err != nil {
		return nil, fmt.Errorf("reading %s/%d from the log: %w", p.topic, p.partition, err)
	}
	defer rows.Close()
	var found []*arrival
	for rows.Next() {
		v := &arrival{place: p, own: true, meta: choreo.Meta{Source: p.source}}
		m, ran := &v.meta, ""
		if err := rows.Scan(&m.Sequence, &m.ID, &m.Type, &m.Key, &m.Saga, &m.Causation, &m.Emitter, &ran,
			&m.TraceParent, &m.Time, &v.data); err != nil {
			return nil, err
		}
		if ran != "" {
			m.RanIn = strings.Split(ran, ",")
		}
		m.Time = m.Time.UTC()
		found = append(found, v)
	}
	return found, rows.Err()
}

// behind tells whether the consumer has not taken all that it should have been
// given of the partitions read to their end. It takes no lock.
func (a *Applier) behind(ctx context.Context, tails []broker.Tail) (behind bool, err error) {
	topics, partitions := spread(tails)
	err = a.DB.Pool().QueryRowContext(ctx, `select exists (
		select from unnest($1::text[], $2::int[]) as t (topic, partition)
		join choreo.streams s on s.topic = t.topic and s.partition = t.partition
		join choreo.forwarded f on f.stream = s.id
		left join choreo.watermarks w on w.consumer = $3 and w.source = s.source and w.topic = s.topic and w.partition = s.partition
		where coalesce(w.sequence, 0) < case when s.source = $4 then f.sequence else s.head end)`,
		pq.Array(topics), pq.Array(partitions), a.Consumer.Name, a.DB.Source()).Scan(&behind)
	if err != nil {
		return false, fmt.Errorf("asking whether %s is behind: %w", a.Consumer.Name, err)
	}
	return behind, nil
}

// ends are, for the partitions read to their end, how far each stream there has
// come: of our present source what is forwarded, of an earlier one all that the
// log holds.
func (t *transaction) ends(ctx context.Context, u *choreo.Unit) (map[place]int64, error) {
	ends := map[place]int64{}
	if len(t.tails) == 0 {
		return ends, nil
	}
	topics, partitions := spread(t.tails)
	rows, err := u.SQL().QueryContext(ctx, `
		select s.source, s.topic, s.partition, case when s.source = $3 then f.sequence else s.head end
		from unnest($1::text[], $2::int[]) as t (topic, partition)
		join choreo.streams s on s.topic = t.topic and s.partition = t.partition
		join choreo.forwarded f on f.stream = s.id`, pq.Array(topics), pq.Array(partitions), t.DB.Source())
	if err != nil {
		return nil, fmt.Errorf("reading how far partitions have come: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var p place
		var end int64
		if err := rows.Scan(&p.source, &p.topic, &p.partition, &end); err != nil {
			return nil, err
		}
		ends[p] = end
	}
	return ends, rows.Err()
}

func spread(tails []broker.Tail) (topics []string, partitions []int64) {
	for _, tail := range tails {
		topics, partitions = append(topics, tail.Topic), append(partitions, int64(tail.Partition))
	}
	return topics, partitions
}
