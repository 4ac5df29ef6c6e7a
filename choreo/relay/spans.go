package relay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"troupe/choreo/broker"
	"troupe/choreo/wire"
)

// collector is how far the relay has searched Kafka for foreign records. What it
// published itself it need not read: it knows the offsets.
type collector struct {
	mu      sync.Mutex
	ours    map[place][]span
	writing map[chan struct{}]bool // closed when wrote has noted what is being published

	// Of Collect alone, which runs once at a time.
	known   bool
	next    map[spot]int64
	stored  map[spot]int64
	storeAt time.Time
}

// spot is a partition of one incarnation of a topic.
type spot struct {
	topicID   string
	partition int32
}

// span are offsets from first to before end.
type span struct{ first, end int64 }

// mostSpans bounds what is remembered of a partition while nobody collects.
const mostSpans = 256

// writes has the collector wait, before it reads what stands on Kafka now, until
// done is called: it would take what is on its way for somebody else's, and hold the
// lease while it finds out.
func (c *collector) writes() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing == nil {
		c.writing = map[chan struct{}]bool{}
	}
	noted := make(chan struct{})
	c.writing[noted] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.writing, noted)
		close(noted)
	}
}

// settled waits for what is being published now.
func (c *collector) settled(ctx context.Context) error {
	c.mu.Lock()
	under := slices.Collect(maps.Keys(c.writing))
	c.mu.Unlock()
	for _, noted := range under {
		select {
		case <-noted:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// wrote notes where the records stand that we have just written; err says which
// of them did not arrive. It tells how many did.
func (c *collector) wrote(topic string, records []*wire.Record, err error) (arrived int) {
	var failed *broker.FailedError
	if err != nil && !errors.As(err, &failed) {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ours == nil {
		c.ours = map[place][]span{}
	}
	for i, record := range records {
		if failed != nil && failed.At[i] != nil {
			continue
		}
		arrived++
		p := place{topic, record.Partition}
		list := c.ours[p]
		if n := len(list); n > 0 && list[n-1].end == record.Offset {
			list[n-1].end++
			continue
		}
		list = append(list, span{record.Offset, record.Offset + 1})
		c.ours[p] = list[max(0, len(list)-mostSpans):]
	}
	return arrived
}

// skip passes over what we have written, and tells where the next of it begins.
func (c *collector) skip(p place, at, end int64) (from, to int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.ours[p]
	for len(list) > 0 && list[0].first <= at {
		at = max(at, list[0].end)
		list = list[1:]
	}
	if len(list) > 0 {
		end = min(end, list[0].first)
	}
	if c.ours != nil {
		c.ours[p] = list
	}
	return at, end
}

// forget drops what was noted of an incarnation of a topic that is gone.
func (c *collector) forget(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ours, p)
}
