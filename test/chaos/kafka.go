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
		came := 0
		err := reader.ReadFrom(ctx, p.topic, p.partition, 0, func(r *wire.Record) error {
			m, _, err := wire.Parse(r)
			if err != nil {
				return err
			}
			records++
			switch {
			case m.Sequence == int64(came)+1 && came < len(ids) && ids[came] == m.ID:
				came++
			case m.Sequence >= 1 && m.Sequence <= int64(came) && ids[m.Sequence-1] == m.ID:
				again++
			default:
				found.wrong = append(found.wrong, fmt.Sprintf("%s/%d: %s with sequence %d after %d", p.topic, p.partition, m.ID, m.Sequence, came))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading %s/%d: %w", p.topic, p.partition, err)
		}
		if came < len(ids) {
			found.wrong = append(found.wrong, fmt.Sprintf("%s/%d: %d of %d facts of the log", p.topic, p.partition, came, len(ids)))
		}
	}
	if len(found.wrong) > 20 {
		found.wrong = found.wrong[:20]
	}
	found.told = fmt.Sprintf("%d records in %d partitions, every fact of the log in its order; %d came again and were dropped by consumers", records, len(log), again)
	return found, nil
}
