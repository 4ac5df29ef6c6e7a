package main

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lib/pq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"troupe/api"
	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/consume"
	"troupe/choreo/metrics"
	"troupe/choreo/relay"
	"troupe/choreo/saga"
	"troupe/choreo/steps"
	"troupe/choreo/view"
	"troupe/domain"
	"troupe/domain/attachment"
	"troupe/domain/rental"
	"troupe/handlers"
	"troupe/providers/blobs"
	"troupe/providers/carrier"
	"troupe/providers/mail"
	"troupe/providers/payment"
	"troupe/providers/sms"
)

// app is what the parts share: a database, the choreography, a broker.
type app struct {
	config *config
	log    *slog.Logger
	url    string // of the database, with our limits
	direct string // of the same, past a pooler
	pool   *sql.DB
	views  *sql.DB // where views live, nil: here
	blobs  *blobs.Store
	flow   *choreo.Flow
	db     *choreo.DB
	broker broker.Config

	metrics  *prometheus.Registry
	troubles func() []string // the providers that do not answer the consumers of this process
	relay    atomic.Pointer[relay.Relay]

	hearing sync.Once
	hints   choreo.Hints // of news in the log
	ear     *pq.Listener // that gives them; nil where nobody waits
}

// openApp connects to the database and builds the choreography over the
// outside that the configuration names. An empty database URL or broker list
// is for parts that need none.
func openApp(ctx context.Context, c *config) (*app, error) {
	a := &app{config: c, log: c.logger(), metrics: prometheus.NewRegistry(),
		troubles: func() []string { return nil }}
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	a.broker = broker.Config{Brokers: c.Brokers, Prefix: c.Prefix, Log: a.log, Instance: c.Instance}
	err := c.checkInstance()
	if err != nil {
		return nil, err
	}
	if a.url, err = databaseURL(c.DatabaseURL); err != nil {
		return nil, err
	}
	if a.direct, err = databaseURL(cmp.Or(c.DirectURL, c.DatabaseURL)); err != nil {
		return nil, fmt.Errorf("TROUPE_DATABASE_DIRECT_URL: %w", err)
	}
	if a.pool, err = openPool(ctx, a.url, c.Connections); err != nil {
		return nil, err
	}
	if err := errors.Join(a.openViews(ctx), a.outside(ctx)); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// openViews connects to the database of views, where that is another one.
func (a *app) openViews(ctx context.Context) error {
	if a.config.ViewsURL == "" {
		return nil
	}
	url, err := databaseURL(a.config.ViewsURL)
	if err != nil {
		return fmt.Errorf("TROUPE_VIEWS_DATABASE_URL: %w", err)
	}
	if a.views, err = openPool(ctx, url, a.config.Connections); err != nil {
		return fmt.Errorf("TROUPE_VIEWS_DATABASE_URL: %w", err)
	}
	return nil
}

func openPool(ctx context.Context, url string, connections int) (*sql.DB, error) {
	connector, err := pq.NewConnector(url)
	if err != nil {
		return nil, errors.New("TROUPE_DATABASE_URL cannot be read") // the error may quote the password
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	pool.SetConnMaxIdleTime(time.Minute)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reaching the database: %w", err), pool.Close())
	}
	return pool, nil
}

// outside makes the providers and the flow. A provider that is not configured
// is one that no part at hand talks to.
func (a *app) outside(ctx context.Context) (err error) {
	out := handlers.Outside{
		TokenKey: key("verification tokens", a.config.TokenKey), CardKey: key("cards", a.config.CardKey),
		ForbiddenTags: a.config.forbiddenTags(),
	}
	if a.config.SMTPURL != "" {
		if out.Mail, err = mail.NewSMTP(a.config.SMTPURL, a.config.MailFrom); err != nil {
			return err
		}
	}
	if a.config.PaymentURL != "" {
		if out.Payments, err = payment.NewStripe(a.config.PaymentURL, a.config.PaymentKey); err != nil {
			return err
		}
	}
	if a.config.CarrierURL != "" {
		if out.Carrier, err = carrier.NewHTTP(a.config.CarrierURL); err != nil {
			return err
		}
	}
	if a.config.SMSURL != "" {
		if out.SMS, err = sms.NewHTTP(a.config.SMSURL); err != nil {
			return err
		}
	}
	if a.config.BlobsURL != "" {
		o := []blobs.Option{blobs.CreateBucket(), blobs.Expire(attachment.TempPrefix, int(attachment.Expires.Hours()/24))}
		if a.config.FailCorrupt {
			o = append(o, blobs.FailCorrupt())
		}
		if a.blobs, err = blobs.Open(ctx, a.config.BlobsURL, o...); err != nil {
			return err
		}
		out.Blobs = a.blobs
	}
	a.flow, err = handlers.Flow(out)
	return err
}

// openDB makes the engine's handle, once the database is migrated.
func (a *app) openDB(ctx context.Context) (err error) {
	a.db, err = choreo.Open(ctx, a.pool, a.flow, choreo.Options{MaxEventBytes: a.config.MaxEvent, Views: a.views, Recent: true})
	return err
}

func (a *app) close() error {
	var errs []error
	if a.blobs != nil {
		errs = append(errs, a.blobs.Close())
	}
	if a.views != nil {
		errs = append(errs, a.views.Close())
	}
	if a.ear != nil {
		errs = append(errs, a.ear.Close())
	}
	return errors.Join(append(errs, a.pool.Close())...)
}

// migrate brings the databases to this version, registers the consumers that are
// new, and makes the rooms of the configuration.
func (a *app) migrate(ctx context.Context) error {
	if err := domain.Migrate(ctx, a.pool); err != nil {
		return err
	}
	if err := view.Migrate(ctx, cmp.Or(a.views, a.pool), a.flow); err != nil {
		return err
	}
	if err := a.openDB(ctx); err != nil {
		return err
	}
	rooms, err := a.config.rooms()
	if err != nil {
		return err
	}
	return errors.Join(choreo.Register(ctx, a.db), rental.PutRooms(ctx, a.pool, rooms))
}

func (a *app) applyTopics(ctx context.Context) ([]broker.Topic, error) {
	return broker.ApplyTopics(ctx, a.broker, a.pool, a.flow.Topics(), a.config.Partitions)
}

// consumers prepares the consumers of these names, all of them without one.
func (a *app) consumers(names []string) (*consume.Process, error) {
	all := a.flow.Consumers()
	if len(names) > 0 {
		all = nil
		for _, name := range names {
			c := a.flow.Consumer(name)
			if v := a.flow.View(name); v != nil && v.Pulls != nil {
				continue // a reader
			}
			if c == nil {
				return nil, usageError{fmt.Errorf("there is no consumer %q; `troupe run --help` lists them", name)}
			}
			all = append(all, c)
		}
	}
	p, err := consume.NewProcess(a.db, a.broker, all, consume.NewMetrics(a.metrics), steps.Options{})
	if err == nil {
		a.troubles = p.Troubles
	}
	return p, err
}

// runConsumers runs them until ctx ends.
func (a *app) runConsumers(ctx context.Context, p *consume.Process) error {
	return p.Run(ctx, a.hear())
}

// runRelay runs a relay until ctx ends.
func (a *app) runRelay(ctx context.Context) error {
	publisher, err := broker.NewPublisher(a.broker)
	if err != nil {
		return err
	}
	defer publisher.Close() //nolint:errcheck // what was not acknowledged is published again
	listener, notes := a.listen(choreo.OutboxChannel)
	defer listener.Close() //nolint:errcheck // it only says that it was closed before
	reader := broker.NewReader(a.broker)
	defer reader.Close() //nolint:errcheck // it only read
	r := relay.New(a.db, publisher, reader, a.log).Retain(a.config.LogRetention)
	a.relay.Store(r)
	return r.Run(ctx, notes)
}

// relayState is how relaying goes; false where this process has no relay.
func (a *app) relayState(ctx context.Context) (relay.State, bool) {
	r := a.relay.Load()
	if r == nil {
		return relay.State{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := r.State(ctx)
	if err != nil {
		a.log.Debug("asking how relaying goes", "error", err)
	}
	return s, true
}

// notes are what an operator should know of a process that is ready.
func (a *app) notes() []string {
	notes := a.troubles()
	if s, ok := a.relayState(context.Background()); ok && s.Note() != "" {
		notes = append(notes, s.Note())
	}
	return notes
}

// runSagas keeps the lists of sagas until ctx ends.
func (a *app) runSagas(ctx context.Context) error {
	return saga.Run(ctx, a.db, a.hear(), a.log)
}

// listen hears a channel of the database; while it is not connected, or a
// transaction pooler stands between, nothing comes, and its hearers poll.
func (a *app) listen(channel string) (*pq.Listener, <-chan *pq.Notification) {
	l := pq.NewListener(a.direct, 100*time.Millisecond, 5*time.Second, nil)
	go func() { _ = l.Listen(channel) }() // it goes on trying until the listener is closed
	return l, l.NotificationChannel()
}

// hear gives a hint when the log has news, until the app is closed: one
// connection for all parts of the process that wait for them.
func (a *app) hear() *choreo.Hints {
	a.hearing.Do(func() {
		var notes <-chan *pq.Notification
		a.ear, notes = a.listen(choreo.LogChannel)
		go func() {
			for range notes {
				a.hints.Give()
			}
		}()
	})
	return &a.hints
}

// api makes the HTTP API.
func (a *app) api(ready func(context.Context) error, sandbox http.Handler) (*api.Server, error) {
	rates, err := a.config.rates()
	if err != nil {
		return nil, err
	}
	return api.New(api.Options{
		DB: a.db, Hints: a.hear(), Blobs: a.blobs, TokenKey: key("verification tokens", a.config.TokenKey),
		SessionKey: key("sessions", a.config.SessionKey), CardKey: key("cards", a.config.CardKey),
		StaffToken: a.config.StaffToken, Log: a.log, Ready: ready, Notes: a.notes, Sandbox: sandbox, Metrics: a.metricsHandler(),
		MaxAttachment: a.config.MaxAttachment, Rates: rates,
	})
}

// measure has this process's /metrics tell of the whole choreography: it is the
// relay's, and not every consumer's, since all would say the same.
func (a *app) measure() { a.metrics.MustRegister(metrics.New(a.db, a.log)) }

func (a *app) metricsHandler() http.Handler {
	return promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{})
}

// serve serves until ctx ends, then gives requests under way a second.
func serve(ctx context.Context, server *http.Server, l net.Listener) error {
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving HTTP: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if server.Shutdown(grace) != nil {
		return server.Close()
	}
	return nil
}

// health is the HTTP server of a part that serves nothing else.
func (a *app) health(ready func(context.Context) error) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
		for _, t := range a.notes() {
			fmt.Fprintln(w, t)
		}
	})
	mux.HandleFunc("GET /relay", func(w http.ResponseWriter, r *http.Request) {
		s, ok := a.relayState(r.Context())
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s) // who would read it has gone
	})
	mux.Handle("GET /metrics", a.metricsHandler())
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
}

// databaseReady tells whether the database answers.
func (a *app) databaseReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := a.pool.PingContext(ctx); err != nil {
		return fmt.Errorf("the database does not answer: %w", err)
	}
	return nil
}
