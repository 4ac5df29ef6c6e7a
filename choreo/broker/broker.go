// Package broker reaches Kafka: a Watermill publisher and subscriber over
// sarama, and the administration of topics over kafka-go. Names of topics and
// groups are logical here; Config.Prefix stands before them on the broker.
package broker

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
)

// Config says which broker, and what stands before the names of our topics and
// groups there.
type Config struct {
	Brokers []string
	Prefix  string
	Log     *slog.Logger

	// Instance is a name that no other process has, of letters, digits, dots, dashes
	// and underscores. Killed and started again with it, a process has its partitions
	// back at once. Without one others have them when its session has run out, 10 s
	// later at most.
	Instance string
}

// client is the base of every sarama configuration. MaxWaitTime sets the idle
// CPU and bounds the stop, not the latency; Metadata.Full would fetch every
// topic of the cluster.
func (c Config) client() *sarama.Config {
	s := sarama.NewConfig()
	s.ClientID = "troupe"
	s.Version = sarama.V3_0_0_0
	s.Metadata.Full = false
	s.Metadata.AllowAutoTopicCreation = false
	s.Consumer.MaxWaitTime = 500 * time.Millisecond
	s.Consumer.Return.Errors = true
	return s
}

func (c Config) topic(name string) string { return c.Prefix + name }

// Check tells whether the broker answers.
func (c Config) Check() error {
	client, err := sarama.NewClient(c.Brokers, c.client())
	if err != nil {
		return fmt.Errorf("reaching Kafka at %v: %w", c.Brokers, err)
	}
	return client.Close()
}
