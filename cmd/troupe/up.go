package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"troupe/choreo/embedded"
	"troupe/sandbox"
)

const defaultKafka = "127.0.0.1:9092"

func upCommand() (*cobra.Command, error) {
	c, err := readConfig(config{Embedded: true, HTTP: "127.0.0.1:8080", Kafka: defaultKafka, Data: dataDir(), Connections: 40, LogLevel: 4})
	if err != nil {
		return nil, err
	}
	cmd := &cobra.Command{
		Use: "up", Short: "Run everything in one process", Args: noArgs,
		Long: "Runs the API, the relay, all consumers and the sandbox in one process, on an embedded Kafka broker\n" +
			"and a private Postgres, unless TROUPE_KAFKA_BROKERS or TROUPE_DATABASE_URL name others.\n" +
			"Ctrl-C stops it; the next start goes on where it was.",
		RunE: func(cmd *cobra.Command, _ []string) error { return up(cmd.Context(), c) },
	}
	c.flags(cmd.Flags(), "http", "kafka", "data", "brokers", "prefix", "instance", "partitions", "log-retention", "connections", "max-event-bytes", "max-attachment-bytes", "rate-sign-up", "rate-sign-in", "rate-send-again", "proxies",
		"mail-from", "blobs-url", "blobs-fail-corrupt", "forbidden-tags", "rooms", "sandbox-http", "sandbox-smtp", "sandbox-delay",
		"database-url", "database-direct-url", "views-database-url", "postgres", "staff-token", "token-key", "session-key", "card-key", "payment-key",
		"smtp-url", "payment-url", "carrier-url", "sms-url", "log-level", "log-format")
	return cmd, nil
}

// closers end what was started, the last first.
type closers []func(context.Context) error

func (c *closers) add(f func(context.Context) error) { *c = append(*c, f) }

func (c *closers) close(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var errs []error
	for _, f := range slices.Backward(*c) {
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}

func up(ctx context.Context, c *config) (err error) {
	began := time.Now()
	if c.Data, err = filepath.Abs(c.Data); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("making the data folder (choose another with --data): %w", err)
	}
	if err := c.makeSecrets(c.Data); err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.HTTP)
	if err != nil {
		return fmt.Errorf("listening on %s (choose another with --http): %w", c.HTTP, err)
	}
	defer l.Close() //nolint:errcheck // the server has closed it where it ran
	var end closers
	defer func() { err = errors.Join(err, end.close(3*time.Second)) }()
	if err := startInfrastructure(ctx, c, &end); err != nil {
		return err
	}
	box, err := startSandbox(ctx, c, &end)
	if err != nil {
		return err
	}
	if c.BlobsURL == "" {
		c.BlobsURL, c.FailCorrupt = "file://"+filepath.ToSlash(filepath.Join(c.Data, "blobs")), true
	}
	if c.ForbiddenTag == "" {
		c.ForbiddenTag = "forbidden"
	}
	if c.Rooms == "" {
		c.Rooms = "room-1=9000EUR,room-2=12000EUR,room-3=15000EUR"
	}
	if err := c.writeRunning(); err != nil {
		return err
	}
	a, err := openApp(ctx, c)
	if err != nil {
		return err
	}
	end.add(func(context.Context) error { return a.close() })
	return a.perform(ctx, l, box, began)
}

// startInfrastructure starts what is not given: Postgres and Kafka.
func startInfrastructure(ctx context.Context, c *config, end *closers) error {
	var pg *embedded.Postgres
	var kafka *embedded.Kafka
	g, gctx := errgroup.WithContext(ctx)
	if c.DatabaseURL == "" {
		g.Go(func() (err error) {
			pg, err = embedded.StartPostgres(gctx, embedded.PostgresOptions{Dir: c.postgres(), Binaries: c.Postgres, Log: c.logger()})
			return err
		})
	}
	switch {
	case len(c.Brokers) == 0:
		g.Go(func() (err error) {
			kafka, err = embedded.StartKafka(embedded.KafkaOptions{Addr: c.Kafka, Dir: filepath.Join(c.Data, "kafka"), Log: c.logger()})
			if err != nil {
				return fmt.Errorf("starting the embedded Kafka (choose another address with --kafka): %w", err)
			}
			return nil
		})
	case c.Kafka != defaultKafka:
		fmt.Fprintf(os.Stderr, "troupe: --kafka %s is ignored: TROUPE_KAFKA_BROKERS names %v\n", c.Kafka, c.Brokers)
	}
	err := g.Wait()
	if kafka != nil {
		end.add(func(context.Context) error { return kafka.Close() })
		c.Brokers = []string{kafka.Addr()}
	}
	if pg != nil {
		end.add(pg.Stop)
		c.DatabaseURL = pg.URL()
	}
	return err
}

// startSandbox starts the world outside, over connections of its own, and
// points at it the providers that are not configured.
func startSandbox(ctx context.Context, c *config, end *closers) (*sandbox.Sandbox, error) {
	url, err := databaseURL(c.DatabaseURL)
	if err != nil {
		return nil, err
	}
	var pool *sql.DB
	if pool, err = openPool(ctx, url, 20); err != nil {
		return nil, err
	}
	end.add(func(context.Context) error { return pool.Close() })
	box, err := sandbox.Start(ctx, sandbox.Options{
		Database: pool, SMTPAddr: c.SandboxSMTP, HTTPAddr: c.SandboxHTTP, StaffToken: c.StaffToken,
		PaymentKey: c.PaymentKey, Delay: c.SandboxDelay, Log: c.logger(),
	})
	if err != nil {
		return nil, err
	}
	end.add(box.Close)
	if c.SMTPURL == "" {
		c.SMTPURL = "smtp://" + box.SMTPAddr()
	}
	if c.PaymentURL == "" {
		c.PaymentURL = "http://" + box.HTTPAddr()
	}
	if c.CarrierURL == "" {
		c.CarrierURL = "http://" + box.HTTPAddr() + "/carrier"
	}
	if c.SMSURL == "" {
		c.SMSURL = "http://" + box.HTTPAddr() + "/sms"
	}
	return box, nil
}

// perform migrates, makes topics, and runs all parts until ctx ends.
func (a *app) perform(ctx context.Context, l net.Listener, box *sandbox.Sandbox, began time.Time) error {
	if err := a.migrate(ctx); err != nil {
		return err
	}
	if _, err := a.applyTopics(ctx); err != nil {
		return err
	}
	a.measure()
	consumers, err := a.consumers(nil)
	if err != nil {
		return err
	}
	ready := func(ctx context.Context) error { return errors.Join(a.databaseReady(ctx), consumers.Ready()) }
	server, err := a.api(ready, box.Handler())
	if err != nil {
		return err
	}
	readers, err := a.readers(nil, loopback(l.Addr()))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.runRelay(ctx) })
	g.Go(func() error { return a.runSagas(ctx) })
	g.Go(func() error { return a.runConsumers(ctx, consumers) })
	g.Go(func() error { return serve(ctx, server.HTTPServer(), l) })
	g.Go(func() error { return a.runSchedule(ctx, server) })
	for _, r := range readers {
		g.Go(func() error { return r.Run(ctx) })
	}
	g.Go(func() error {
		for ready(ctx) != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(20 * time.Millisecond):
			}
		}
		a.announce(l.Addr(), box, time.Since(began))
		return nil
	})
	return g.Wait()
}

// announce says where everything is, on standard output.
func (a *app) announce(http net.Addr, box *sandbox.Sandbox, took time.Duration) {
	c := a.config
	fmt.Printf(`Troupe is ready (%.1f s).

  API        http://%[2]s        description: http://%[2]s/docs
  Kafka      %[3]v
  mail       smtp://%[4]s        what came: GET http://%[2]s/sandbox/mail
  payments   http://%[5]s        what came: GET http://%[2]s/sandbox/payments
  carrier    http://%[5]s/carrier        what came: GET http://%[2]s/sandbox/carrier
  SMS        http://%[5]s/sms        what came: GET http://%[2]s/sandbox/sms
  data       %[6]s
  staff      Authorization: Bearer %[7]s

Sign somebody up, and see the mail arrive:

  curl -i http://%[2]s/accounts -H 'Content-Type: application/json' \
    -d '{"email":"ada@example.com","password":"correct horse","name":"Ada"}'
  curl http://%[2]s/sandbox/mail -H 'Authorization: Bearer %[7]s'

Ctrl-C stops it; the next start goes on where it was.
`, took.Seconds(), http, c.Brokers, box.SMTPAddr(), box.HTTPAddr(), c.Data, c.StaffToken)
}
