package broker

import (
	"context"
	"sync"

	"github.com/IBM/sarama"

	"troupe/choreo/wire"
)

// item is a record on its way into a batch, or a tail in its place after those
// before it.
type item struct {
	sarama *sarama.ConsumerMessage
	record *wire.Record
	size   int // of key, value and headers, in bytes
	tail   *Tail
}

func newItem(from *sarama.ConsumerMessage, r *wire.Record) item {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Value)
	}
	return item{sarama: from, record: r, size: size}
}

func (i item) samePartition(next item) bool {
	return next.sarama != nil && i.sarama.Partition == next.sarama.Partition && i.sarama.Topic == next.sarama.Topic
}

// buffer holds items between the partitions and the batches.
type buffer struct {
	most    int // bytes, the last item reaching beyond
	mu      sync.Mutex
	items   []item
	bytes   int
	changed chan struct{} // closed and made anew at each change
}

func newBuffer(most int) *buffer { return &buffer{most: most, changed: make(chan struct{})} }

// add appends an item, waiting while the buffer is full.
func (b *buffer) add(ctx context.Context, i item) {
	for {
		b.mu.Lock()
		if b.bytes < b.most {
			b.items, b.bytes = append(b.items, i), b.bytes+i.size
			if len(b.items) == 1 {
				b.signal()
			}
			b.mu.Unlock()
			return
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// take removes a batch, waiting for a first item; it is empty when ctx ends.
func (b *buffer) take(ctx context.Context) []item {
	for {
		b.mu.Lock()
		if len(b.items) > 0 {
			batch := b.remove()
			b.mu.Unlock()
			return batch
		}
		changed := b.changed
		b.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// takeFull removes a batch if there is a full one, and does not wait.
func (b *buffer) takeFull() []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) < batchRecords && b.bytes < batchBytes {
		return nil
	}
	return b.remove()
}

// remove removes a batch of at least one item. The mutex is held.
func (b *buffer) remove() []item {
	n, size := 0, 0
	for n < len(b.items) && n < batchRecords && (n == 0 || size+b.items[n].size <= batchBytes) {
		size += b.items[n].size
		n++
	}
	batch := b.items[:n:n]
	b.items, b.bytes = b.items[n:], b.bytes-size
	b.signal()
	return batch
}

// signal wakes whoever waits for a change. The mutex is held.
func (b *buffer) signal() {
	close(b.changed)
	b.changed = make(chan struct{})
}
