package broker

import (
	"context"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo/wire"
)

// Batch is what one Watermill message of ours carries: records in the order of
// their partitions, and partitions that were read to their end.
type Batch struct {
	Records []*wire.Record
	Tails   []Tail

	ready    chan struct{} // closed when prepared is there; nil where nothing was made ready
	prepared any
}

// Prepared is what Subscriber.Ahead made of the records, once: nil where it was
// not called, and when the batch comes again.
func (b *Batch) Prepared() any {
	if b.ready == nil {
		return nil
	}
	<-b.ready
	p := b.prepared
	b.prepared = nil
	return p
}

// Tail says that a consumer has been given all of a partition there is.
type Tail struct {
	Topic     string
	Partition int32
}

type batchKey struct{}

// NewMessage wraps a batch. Its payload is empty: the records travel beside it.
func NewMessage(ctx context.Context, b *Batch) *message.Message {
	m := message.NewMessage(watermill.NewShortUUID(), nil)
	m.SetContext(context.WithValue(ctx, batchKey{}, b))
	return m
}

// BatchOf is the batch of a message made by NewMessage, an empty one for others.
func BatchOf(m *message.Message) *Batch {
	if b, ok := m.Context().Value(batchKey{}).(*Batch); ok {
		return b
	}
	return &Batch{}
}
