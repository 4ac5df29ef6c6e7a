package choreo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"troupe/choreo/pgarray"
)

// cuts remember where the log's partitions end. They only grow, and one that is
// not known yet only means to look at more of the log than need be.
type cuts struct {
	mu      sync.Mutex
	asked   int
	last    int64 // position of the last that is known
	streams map[Stream][]cut
}

type cut struct{ sequence, position int64 }

// Stream is a topic partition of one source.
type Stream struct {
	Source    string
	Topic     string
	Partition int32
}

// cutsEvery so many questions new cuts are looked for: there is one a day.
const cutsEvery = 500

// Querier is a pool or a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// LogHead is the last position of the log. What it covers has been committed.
func (db *DB) LogHead(ctx context.Context) (head int64, err error) {
	if err := db.Log().QueryRowContext(ctx, `select position from choreo.log_head`).Scan(&head); err != nil {
		return 0, fmt.Errorf("reading the end of the log: %w", err)
	}
	return head, nil
}

// LogWindow is the position up to which the log holds the next most facts behind
// after, or head where it holds fewer. A reader bounds what it looks at by so
// many facts, and not by positions: those jump where a partition ends.
func (db *DB) LogWindow(ctx context.Context, after, head int64, most int) (to int64, err error) {
	err = db.Log().QueryRowContext(ctx, `select position from choreo.event_log where position > $1 and position <= $2
		order by position offset $3 limit 1`, after, head, most-1).Scan(&to)
	if errors.Is(err, sql.ErrNoRows) {
		return head, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading the log after %d: %w", after, err)
	}
	return to, nil
}

// LogAfter is a position behind which the log holds everything of the stream
// that has a higher sequence. A query that says so looks at the partitions of
// the log behind it, and not at those of all days: a hundred of them cost 8 ms.
// log is where the log is read.
func (db *DB) LogAfter(ctx context.Context, log Querier, s Stream, sequence int64) (int64, error) {
	c := &db.cuts
	c.mu.Lock()
	ask, last := c.asked%cutsEvery == 0, c.last
	c.asked++
	c.mu.Unlock()
	if ask {
		if err := c.read(ctx, log, last); err != nil {
			return 0, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.streams[s]
	if len(list) == 0 {
		return c.last, nil // nothing of it stood there then
	}
	beyond, _ := slices.BinarySearchFunc(list, sequence, func(c cut, n int64) int {
		if c.sequence <= n {
			return -1
		}
		return 1
	})
	if beyond == 0 {
		return 0, nil
	}
	return list[beyond-1].position, nil
}

// read reads the cuts behind the last that was known.
func (c *cuts) read(ctx context.Context, log Querier, last int64) error {
	rows, err := log.QueryContext(ctx, `select source, topic, partition, sequence, position from choreo.log_cuts
		where position > $1 order by position`, last)
	if err != nil {
		return fmt.Errorf("reading where the log's partitions end: %w", err)
	}
	defer rows.Close()
	found := map[Stream][]cut{}
	newest := last
	for rows.Next() {
		var s Stream
		var at cut
		if err := rows.Scan(&s.Source, &s.Topic, &s.Partition, &at.sequence, &at.position); err != nil {
			return err
		}
		found[s], newest = append(found[s], at), at.position
	}
	if err := rows.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != last || newest == last {
		return nil // another was faster, or there is nothing new
	}
	if c.streams == nil {
		c.streams = map[Stream][]cut{}
	}
	for s, list := range found {
		c.streams[s] = append(c.streams[s], list...)
	}
	c.last = newest
	return nil
}

// Claim is an event that says it is one of ours.
type Claim struct {
	Stream
	Sequence int64
	ID       string
}

// Strangers finds the claims that the log does not confirm: it has another event
// at that place, or none. The value tells whether the event stands at another
// place, so that this is a copy of it. What is looked for stands behind after;
// what stood in the parts of the log that were dropped is believed.
func (db *DB) Strangers(ctx context.Context, log Querier, claims []Claim, after int64) (map[int]bool, error) {
	var sources, topics, ids pgarray.Text
	var partitions, sequences pgarray.Int8
	for _, c := range claims {
		sources, topics, ids = append(sources, c.Source), append(topics, c.Topic), append(ids, c.ID)
		partitions, sequences = append(partitions, int64(c.Partition)), append(sequences, c.Sequence)
	}
	strangers := map[int]bool{}
	found, err := indexes(ctx, log, `
		select a.i - 1 from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[]) with ordinality
			as a (source, topic, partition, sequence, id, i)
		left join choreo.streams s on s.source = a.source and s.topic = a.topic and s.partition = a.partition
		left join choreo.event_log l on l.stream = s.id and l.sequence = a.sequence and l.position > $6
		where l.event_id is distinct from a.id and not (a.sequence > 0 and exists (
			select from choreo.log_head h join choreo.log_cuts c on c.position = h.begins_after
			where c.source = a.source and c.topic = a.topic and c.partition = a.partition and c.sequence >= a.sequence))`,
		sources, topics, partitions, sequences, ids, after)
	if err != nil || len(found) == 0 {
		return strangers, err
	}
	ids = nil
	for _, i := range found {
		ids, strangers[i] = append(ids, claims[i].ID), false
	}
	copies, err := indexes(ctx, log, `select a.i - 1 from unnest($1::text[]) with ordinality as a (id, i)
		where exists (select from choreo.event_log o where o.event_id = a.id and o.source = '')`, ids)
	for _, i := range copies {
		strangers[found[i]] = true
	}
	return strangers, err
}

// Undecided finds the records of these topic partitions that no active relay has
// read past. An event that bears our source and is not in the log is foreign when
// one has: it had read Kafka back before, and nothing of ours was missing. Before,
// it may as well be of a timeline that a restore took back, since what Kafka got
// after a backup stands behind what the relay had read by then.
func (db *DB) Undecided(ctx context.Context, log Querier, at []Spot) ([]int, error) {
	var topicIDs pgarray.Text
	var partitions, offsets pgarray.Int8
	for _, s := range at {
		topicIDs = append(topicIDs, s.TopicID)
		partitions, offsets = append(partitions, int64(s.Partition)), append(offsets, s.Offset)
	}
	return indexes(ctx, log, `
		select a.i - 1 from unnest($1::text[], $2::bigint[], $3::bigint[]) with ordinality as a (topic_id, partition, at, i)
		where not exists (select from choreo.collected c
			where c.topic_id = a.topic_id and c.partition = a.partition and c.next_offset > a.at)
		or $4 <> (select '/troupe/' || database_id || '/' || epoch from choreo.source)`, topicIDs, partitions, offsets, db.Source())
}

// Spot is where a record stands in one incarnation of a topic.
type Spot struct {
	TopicID   string
	Partition int32
	Offset    int64
}

func indexes(ctx context.Context, log Querier, query string, args ...any) ([]int, error) {
	rows, err := log.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("looking events up in the log: %w", err)
	}
	defer rows.Close()
	var found []int
	for rows.Next() {
		var i int
		if err := rows.Scan(&i); err != nil {
			return nil, err
		}
		found = append(found, i)
	}
	return found, rows.Err()
}
