package broker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo/wire"
)

// Publisher is a Watermill publisher of batches whose records know their
// partition: it sends them at once, idempotent and acknowledged by all replicas. It is safe for concurrent use.
type Publisher struct {
	config   Config
	client   sarama.Client
	producer sarama.SyncProducer
}

// NewPublisher connects to the broker.
func NewPublisher(c Config) (*Publisher, error) {
	s := c.client()
	s.Producer.Idempotent = true
	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Return.Successes, s.Producer.Return.Errors = true, true
	s.Producer.Partitioner = sarama.NewManualPartitioner
	s.Producer.MaxMessageBytes = 1 << 20
	s.Producer.Retry.Max, s.Producer.Retry.Backoff = 3, 100*time.Millisecond
	s.Net.MaxOpenRequests = 1
	s.Net.DialTimeout, s.Net.ReadTimeout, s.Net.WriteTimeout = 5*time.Second, 15*time.Second, 15*time.Second
	client, err := sarama.NewClient(c.Brokers, s)
	if err != nil {
		return nil, fmt.Errorf("connecting a producer to Kafka at %v: %w", c.Brokers, err)
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connecting a producer to Kafka at %v: %w", c.Brokers, err), client.Close())
	}
	return &Publisher{config: c, client: client, producer: producer}, nil
}

// FailedError says which messages of one Publish did not arrive, by their
// index; the others did.
type FailedError struct {
	At  map[int]error
	err error
}

// NewFailedError is the error of a Publish whose messages at these indexes did
// not arrive.
func NewFailedError(at map[int]error) *FailedError {
	causes := slices.Collect(maps.Values(at))
	return &FailedError{At: at, err: fmt.Errorf("%d records could not be published: %w", len(at), causes[0])}
}

func (e *FailedError) Error() string { return e.err.Error() }
func (e *FailedError) Unwrap() error { return e.err }

// Publish sends the batches of the messages to the topic, in order, and notes in
// each record the offset that it has there; where some
// records did not arrive, the error wraps a *FailedError, with their indexes
// over all batches of the call.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	var records []*sarama.ProducerMessage
	for _, m := range messages {
		for _, r := range BatchOf(m).Records {
			records = append(records, p.record(topic, r, len(records)))
		}
	}
	err := p.producer.SendMessages(records)
	i := 0
	for _, m := range messages {
		for _, r := range BatchOf(m).Records {
			r.Offset = records[i].Offset // of those that did not arrive it says nothing
			i++
		}
	}
	if failed, ok := errors.AsType[sarama.ProducerErrors](err); ok {
		at, grown := map[int]error{}, false
		for _, f := range failed {
			grown = grown || errors.Is(f.Err, sarama.ErrInvalidPartition)
			at[f.Msg.Metadata.(int)] = f.Err //nolint:forcetypeassert // record put it there
		}
		err := error(NewFailedError(at))
		if grown { // it is published again
			err = errors.Join(err, p.client.RefreshMetadata(p.config.topic(topic)))
		}
		return fmt.Errorf("topic %s: %w", topic, err)
	}
	return err
}

func (p *Publisher) record(topic string, r *wire.Record, index int) *sarama.ProducerMessage {
	m := &sarama.ProducerMessage{
		Topic: p.config.topic(topic), Partition: r.Partition, Timestamp: r.Time, Metadata: index,
		Key: sarama.ByteEncoder(r.Key), Value: sarama.ByteEncoder(r.Value),
		Headers: make([]sarama.RecordHeader, len(r.Headers)),
	}
	for i, h := range r.Headers {
		m.Headers[i] = sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value}
	}
	return m
}

// Close flushes and disconnects.
func (p *Publisher) Close() error { return errors.Join(p.producer.Close(), p.client.Close()) }
