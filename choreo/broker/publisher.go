package broker

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"troupe/choreo/wire"
)

// Publisher is a Watermill publisher of records that know their partition: it
// sends a slice of messages at once, idempotent and acknowledged by all
// replicas. It is safe for concurrent use.
type Publisher struct {
	config   Config
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
	producer, err := sarama.NewSyncProducer(c.Brokers, s)
	if err != nil {
		return nil, fmt.Errorf("connecting a producer to Kafka at %v: %w", c.Brokers, err)
	}
	return &Publisher{config: c, producer: producer}, nil
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

// Publish sends the messages; where some did not arrive, the error wraps a
// *FailedError.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	records := make([]*sarama.ProducerMessage, len(messages))
	for i, m := range messages {
		partition, err := strconv.ParseInt(m.Metadata[wire.Partition], 10, 32)
		if err != nil {
			return fmt.Errorf("message %s has no partition: %w", m.UUID, err)
		}
		at, _ := time.Parse(time.RFC3339Nano, m.Metadata[wire.Timestamp]) // the zero time is the broker's
		r := &sarama.ProducerMessage{
			Topic: p.config.topic(topic), Partition: int32(partition), Timestamp: at, Metadata: i,
			Key: sarama.StringEncoder(m.Metadata[wire.Key]), Value: sarama.ByteEncoder(m.Payload),
		}
		for name, value := range m.Metadata {
			if wire.IsHeader(name) {
				r.Headers = append(r.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
			}
		}
		records[i] = r
	}
	err := p.producer.SendMessages(records)
	var failed sarama.ProducerErrors
	if errors.As(err, &failed) {
		at := map[int]error{}
		for _, f := range failed {
			at[f.Msg.Metadata.(int)] = f.Err
		}
		return fmt.Errorf("topic %s: %w", topic, NewFailedError(at))
	}
	return err
}

// Close flushes and disconnects.
func (p *Publisher) Close() error { return p.producer.Close() }
