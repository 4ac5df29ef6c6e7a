package main

import (
	"context"
	"fmt"
	"strconv"

	"troupe/choreo/broker"
	"troupe/choreo/wire"
)

// onKafka is what a comparison of all topics with the log found.
type onKafka struct {
	told  string
	wrong []string
}

type place struct {
	topic     string
	partition int32
}

// readKafka reads every topic from its beginning: of the log's facts each must
// be there, in the order of their sequences; a copy may come again, but never
// before what stands before it.
func (c *cluster) readKafka(ctx context.Context) (*onKafka, error) {
	rows, err := c.db.QueryContext(ctx, `
		select t.topic, t.partition, l.event_id from choreo.event_log l join choreo.streams t on t.id = l.stream
		order by l.stream, l.sequence`)
	if err != nil {
		return nil, fmt.Errorf("reading the log: %w", err)
	}
	defer rows.Close()
	log := map[place][]string{}
	for rows.Next() {
		var p place
		var id string
		if err := rows.Scan(&p.topic, &p.partition, &id); err != nil {
			return nil, err
		}
		log[p] = append(log[p], id)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	found, records, again := &onKafka{}, 0, 0
	reader := broker.NewReader(broker.Config{Brokers: []string{"127.0.0.1:" + strconv.Itoa(c.ports.kafka)}})
	defer reader.Close() //nolint:errcheck // it only read
	for p, ids := range log {
		f := follower{place: p, ids: ids}
		err := reader.ReadFrom(ctx, p.topic, p.partition, 0, func(r *wire.Record) error {
			m, _, err := wire.Parse(r)
			if err == nil {
				f.take(m.ID, m.Sequence)
			}
			records++
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s/%d: %w", p.topic, p.partition, err)
		}
		f.end()
		found.wrong, again = append(found.wrong, f.wrong...), again+f.again
	}
	if len(found.wrong) > 20 {
		found.wrong = found.wrong[:20]
	}
	found.told = fmt.Sprintf("%d records in %d partitions, every fact of the log in its order; %d came again and were dropped by consumers", records, len(log), again)
	return found, nil
}

// follower compares what stands in a topic partition with the log.
type follower struct {
	place
	ids         []string // of the log, by sequence
	came, again int
	wrong       []string
}

func (f *follower) take(id string, sequence int64) {
	switch {
	case sequence == int64(f.came)+1 && f.came < len(f.ids) && f.ids[f.came] == id:
		f.came++
	case sequence >= 1 && sequence <= int64(f.came) && f.ids[sequence-1] == id:
		f.again++
	default:
		f.wrong = append(f.wrong, fmt.Sprintf("%s/%d: %s with sequence %d after %d", f.topic, f.partition, id, sequence, f.came))
	}
}

func (f *follower) end() {
	if f.came < len(f.ids) {
		f.wrong = append(f.wrong, fmt.Sprintf("%s/%d: %d of %d facts of the log", f.topic, f.partition, f.came, len(f.ids)))
	}
}
