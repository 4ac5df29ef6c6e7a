package choreo

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
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
