package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"

	"troupe/choreo/wire"
)

// Reader reads topic partitions without a group. It is safe for concurrent use,
// and connects when it is first asked.
type Reader struct {
	config Config

	mu     sync.Mutex
	client sarama.Client // nil while it is not connected
}

// NewReader makes a reader.
func NewReader(c Config) *Reader { return &Reader{config: c} }

// connected is the reader's client, connected anew after an error.
func (r *Reader) connected() (sarama.Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil && !r.client.Closed() {
		return r.client, nil
	}
	c := r.config.client()
	c.Metadata.Retry.Max = 1
	c.Net.DialTimeout, c.Net.ReadTimeout = 5*time.Second, 15*time.Second
	client, err := sarama.NewClient(r.config.Brokers, c)
	if err != nil {
		return nil, fmt.Errorf("reaching Kafka at %v: %w", r.config.Brokers, err)
	}
	r.client = client
	return client, nil
}

// failed drops a connection that gave an error.
func (r *Reader) failed(client sarama.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = client.Close() // it may be closed, or gone
	if r.client == client {
		r.client = nil
	}
}

// Close disconnects.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client == nil || r.client.Closed() {
		return nil
	}
	return r.client.Close()
}

// End is the offset behind the last record of a topic partition.
type End struct {
	Topic     string
	TopicID   string // of this incarnation of the topic
	Partition int32
	Offset    int64
}

// Ends tells where the partitions of these topics end. Topics that are not there,
// and partitions that cannot be read now, are left out.
func (r *Reader) Ends(ctx context.Context, topics []string) ([]End, error) {
	if len(topics) == 0 {
		return nil, nil // Kafka would take it for all there are
	}
	client, err := r.connected()
	if err != nil {
		return nil, err
	}
	ends, err := r.ends(ctx, client, topics)
	if err != nil {
		r.failed(client)
		return nil, fmt.Errorf("asking Kafka where topics end: %w", err)
	}
	return ends, nil
}

func (r *Reader) ends(ctx context.Context, client sarama.Client, topics []string) (ends []End, err error) {
	anyone := client.LeastLoadedBroker()
	if anyone == nil {
		return nil, sarama.ErrOutOfBrokers
	}
	names := make([]string, len(topics))
	logical := map[string]string{}
	for i, t := range topics {
		names[i] = r.config.topic(t)
		logical[names[i]] = t
	}
	request := sarama.NewMetadataRequest(client.Config().Version, names)
	request.AllowAutoTopicCreation = false
	described, err := anyone.GetMetadata(request)
	if err != nil {
		return nil, err
	}
	asked := map[int32]*sarama.OffsetRequest{} // by leader
	leaders := map[int32]*sarama.Broker{}
	for _, t := range described.Topics {
		if !errors.Is(t.Err, sarama.ErrNoError) {
			continue
		}
		for _, p := range t.Partitions {
			leader, err := client.Leader(t.Name, p.ID)
			if err != nil {
				continue // this one alone cannot be read now
			}
			if asked[leader.ID()] == nil {
				asked[leader.ID()], leaders[leader.ID()] = sarama.NewOffsetRequest(client.Config().Version), leader
			}
			asked[leader.ID()].AddBlock(t.Name, p.ID, sarama.OffsetNewest, 1)
			ends = append(ends, End{Topic: logical[t.Name], TopicID: uuid.UUID(t.Uuid).String(), Partition: p.ID, Offset: -1})
		}
	}
	for id, request := range asked {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		answer, err := leaders[id].GetAvailableOffsets(request)
		if err != nil {
			return nil, err
		}
		for i := range ends {
			block := answer.GetBlock(r.config.topic(ends[i].Topic), ends[i].Partition)
			if block == nil {
				continue // another leader's
			}
			if errors.Is(block.Err, sarama.ErrNoError) {
				ends[i].Offset = block.Offset
			} else if err := client.RefreshMetadata(r.config.topic(ends[i].Topic)); err != nil {
				return nil, err // it has another leader by now
			}
		}
	}
	return slices.DeleteFunc(ends, func(e End) bool { return e.Offset < 0 }), nil
}

// ReadFrom gives each record from the offset on, or from the first where that
// offset is gone, up to the end that the partition has now. An error of each
// ends the read.
func (r *Reader) ReadFrom(ctx context.Context, topic string, partition int32, offset int64, each func(*wire.Record) error) error {
	client, err := r.connected()
	if err != nil {
		return err
	}
	name := r.config.topic(topic)
	var first, end int64
	err = led(ctx, client, name, func() (err error) {
		if first, err = client.GetOffset(name, partition, sarama.OffsetOldest); err == nil {
			end, err = client.GetOffset(name, partition, sarama.OffsetNewest)
		}
		return err
	})
	if err != nil {
		r.failed(client)
		return err
	}
	if offset < first || offset > end {
		offset = first
	}
	from := newReading(topic, "")
	for offset < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		var records []*sarama.ConsumerMessage
		var next int64
		err := led(ctx, client, name, func() (err error) {
			records, next, err = fetch(client, name, partition, offset)
			return err
		})
		if err != nil {
			r.failed(client)
			return fmt.Errorf("reading %s/%d from offset %d: %w", topic, partition, offset, err)
		}
		for _, m := range records {
			if err := each(from.record(m)); err != nil {
				return err
			}
		}
		offset = next
	}
	return nil
}

// led asks again, for most of a second, while a topic has no leader that says it
// is one: it was just made, or its broker has just come back.
func led(ctx context.Context, client sarama.Client, name string, ask func() error) error {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := ask()
		if !leaderless(err) || wait > 400*time.Millisecond {
			return err
		}
		pause(ctx, wait)
		if ctx.Err() != nil {
			return err
		}
		if failed := client.RefreshMetadata(name); failed != nil && !leaderless(failed) {
			return failed
		}
	}
}

func leaderless(err error) bool {
	for _, passing := range []sarama.KError{sarama.ErrNotLeaderForPartition, sarama.ErrLeaderNotAvailable, sarama.ErrReplicaNotAvailable,
		sarama.ErrUnknownTopicOrPartition, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrOffsetNotAvailable} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// fetch reads what one request gives, and tells where to go on. It asks the
// broker itself: a sarama consumer does not say how far it is, and what ends with
// the mark of a transaction would be waited for in vain.
func fetch(client sarama.Client, name string, partition int32, offset int64) (records []*sarama.ConsumerMessage, next int64, err error) {
	leader, err := client.Leader(name, partition)
	if err != nil {
		return nil, offset, err
	}
	request := &sarama.FetchRequest{Version: 11, MinBytes: 1, MaxWaitTime: 500, MaxBytes: 8 << 20, SessionEpoch: -1}
	request.AddBlock(name, partition, offset, 4<<20, -1)
	answer, err := leader.Fetch(request)
	if err != nil {
		return nil, offset, err
	}
	block := answer.GetBlock(name, partition)
	if block == nil {
		return nil, offset, sarama.ErrIncompleteResponse
	}
	if !errors.Is(block.Err, sarama.ErrNoError) {
		return nil, offset, block.Err
	}
	next = offset
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil {
			return nil, offset, errors.New("it holds records in a format from before Kafka 0.11")
		}
		if batch.PartialTrailingRecord {
			break
		}
		next = max(next, batch.LastOffset()+1)
		if batch.Control {
			continue
		}
		for _, m := range batch.Records {
			at := batch.FirstOffset + m.OffsetDelta
			if at < offset {
				continue // the batch begins before it
			}
			stamp := batch.FirstTimestamp.Add(m.TimestampDelta)
			if batch.LogAppendTime {
				stamp = batch.MaxTimestamp
			}
			records = append(records, &sarama.ConsumerMessage{Topic: name, Partition: partition, Offset: at, Key: m.Key, Value: m.Value,
				Headers: m.Headers, Timestamp: stamp})
		}
	}
	if next == offset {
		return nil, offset, errors.New("the broker gives nothing, though there should be something")
	}
	return records, next, nil
}

// Follow gives each record that comes to the topics from now on, until ctx ends or
// each fails. It is in no group, and moves no offset.
func Follow(ctx context.Context, c Config, topics []string, each func(*wire.Record) error) (err error) {
	client, err := sarama.NewClient(c.Brokers, c.client())
	if err != nil {
		return fmt.Errorf("reaching Kafka at %v: %w", c.Brokers, err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer func() {
		cancel()
		reading.Wait()
		err = errors.Join(err, consumer.Close(), client.Close())
	}()
	records := make(chan *wire.Record)
	for _, topic := range topics {
		partitions, err := client.Partitions(c.topic(topic))
		if err != nil {
			return fmt.Errorf("reading topic %s: %w", c.topic(topic), err)
		}
		for _, n := range partitions {
			p, err := consumer.ConsumePartition(c.topic(topic), n, sarama.OffsetNewest)
			if err != nil {
				return fmt.Errorf("reading %s/%d: %w", c.topic(topic), n, err)
			}
			reading.Go(func() {
				defer p.AsyncClose()
				from := newReading(topic, "")
				for {
					select {
					case m := <-p.Messages():
						select {
						case records <- from.record(m):
						case <-ctx.Done():
							return
						}
					case <-ctx.Done():
						return
					}
				}
			})
		}
	}
	for {
		select {
		case r := <-records:
			if err := each(r); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Partitions counts the partitions of those of the topics that are there.
func Partitions(ctx context.Context, c Config, topics []string) (map[string]int, error) {
	client, done := c.admin()
	defer done()
	return partitionsOf(ctx, client, c, topics)
}
