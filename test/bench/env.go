package main

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/lib/pq"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"troupe/choreo/embedded"
)

// bench is where the runs take place: a private Postgres that keeps its
// promises, and a broker.
type bench struct {
	*options
	log      *slog.Logger
	dir      string
	postgres *embedded.Postgres
	kafka    *embedded.Kafka // nil where TROUPE_KAFKA_BROKERS names one
	brokers  []string
	prefix   string // of topics and groups

	brokerName, postgresName string
	worlds                   int
	profile                  *os.File // of the run under way, nil where none is wanted
}

// start starts what is not given.
func start(ctx context.Context, o *options, log *slog.Logger) (_ *bench, err error) {
	b := &bench{options: o, log: log, prefix: fmt.Sprintf("bench-%d-", time.Now().UnixMilli())}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.stop())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "troupe-bench-"); err != nil {
		return nil, err
	}
	if err := b.startPostgres(ctx); err != nil {
		return nil, err
	}
	if given := os.Getenv("TROUPE_KAFKA_BROKERS"); given != "" {
		b.brokers = strings.Split(given, ",")
	} else {
		if b.kafka, err = embedded.StartKafka(embedded.KafkaOptions{}); err != nil {
			return nil, err
		}
		b.brokers = []string{b.kafka.Addr()}
	}
	b.brokerName, err = nameBroker(ctx, b.brokers, b.kafka != nil)
	return b, err
}

// sharedBuffers are a server's that is set up for its memory; 128 MB, as Postgres
// has them at first, do not hold the table of a million accounts and its index.
const sharedBuffers = "1GB"

// startPostgres starts the server with the times of commits noted: latencies
// are taken from these, on both sides, by one clock.
func (b *bench) startPostgres(ctx context.Context) (err error) {
	open := func() error {
		b.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: b.dir, Log: b.log, SharedBuffers: sharedBuffers})
		return err
	}
	if err := open(); err != nil {
		return err
	}
	set := func(pool *sql.DB) error {
		_, err := pool.ExecContext(ctx, `alter system set track_commit_timestamp = on`)
		return err
	}
	if err := b.withPool(set); err != nil {
		return fmt.Errorf("setting up Postgres: %w", err)
	}
	if err := b.postgres.Stop(ctx); err != nil {
		return err
	}
	if err := open(); err != nil {
		return err
	}
	return b.withPool(func(pool *sql.DB) error {
		var fsync, tracked, buffers string
		err := pool.QueryRowContext(ctx, `select current_setting('server_version'), current_setting('fsync'),
			current_setting('track_commit_timestamp'), current_setting('shared_buffers')`).Scan(&b.postgresName, &fsync, &tracked, &buffers)
		b.postgresName += ", shared_buffers " + buffers
		if err == nil && (fsync != "on" || tracked != "on") {
			err = fmt.Errorf("fsync is %s and track_commit_timestamp %s", fsync, tracked)
		}
		return err
	})
}

func (b *bench) withPool(fn func(*sql.DB) error) error {
	pool, err := sql.Open("postgres", b.postgres.URL())
	if err != nil {
		return err
	}
	return errors.Join(fn(pool), pool.Close())
}

// stop ends what start started and removes what is on disk.
func (b *bench) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var errs []error
	if b.postgres != nil {
		errs = append(errs, b.postgres.Stop(ctx))
	}
	if b.kafka != nil {
		errs = append(errs, b.kafka.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(b.dir))...)
}

// world is the database and the topics of one row.
type world struct {
	*bench
	url    string
	pool   *sql.DB // for what is not measured
	prefix string
	name   string
	grown  bool
	topics []string // made here, to be removed
}

// newWorld makes an empty database.
func (b *bench) newWorld(ctx context.Context, grown bool) (*world, error) {
	b.worlds++
	w := &world{bench: b, grown: grown, name: fmt.Sprintf("bench_%d", b.worlds), prefix: fmt.Sprintf("%s%d-", b.prefix, b.worlds)}
	if err := b.withPool(func(pool *sql.DB) error {
		_, err := pool.ExecContext(ctx, `create database `+pq.QuoteIdentifier(w.name))
		return err
	}); err != nil {
		return nil, fmt.Errorf("making a database: %w", err)
	}
	u, err := url.Parse(b.postgres.URL())
	if err != nil {
		return nil, err
	}
	u.Path = "/" + w.name
	w.url = u.String()
	w.pool, err = w.openPool()
	return w, err
}

// openPool opens a pool such as either side gets.
func (w *world) openPool() (*sql.DB, error) {
	pool, err := sql.Open("postgres", w.url)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	return pool, nil
}

// close removes the database and the topics.
func (w *world) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	errs := []error{w.pool.Close()}
	errs = append(errs, w.withPool(func(pool *sql.DB) error {
		_, err := pool.ExecContext(ctx, `drop database `+pq.QuoteIdentifier(w.name)+` with (force)`)
		return err
	}))
	return errors.Join(append(errs, w.deleteTopics(ctx))...)
}

func (w *world) deleteTopics(ctx context.Context) error {
	if len(w.topics) == 0 {
		return nil
	}
	_, err := w.client().DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: w.topics})
	return err
}

func (b *bench) client() *kafka.Client {
	return &kafka.Client{Addr: kafka.TCP(b.brokers...), Timeout: 30 * time.Second}
}

// topic makes a topic of the stock side; its full name is returned.
func (w *world) topic(ctx context.Context, name string) (string, error) {
	full := w.prefix + name
	made, err := w.client().CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{
		{Topic: full, NumPartitions: eventPartitions, ReplicationFactor: -1}}})
	if err == nil {
		err = made.Errors[full]
	}
	if err != nil {
		return "", fmt.Errorf("making topic %s: %w", full, err)
	}
	w.topics = append(w.topics, full)
	return full, nil
}

// forget removes what a consumer group knows, so that it begins anew.
func (w *world) forget(ctx context.Context, group string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrDeleteGroupsRequest()
	request.Groups = []string{w.prefix + group}
	// The coordinator of a broker that has just started is not ready at once.
	return awaitEvery(ctx, 100*time.Millisecond, "the coordinator of "+group, func() (bool, error) {
		answer, err := request.RequestWith(ctx, client)
		if kerr.IsRetriable(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("resetting group %s: %w", group, err)
		}
		for _, g := range answer.Groups {
			err := kerr.ErrorForCode(g.ErrorCode)
			if kerr.IsRetriable(err) {
				return false, nil
			}
			if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
				return false, fmt.Errorf("resetting group %s: %w", group, err)
			}
		}
		return true, nil
	})
}

// nameBroker says what the figures were taken on.
func nameBroker(ctx context.Context, brokers []string, inside bool) (string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return "", fmt.Errorf("asking Kafka at %v for its version: %w", brokers, err)
	}
	if inside {
		return "embedded (kfake), in the benchmark's own process", nil
	}
	version := strings.TrimPrefix(kversion.FromApiVersionsResponse(answer).VersionGuess(), "v")
	return fmt.Sprintf("Apache Kafka %s, %d broker(s)", version, len(client.SeedBrokers())), nil
}

// machine says what the figures were taken on.
func machine() string {
	model := firstOf("/proc/cpuinfo", "model name")
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.Join(strings.Fields(fmt.Sprintf("%d cores %s, %s memory, %s %s, %s",
		runtime.NumCPU(), model, firstOf("/proc/meminfo", "MemTotal"), runtime.GOOS, kernel, runtime.Version())), " ")
}

// firstOf is the value of the first line of a file that has the name, empty
// where the system has no such file.
func firstOf(file, name string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close() //nolint:errcheck // it was only read
	for s := bufio.NewScanner(f); s.Scan(); {
		if before, after, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(before) == name {
			return strings.TrimSpace(after)
		}
	}
	return ""
}
