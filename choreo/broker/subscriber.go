package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"troupe/choreo/wire"
)

// What a batch holds at most: whatever is there is taken at once, never waiting
// to fill. What is read ahead of the batch under way is bounded too.
const (
	batchRecords = 2000
	batchBytes   = 1 << 20
	bufferBytes  = 16 << 20
)

// partitionsEvery is how often it is looked whether a topic has grown.
const partitionsEvery = 5 * time.Second

// tailEvery is how often a consumer at the end of a partition is told so.
const tailEvery = 5 * time.Second

// Subscriber is a Watermill subscriber of one consumer group: one member, with
// a client of its own, follows all topics of the consumer and hands on one
// message per batch. A batch that is nacked comes again before anything of its
// partitions, so that their order is kept. A record that is no event comes like
// any other.
type Subscriber struct {
	config   Config
	group    string
	parallel bool
	joined   atomic.Bool

	// Ahead, where it is set before Subscribe, makes ready the records of a full
	// merged batch while the one before it is under way.
	Ahead func([]*wire.Record) any

	closing   context.Context
	close     context.CancelFunc
	consuming sync.WaitGroup
	failed    chan error
}

// NewSubscriber makes a subscriber of the group, which connects in Subscribe.
// Batches are merged over the partitions and come one at a time; a parallel
// one gives a batch per partition side by side.
func NewSubscriber(c Config, group string, parallel bool) *Subscriber {
	s := &Subscriber{config: c, group: group, parallel: parallel, failed: make(chan error, 1)}
	s.closing, s.close = context.WithCancel(context.Background())
	return s
}

// Joined tells whether the member has its partitions now. A running router
// does not say that.
func (s *Subscriber) Joined() bool { return s.joined.Load() }

// Failed gives the error after which it cannot go on: another process has taken
// its place with the same Config.Instance.
func (s *Subscriber) Failed() <-chan error { return s.failed }

// Subscribe joins the group for a comma-separated list of topics. The channel
// is closed when ctx ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, topics string) (<-chan *message.Message, error) {
	c := s.config.client()
	c.Metadata.RefreshFrequency = partitionsEvery
	c.ChannelBufferSize = 2 * batchRecords
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = time.Second
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 3 * time.Second
	c.Consumer.Group.Rebalance.Retry.Backoff = 250 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
	if s.config.Instance != "" {
		c.Consumer.Group.InstanceId = s.config.instanceID(s.group, topics)
	}
	client, err := sarama.NewClient(s.config.Brokers, c)
	if err != nil {
		return nil, fmt.Errorf("connecting group %s to Kafka at %v: %w", s.group, s.config.Brokers, err)
	}
	group, err := sarama.NewConsumerGroupFromClient(s.config.Prefix+s.group, client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("joining group %s: %w", s.group, err), client.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	m := &member{Subscriber: s, client: client, out: make(chan *message.Message), ids: map[string]string{}}
	for name := range strings.SplitSeq(topics, ",") {
		m.topics = append(m.topics, s.config.topic(name))
	}
	s.consuming.Go(func() {
		for err := range group.Errors() {
			s.config.Log.Warn("consuming", "group", s.group, "error", err)
		}
	})
	s.consuming.Go(func() {
		defer close(m.out)
		defer stop()
		for ctx.Err() == nil {
			err := group.Consume(ctx, m.topics, m)
			s.joined.Store(false)
			if errors.Is(err, sarama.ErrFencedInstancedId) {
				s.failed <- s.fenced(err)
				break
			}
			if err != nil && ctx.Err() == nil {
				s.config.Log.Warn("the session of a group ended", "group", s.group, "error", err)
				pause(ctx, time.Second)
			}
		}
		if err := errors.Join(group.Close(), m.leave(), client.Close()); err != nil && !errors.Is(err, sarama.ErrClosedClient) {
			s.config.Log.Warn("leaving a group", "group", s.group, "error", err)
		}
	})
	return m.out, nil
}

// Close leaves the group and waits for that.
func (s *Subscriber) Close() error {
	s.close()
	s.consuming.Wait()
	return nil
}

// member is one subscription, as sarama calls it back.
type member struct {
	*Subscriber
	client sarama.Client
	topics []string
	id     string // of the member, as the group gave it
	out    chan *message.Message
	ids    map[string]string // topic ids, read at each session's start

	room   int           // for what is read ahead of one partition where batches are parallel
	merged *buffer       // of this session; nil where batches are parallel
	ended  chan struct{} // closed when the session's merged batches have ended
}

// Setup notes the ids of the topics: one that was deleted and made again has
// another.
func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.id = session.MemberID()
	admin, err := sarama.NewClusterAdminFromClient(m.client)
	if err != nil {
		return err
	}
	topics, err := admin.DescribeTopics(m.topics)
	if err != nil {
		return fmt.Errorf("describing %v: %w", m.topics, err)
	}
	for _, t := range topics {
		m.ids[t.Name] = uuid.UUID(t.Uuid).String()
	}
	if !m.parallel {
		m.merged, m.ended = newBuffer(bufferBytes), make(chan struct{})
		go func() {
			defer close(m.ended)
			m.handOn(session, m.merged)
		}()
	}
	claims := 0
	for _, partitions := range session.Claims() {
		claims += len(partitions)
	}
	m.room = max(bufferBytes/max(claims, 1), 2*batchBytes)
	m.joined.Store(true)
	return nil
}

// Cleanup ends a session, after its batch under way.
func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.joined.Store(false)
	if !m.parallel {
		<-m.ended
	}
	return nil
}

// ConsumeClaim buffers the records of one partition, for the merged batches or
// for its own.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	to := m.merged
	if m.parallel {
		to = newBuffer(m.room)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.handOn(session, to)
		}()
		defer func() { <-ended }()
	}
	// A partition that gave nothing for a while is at its end, as far as Kafka
	// goes. Taken too early that does no harm: what is then read from the log
	// and comes on Kafka after all is dropped below the watermark.
	idle := true
	from := newReading(m.logical(claim.Topic()), m.ids[claim.Topic()])
	tail := time.NewTimer(tailEvery / 5)
	defer tail.Stop()
	for {
		select {
		case <-session.Context().Done():
			return nil
		case record, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			idle = false
			to.add(session.Context(), newItem(record, from.record(record)))
		case <-tail.C:
			if idle {
				to.add(session.Context(), item{tail: &Tail{from.topic, claim.Partition()}})
			}
			idle = true
			tail.Reset(tailEvery)
		}
	}
}

// handOn gives batch after batch until the session ends.
func (m *member) handOn(session sarama.ConsumerGroupSession, from *buffer) {
	ctx := session.Context()
	var items []item
	var b *Batch
	for {
		if len(items) == 0 {
			items = from.take(ctx)
			b = batchOf(items)
		}
		if len(items) == 0 {
			return
		}
		next, nextBatch := m.makeReady(from)
		if !m.deliver(ctx, b) {
			return
		}
		for n, i := range items { // the last of each run of one partition is enough
			if i.sarama != nil && (n+1 == len(items) || !i.samePartition(items[n+1])) {
				session.MarkMessage(i.sarama, "")
			}
		}
		items, b = next, nextBatch
	}
}

// makeReady begins with the batch after the one that is about to be delivered,
// where it is full already: taken so early, it would otherwise stay small.
func (m *member) makeReady(from *buffer) ([]item, *Batch) {
	if m.parallel || m.Ahead == nil {
		return nil, nil
	}
	items := from.takeFull()
	if len(items) == 0 {
		return nil, nil
	}
	b := batchOf(items)
	b.ready = make(chan struct{})
	go func() {
		defer close(b.ready)
		b.prepared = m.Ahead(b.Records)
	}()
	return items, b
}

func batchOf(items []item) *Batch {
	b := &Batch{}
	for _, i := range items {
		if i.tail != nil {
			b.Tails = append(b.Tails, *i.tail)
		} else {
			b.Records = append(b.Records, i.record)
		}
	}
	return b
}

// deliver sends a batch until it is acknowledged; false when the session ends
// first.
func (m *member) deliver(ctx context.Context, b *Batch) bool {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		msg := NewMessage(ctx, b)
		select {
		case m.out <- msg:
		case <-ctx.Done():
			return false
		}
		select {
		case <-msg.Acked():
			return true
		case <-msg.Nacked():
			pause(ctx, wait/2+rand.N(wait/2))
		case <-ctx.Done():
			return false
		}
	}
}

// logical is the name of a topic without our prefix.
func (m *member) logical(topic string) string { return strings.TrimPrefix(topic, m.config.Prefix) }

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
