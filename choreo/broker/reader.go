package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"troupe/choreo/wire"
)

// Reader reads topic partitions without a group.
type Reader struct{ config Config }

// NewReader makes a reader, which connects for each read.
func NewReader(c Config) *Reader { return &Reader{c} }

// ReadFrom gives each record from the offset on, or from the first where that
// offset is gone, up to the end that the partition has now. An error of each
// ends the read.
func (r *Reader) ReadFrom(ctx context.Context, topic string, partition int32, offset int64, each func(*wire.Record) error) (err error) {
	client, err := sarama.NewClient(r.config.Brokers, r.config.client())
	if err != nil {
		return fmt.Errorf("reaching Kafka at %v: %w", r.config.Brokers, err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	name := r.config.topic(topic)
	first, err := client.GetOffset(name, partition, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	end, err := client.GetOffset(name, partition, sarama.OffsetNewest)
	if err != nil {
		return err
	}
	if offset < first || offset > end {
		offset = first
	}
	if offset >= end {
		return nil
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, consumer.Close()) }()
	records, err := consumer.ConsumePartition(name, partition, offset)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	names := map[string]string{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case failed := <-records.Errors():
			return failed
		case m := <-records.Messages():
			if err := each(fromSarama(m, topic, "", names)); err != nil {
				return err
			}
			if m.Offset+1 >= end {
				return nil
			}
		}
	}
}
