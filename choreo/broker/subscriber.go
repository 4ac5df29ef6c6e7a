package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"troupe/choreo/wire"
)

// Subscriber is a Watermill subscriber of one consumer group: one member, with
// a client of its own, follows all topics of the consumer. Records of one
// partition come one after another; one that is nacked comes again, so that the
// order of a partition is kept. A record that is no event comes like any other.
type Subscriber struct {
	config Config
	group  string
	joined atomic.Bool

	closing   context.Context
	close     context.CancelFunc
	consuming sync.WaitGroup
}

// NewSubscriber makes a subscriber of the group, which connects in Subscribe.
func NewSubscriber(c Config, group string) *Subscriber {
	s := &Subscriber{config: c, group: group}
	s.closing, s.close = context.WithCancel(context.Background())
	return s
}

// Joined tells whether the member has its partitions now. A running router
// does not say that.
func (s *Subscriber) Joined() bool { return s.joined.Load() }

// Subscribe joins the group for a comma-separated list of topics. The channel
// is closed when ctx ends or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, topics string) (<-chan *message.Message, error) {
	c := s.config.client()
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Interval = time.Second
	c.Consumer.Group.Session.Timeout = 10 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 3 * time.Second
	c.Consumer.Group.Rebalance.Retry.Backoff = 250 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategySticky()}
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
			if err != nil && ctx.Err() == nil {
				s.config.Log.Warn("the session of a group ended", "group", s.group, "error", err)
				pause(ctx, time.Second)
			}
		}
		if err := errors.Join(group.Close(), client.Close()); err != nil && !errors.Is(err, sarama.ErrClosedClient) {
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
	out    chan *message.Message
	ids    map[string]string // topic ids, read at each session's start
}

// Setup notes the ids of the topics: one that was deleted and made again has
// another.
func (m *member) Setup(sarama.ConsumerGroupSession) error {
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
	m.joined.Store(true)
	return nil
}

// Cleanup ends a session.
func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.joined.Store(false)
	return nil
}

// ConsumeClaim hands on the records of one partition, each once the one before
// is acknowledged.
func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-session.Context().Done():
			return nil
		case record, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			if !m.deliver(session.Context(), record) {
				return nil
			}
			session.MarkMessage(record, "")
		}
	}
}

// deliver sends a record until it is acknowledged; false when the session ends
// first.
func (m *member) deliver(ctx context.Context, record *sarama.ConsumerMessage) bool {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		msg := m.message(record)
		msg.SetContext(ctx)
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

func (m *member) message(record *sarama.ConsumerMessage) *message.Message {
	msg := message.NewMessage(fmt.Sprintf("%s/%d/%d", record.Topic, record.Partition, record.Offset), record.Value)
	for _, h := range record.Headers {
		msg.Metadata[string(h.Key)] = string(h.Value)
	}
	msg.Metadata[wire.Key] = string(record.Key)
	msg.Metadata[wire.Topic] = strings.TrimPrefix(record.Topic, m.config.Prefix)
	msg.Metadata[wire.TopicID] = m.ids[record.Topic]
	msg.Metadata[wire.Partition] = strconv.Itoa(int(record.Partition))
	msg.Metadata[wire.Offset] = strconv.FormatInt(record.Offset, 10)
	msg.Metadata[wire.Timestamp] = record.Timestamp.UTC().Format(time.RFC3339Nano)
	return msg
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
