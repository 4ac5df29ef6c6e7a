package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/lib/pq" // to look into the database

	"troupe/choreo/embedded"
	"troupe/handlers"
)

const staffToken = "chaos-staff-token-of-no-use-elsewhere"

// cluster is the system under test with what it stands on.
type cluster struct {
	o        options
	ports    ports
	postgres *embedded.Postgres
	db       *sql.DB
	env      []string
	all      []string // consumers
	sandbox  *process
	parts    []*process // that are killed
}

// ports are kept with the data: clients come back to them after a restart.
type ports struct{ postgres, kafka, api, sandbox, smtp, next int }

func startCluster(ctx context.Context, o options, b *book) (c *cluster, err error) {
	c = &cluster{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	base := 20000 + int(b.Seed*64%10000)
	c.ports = ports{base, base + 1, base + 2, base + 3, base + 4, base + 5}
	if err := c.startPostgres(ctx); err != nil {
		return c, err
	}
	if err := c.kafka(ctx, "start"); err != nil {
		return c, err
	}
	if c.db, err = sql.Open("postgres", c.postgres.URL()); err != nil {
		return c, err
	}
	http := c.sandboxURL()
	c.env = []string{
		"TROUPE_DATABASE_URL=" + c.postgres.URL(), "TROUPE_KAFKA_BROKERS=127.0.0.1:" + strconv.Itoa(c.ports.kafka),
		"TROUPE_STAFF_TOKEN=" + staffToken, "TROUPE_TOKEN_KEY=chaos-token-key-0123456789abcdef", "TROUPE_CARD_KEY=chaos-card-key-0123456789abcdef",
		"TROUPE_SESSION_KEY=chaos-session-key-0123456789abcdef", "TROUPE_RATE_SIGN_UP=off", "TROUPE_RATE_SIGN_IN=off",
		"TROUPE_PAYMENT_KEY=sk_test_chaos", "TROUPE_PAYMENT_URL=" + http,
		"TROUPE_CARRIER_URL=" + http + "/carrier", "TROUPE_SMS_URL=" + http + "/sms",
		"TROUPE_SMTP_URL=smtp://127.0.0.1:" + strconv.Itoa(c.ports.smtp),
		"TROUPE_BLOBS_URL=file://" + filepath.Join(o.dir, "blobs"), "TROUPE_BLOBS_FAIL_CORRUPT=true", "TROUPE_FORBIDDEN_TAGS=forbidden",
		"TROUPE_SANDBOX_HTTP=127.0.0.1:" + strconv.Itoa(c.ports.sandbox), "TROUPE_SANDBOX_SMTP=127.0.0.1:" + strconv.Itoa(c.ports.smtp),
		"TROUPE_ROOMS=room-1=9000EUR,room-2=12000EUR,room-3=15000EUR", "TROUPE_CONNECTIONS=8",
	}
	if err := os.MkdirAll(filepath.Join(o.dir, "blobs"), 0o700); err != nil {
		return c, err
	}
	for _, once := range [][]string{{"migrate"}, {"topics", "apply"}} {
		if out, err := c.troupe(ctx, once...); err != nil {
			return c, fmt.Errorf("troupe %s: %w\n%s", strings.Join(once, " "), err, out)
		}
	}
	return c, c.startParts()
}

func (c *cluster) startParts() (err error) {
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		return err
	}
	for _, consumer := range flow.Consumers() {
		c.all = append(c.all, consumer.Name)
	}
	if c.sandbox, err = launch(c.o.dir, c.o.binary, "sandbox", c.env, "sandbox"); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		http int
		args []string
	}{
		{"api", c.ports.api, []string{"api"}},
		{"relay-1", c.port(), []string{"relay"}},
		{"relay-2", c.port(), []string{"relay"}},
		{"consumers-1", c.port(), append([]string{"run"}, c.all...)},
		{"consumers-2", c.port(), append([]string{"run"}, c.all...)},
	} {
		p, err := launch(c.o.dir, c.o.binary, part.name, c.env, append(part.args, "--http", "127.0.0.1:"+strconv.Itoa(part.http))...)
		if err != nil {
			return err
		}
		c.parts = append(c.parts, p)
	}
	return nil
}

func (c *cluster) port() int {
	c.ports.next++
	return c.ports.next
}

func (c *cluster) startPostgres(ctx context.Context) (err error) {
	c.postgres, err = embedded.StartPostgres(ctx, embedded.PostgresOptions{Dir: filepath.Join(c.o.dir, "postgres"), Port: c.ports.postgres})
	return err
}

// crashPostgres kills the server, and starts it on the same data and port.
func (c *cluster) crashPostgres(ctx context.Context) error {
	if err := syscall.Kill(c.postgres.PID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing Postgres: %w", err)
	}
	<-c.postgres.Done()
	if err := c.postgres.Stop(ctx); err != nil {
		return err
	}
	return c.startPostgres(ctx)
}

// kafka runs a verb of scripts/kafka on the broker of this run.
func (c *cluster) kafka(ctx context.Context, verb string) error {
	args := []string{verb, "--dir", filepath.Join(c.o.dir, "kafka")}
	if verb == "start" {
		args = append(args, "--port", strconv.Itoa(c.ports.kafka))
	}
	out, err := exec.CommandContext(ctx, "scripts/kafka", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("scripts/kafka %s: %w\n%s", verb, err, out)
	}
	return nil
}

// troupe runs a command of the binary to its end.
func (c *cluster) troupe(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.o.binary, args...)
	cmd.Env = append(os.Environ(), c.env...)
	return cmd.CombinedOutput()
}

// stop ends everything in the order in which it leans on each other.
func (c *cluster) stop() (err error) {
	for _, p := range c.parts {
		p.stop(10 * time.Second)
	}
	if c.sandbox != nil {
		c.sandbox.stop(5 * time.Second)
	}
	if c.db != nil {
		err = c.db.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if c.postgres != nil {
		err = errors.Join(err, c.kafka(ctx, "stop"), c.postgres.Stop(ctx))
	}
	return err
}
