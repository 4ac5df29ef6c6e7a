package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"troupe/choreo/broker"
	"troupe/handlers"
	"troupe/providers/blobs"
)

// finding is what the doctor has to say of one thing. It never holds a secret.
type finding struct {
	Check string `json:"check"`
	State string `json:"state" enum:"ok,warning,wrong,not given"`
	What  string `json:"what"`
	Do    string `json:"do,omitempty"`
}

// doctor looks at what it is given, and collects what it finds.
type doctor struct {
	config *config
	found  []finding
	topics []string
}

func (d *doctor) say(check, state, what, do string) {
	d.found = append(d.found, finding{check, state, what, do})
}

func doctorCommand() (*cobra.Command, error) {
	to := &answer{}
	cmd, err := part("doctor", "Check the settings and everything they name",
		"Says in words what is wrong and what to do. What is not set is not checked. Changes nothing, and prints no\nsecret. Exit code 1: something is wrong.",
		nil, []string{
			"up", "database-direct-url", "views-database-url", "brokers", "prefix", "staff-token", "token-key", "session-key", "card-key",
			"smtp-url", "payment-url", "carrier-url", "sms-url", "blobs-url",
		}, func(ctx context.Context, c *config, _ []string) error {
			flow, err := handlers.Flow(handlers.Outside{})
			if err != nil {
				return err
			}
			d := &doctor{config: c, topics: flow.Topics()}
			d.secrets()
			d.database(ctx)
			d.kafka(ctx)
			d.outside(ctx)
			wrong := 0
			for _, f := range d.found {
				if f.State == "wrong" {
					wrong++
				}
			}
			if err := to.give(items(d.found), func(w io.Writer) { findingsTable(w, d.found) }); err != nil || wrong == 0 {
				return err
			}
			return fmt.Errorf("%d things are wrong", wrong)
		})
	if err != nil {
		return nil, err
	}
	return to.on(cmd), nil
}

func findingsTable(w io.Writer, found []finding) {
	for _, f := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\n", strings.ToUpper(f.State), f.Check, f.What)
		if f.Do != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", f.Do)
		}
	}
}

// leastSecret is how many characters a secret needs at the least.
const leastSecret = 16

func (d *doctor) secrets() {
	for _, s := range []struct{ name, value string }{
		{"TROUPE_STAFF_TOKEN", d.config.StaffToken}, {"TROUPE_TOKEN_KEY", d.config.TokenKey},
		{"TROUPE_SESSION_KEY", d.config.SessionKey}, {"TROUPE_CARD_KEY", d.config.CardKey},
	} {
		switch n := len(s.value); {
		case n == 0:
			d.say(s.name, "not given", "is not set", "")
		case n < leastSecret:
			d.say(s.name, "wrong", fmt.Sprintf("has %d characters: it can be guessed", n), fmt.Sprintf("make one of at least %d: openssl rand -hex 32", leastSecret))
		default:
			d.say(s.name, "ok", fmt.Sprintf("%d characters", n), "")
		}
	}
}

func (d *doctor) database(ctx context.Context) {
	const check = "TROUPE_DATABASE_URL"
	if d.config.DatabaseURL == "" {
		d.say(check, "not given", "is not set", "")
		return
	}
	url, err := databaseURL(d.config.DatabaseURL)
	if err != nil {
		d.say(check, "wrong", err.Error(), "write it as postgres://user:password@host:5432/database")
		return
	}
	pool, err := openPool(ctx, url, 2)
	if err != nil {
		d.say(check, "wrong", err.Error(), "is Postgres running there, and may this user come in? Try it with psql")
		return
	}
	defer pool.Close() //nolint:errcheck // it only looked
	d.settings(ctx, pool)
	d.clock(ctx, pool)
	d.migrated(ctx, pool)
	d.direct(ctx, pool)
}

// direct wants of the address past the pooler that it is the same database.
func (d *doctor) direct(ctx context.Context, pool *sql.DB) {
	const check = "TROUPE_DATABASE_DIRECT_URL"
	if d.config.DirectURL == "" {
		return
	}
	const identity = `select system_identifier::text || '/' || current_database() from pg_control_system()`
	var here, there string
	url, err := databaseURL(d.config.DirectURL)
	if err == nil {
		var past *sql.DB
		if past, err = openPool(ctx, url, 1); err == nil {
			defer past.Close() //nolint:errcheck // it only looked
			err = errors.Join(pool.QueryRowContext(ctx, identity).Scan(&here), past.QueryRowContext(ctx, identity).Scan(&there))
		}
	}
	switch {
	case err != nil:
		d.say(check, "wrong", "cannot be used: "+strings.ReplaceAll(err.Error(), "TROUPE_DATABASE_URL", "it"), "give the address of Postgres itself, not of the pooler")
	case here != there:
		d.say(check, "wrong", "is another database than TROUPE_DATABASE_URL: no news would be heard", "give the address of the same one")
	default:
		d.say(check, "ok", "is the same database", "")
	}
}

func (d *doctor) settings(ctx context.Context, pool *sql.DB) {
	var version int
	var name, fsync, sync, dir string
	var replica bool
	err := pool.QueryRowContext(ctx, `select current_setting('server_version_num')::int, current_setting('server_version'),
		current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'), pg_is_in_recovery()`).
		Scan(&version, &name, &fsync, &sync, &dir, &replica)
	if err != nil {
		d.say("Postgres", "wrong", err.Error(), "")
		return
	}
	switch {
	case replica:
		d.say("Postgres", "wrong", "is a replica: nothing can be written", "give the URL of the primary")
	case version < 140000:
		d.say("Postgres", "wrong", "is version "+name, "run 14 or later")
	default:
		d.say("Postgres", "ok", "version "+name, "")
	}
	switch {
	case fsync == "off" || dir == "off":
		d.say("durability", "wrong", "fsync is "+fsync+", full_page_writes "+dir+": a crash of the machine loses or breaks what was committed", "set both to on")
	case sync == "off":
		d.say("durability", "warning", "synchronous_commit is off: the last commands before a crash may be lost, though they were answered", "set it to on")
	default:
		d.say("durability", "ok", "fsync on, synchronous_commit "+sync, "")
	}
	// Two statements outside a transaction on one of our connections come to two
	// servers behind a pooler in transaction mode; our start-up parameters do not come
	// through it at all.
	var timeout string
	if err := pool.QueryRowContext(ctx, `select current_setting('idle_in_transaction_session_timeout')`).Scan(&timeout); err != nil || timeout == "0" {
		d.say("pooler", "warning", "the limits of our connections do not reach Postgres: a pooler stands between, which drops them",
			"set idle_in_transaction_session_timeout for this user (alter role … set), and TROUPE_DATABASE_DIRECT_URL for notifications")
	} else {
		d.say("pooler", "ok", "our connections have their limits", "")
	}
}

func (d *doctor) clock(ctx context.Context, pool *sql.DB) {
	before := time.Now()
	var there time.Time
	if err := pool.QueryRowContext(ctx, `select clock_timestamp()`).Scan(&there); err != nil {
		d.say("clocks", "wrong", err.Error(), "")
		return
	}
	off := there.Sub(before.Add(time.Since(before) / 2))
	if off.Abs() > 2*time.Second {
		d.say("clocks", "warning", "this machine's clock and the database's are "+span(off)+" apart", "let NTP set both")
		return
	}
	d.say("clocks", "ok", "this machine and the database agree within 2 s", "")
}

func (d *doctor) migrated(ctx context.Context, pool *sql.DB) {
	var there bool
	err := pool.QueryRowContext(ctx, `select to_regclass('choreo.source') is not null and to_regclass('choreo.audit') is not null`).Scan(&there)
	switch {
	case err != nil:
		d.say("tables", "wrong", err.Error(), "")
		return
	case !there:
		d.say("tables", "wrong", "are not those of this version", "run `troupe migrate`")
		return
	}
	var parked, unforwarded, outbox int64
	var paused string
	err = pool.QueryRowContext(ctx, `select (select count(*) from choreo.steps where state = 'parked'),
		(select coalesce(sum(s.head - f.sequence), 0) from choreo.streams s join choreo.forwarded f on f.stream = s.id where s.source = (
			select '/troupe/' || database_id || '/' || epoch from choreo.source)),
		(select count(*) from choreo.outbox), (select coalesce(string_agg(consumer, ', ' order by consumer), '') from choreo.consumers where paused_at is not null)`).
		Scan(&parked, &unforwarded, &outbox, &paused)
	if err != nil {
		d.say("tables", "wrong", err.Error(), "run `troupe migrate`")
		return
	}
	d.say("tables", "ok", "are there", "")
	if parked > 0 {
		d.say("steps", "warning", fmt.Sprintf("%d are parked, and hold their lines", parked), "look at them: `troupe steps list --state parked`")
	}
	if paused != "" {
		d.say("consumers", "warning", paused+" stand still: an operator has paused them", "`troupe consumers resume NAME` when that is over")
	}
	if outbox+unforwarded > 10_000 {
		d.say("relay", "warning", fmt.Sprintf("%d facts wait for being sequenced, %d for Kafka", outbox, unforwarded), "is a relay running, and does it reach Kafka? Its log says")
	}
	d.partitions(ctx, pool)
}

// partitions holds the topics on Kafka against those that the relay goes by.
func (d *doctor) partitions(ctx context.Context, pool *sql.DB) {
	if len(d.config.Brokers) == 0 {
		return
	}
	counts, err := broker.Partitions(ctx, d.broker(), d.topics)
	if err != nil {
		return // the check of Kafka says so
	}
	rows, err := pool.QueryContext(ctx, `select topic, partitions from choreo.topics`)
	if err != nil {
		d.say("topics", "wrong", err.Error(), "run `troupe migrate`")
		return
	}
	defer rows.Close()
	noted := map[string]int{}
	for rows.Next() {
		var topic string
		var n int
		if err := rows.Scan(&topic, &n); err != nil {
			d.say("topics", "wrong", err.Error(), "")
			return
		}
		noted[topic] = n
	}
	if err := rows.Err(); err != nil {
		d.say("topics", "wrong", err.Error(), "")
		return
	}
	bad := 0
	for _, t := range d.topics {
		switch name := d.config.Prefix + t; {
		case counts[t] == 0:
			d.say("topic "+name, "wrong", "is not on Kafka", "run `troupe topics apply`")
		case noted[t] == 0:
			d.say("topic "+name, "wrong", "is on Kafka, and the database does not know its partitions", "run `troupe topics apply`")
		case noted[t] != counts[t]:
			d.say("topic "+name, "wrong", fmt.Sprintf("has %d partitions, and the database says %d: facts of one key would come in two", counts[t], noted[t]),
				"grow it with `troupe topics grow`, never by Kafka's own tools")
		default:
			continue
		}
		bad++
	}
	if bad == 0 {
		d.say("topics", "ok", fmt.Sprintf("all %d are there, with the partitions that the database says", len(d.topics)), "")
	}
}

func (d *doctor) broker() broker.Config {
	return broker.Config{Brokers: d.config.Brokers, Prefix: d.config.Prefix, Log: d.config.logger()}
}

func (d *doctor) kafka(ctx context.Context) {
	const check = "TROUPE_KAFKA_BROKERS"
	if len(d.config.Brokers) == 0 {
		d.say(check, "not given", "is not set", "")
		return
	}
	if _, err := broker.Partitions(ctx, d.broker(), d.topics); err != nil {
		d.say(check, "wrong", err.Error(), "is Kafka running there, and do its advertised listeners name addresses that this machine reaches?")
		return
	}
	d.say(check, "ok", strings.Join(d.config.Brokers, ", ")+" answers", "")
}

// outside looks whether the providers can be reached. It sends and buys nothing.
func (d *doctor) outside(ctx context.Context) {
	d.reach(ctx, "TROUPE_SMTP_URL", d.config.SMTPURL, "25")
	d.reach(ctx, "TROUPE_PAYMENT_URL", d.config.PaymentURL, "443")
	d.reach(ctx, "TROUPE_CARRIER_URL", d.config.CarrierURL, "443")
	d.reach(ctx, "TROUPE_SMS_URL", d.config.SMSURL, "443")
	const check = "TROUPE_BLOBS_URL"
	if d.config.BlobsURL == "" {
		d.say(check, "not given", "is not set", "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	store, err := blobs.Open(ctx, d.config.BlobsURL)
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		d.say(check, "wrong", "the store cannot be opened", "check its address, its bucket, and the AWS_… settings")
		return
	}
	d.say(check, "ok", "the store opens", "")
}

func (d *doctor) reach(ctx context.Context, check, raw, port string) {
	if raw == "" {
		d.say(check, "not given", "is not set", "")
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		d.say(check, "wrong", "is no URL with a host", "write it as scheme://host:port") // the error may quote a password
		return
	}
	if u.Port() != "" {
		port = u.Port()
	} else if u.Scheme == "http" {
		port = "80"
	}
	address := net.JoinHostPort(u.Hostname(), port)
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		cause := err
		if op, ok := errors.AsType[*net.OpError](err); ok {
			cause = op.Err
		}
		d.say(check, "wrong", address+" cannot be reached: "+cause.Error(), "is it running, and does a firewall stand between?")
		return
	}
	d.say(check, "ok", address+" answers", "")
}
