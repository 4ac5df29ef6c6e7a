package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kversion"
)

// KafkaOptions says where the embedded broker listens and keeps its data.
type KafkaOptions struct {
	// Addr is the host:port to listen on and to tell clients; port 0 picks a
	// free one. Empty means 127.0.0.1:0.
	Addr string
	// Dir keeps topics, records and group offsets. Empty keeps them in memory.
	Dir string
	Log *slog.Logger // nil discards
}

// Kafka is a broker inside this process.
//
// With a Dir, what the broker has acknowledged is with the operating system: it
// survives a kill -9 of this process, but not a loss of power. So do topics,
// their ids and settings, and group offsets. After a kill -9 (not after
// [Kafka.Close]) these are lost:
//   - the last sequence numbers of idempotent producers: a producer in another
//     process that repeats a batch over the crash may write it twice;
//   - group members: they join anew, and wait for nobody;
//   - where delete-records cut inside a batch: the whole batch is back.
//
// However it ended, a partition that delete-records has emptied begins again at
// offset 0, under the same topic id. So that nothing else empties one, records
// are kept for ever, whatever a topic's retention.ms says. All are read at
// start, which takes about a second per GB.
type Kafka struct {
	addr    string
	cluster *kfake.Cluster
	release func()
	once    sync.Once
}

// StartKafka starts a broker; it is ready when StartKafka returns. It creates no
// topic by itself. Its error is [ErrInUse] when a live process has the Dir.
func StartKafka(o KafkaOptions) (*Kafka, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	k := &Kafka{release: func() {}}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("troupe"),
		kfake.MaxVersions(stockToolVersions()),
		// How often retention is applied, in ms: in ten years. See Kafka.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "315360000000"}),
		// kfake can be told a port but not a host.
		kfake.ListenFn(func(network, _ string) (net.Listener, error) { return net.Listen(network, o.Addr) }),
	}
	if o.Log != nil {
		opts = append(opts, kfake.WithLogger(kafkaLog{o.Log}))
	}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("making the embedded Kafka's directory: %w", err)
		}
		release, err := lockDir(o.Dir) // two brokers would corrupt each other's files
		if err != nil {
			return nil, fmt.Errorf("starting the embedded Kafka: %w", err)
		}
		k.release = release
		opts = append(opts, kfake.DataDir(o.Dir))
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		k.release()
		if _, ok := errors.AsType[*net.OpError](err); ok {
			return nil, fmt.Errorf("starting the embedded Kafka on %s: %w (choose another address)", o.Addr, err)
		}
		return nil, fmt.Errorf("starting the embedded Kafka: %w", err)
	}
	k.cluster, k.addr = cluster, cluster.ListenAddrs()[0]
	if o.Dir != "" {
		// Close writes the producers' sequence numbers, and kfake has read them by
		// now. After a kill -9 they would be old, and refuse producers that live on.
		_ = os.Remove(filepath.Join(o.Dir, "seq_windows.json"))
	}
	return k, nil
}

// Addr is the host:port that clients bootstrap from.
func (k *Kafka) Addr() string { return k.addr }

// Close writes what is only in memory and stops. Close the consumers first: a
// member that has not left its group costs a session time-out at the next start.
func (k *Kafka) Close() error {
	k.once.Do(func() {
		k.cluster.Close()
		k.release()
	})
	return nil
}

// stockToolVersions caps the three requests whose newest versions kfake answers
// in a way that the Java command-line tools do not accept.
func stockToolVersions() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(16, 4)  // ListGroups
	v.SetMaxKeyVersion(19, 4)  // CreateTopics
	v.SetMaxKeyVersion(75, -1) // DescribeTopicPartitions
	return v
}

// kafkaLog hands kfake's messages to slog. Its info level is about single
// requests, so it becomes debug.
type kafkaLog struct{ log *slog.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelNone, kfake.LogLevelDebug:
		return
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	ctx := context.Background()
	if l.log.Enabled(ctx, to) {
		l.log.Log(ctx, to, fmt.Sprintf(format, args...), "part", "embedded kafka")
	}
}
