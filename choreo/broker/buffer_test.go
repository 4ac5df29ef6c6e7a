package broker

import (
	"testing"

	"troupe/choreo/wire"
)

// What waits is taken early only where it fills a batch, and in order.
func TestABatchIsTakenEarlyOnlyWhenItIsFull(t *testing.T) {
	t.Parallel()
	b := newBuffer(bufferBytes)
	add := func(n, size int) {
		for range n {
			r := &wire.Record{Offset: int64(len(b.items)), Value: make([]byte, size)}
			b.add(t.Context(), newItem(nil, r))
		}
	}
	add(batchRecords-1, 1)
	if early := b.takeFull(); early != nil {
		t.Fatalf("%d items were taken of a batch that is not full", len(early))
	}
	add(2, 1)
	early := b.takeFull()
	if len(early) != batchRecords {
		t.Fatalf("%d items were taken early, want %d", len(early), batchRecords)
	}
	for i, at := range early {
		if at.record.Offset != int64(i) {
			t.Fatalf("item %d has offset %d", i, at.record.Offset)
		}
	}
	add(2, batchBytes+1)
	if early = b.takeFull(); len(early) != 1 {
		t.Errorf("%d items were taken, want the one before those that fill a batch each", len(early))
	}
	if late := b.take(t.Context()); len(late) != 1 || late[0].size <= batchBytes {
		t.Errorf("an item larger than a batch does not come alone")
	}
}
