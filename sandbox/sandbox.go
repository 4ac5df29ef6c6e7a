// Package sandbox is the other side of the ports, for development and tests:
// servers that speak the real protocols, remember what they received, and fail
// on demand. It knows nothing of the engine, and nothing of the engine reads
// its state: that lies in a schema of its own, reached over connections of its
// own, and is committed before anything is answered.
//
// Who plays what: mail.go the mailbox behind smtp.go; stripe.go the payment
// provider, with intent.go and refund.go; carrier.go and sms.go the carrier and
// the SMS gateway, over plain.go. Each part has a list for staff in staff.go.
package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// Options are what a sandbox needs to start.
type Options struct {
	Database *sql.DB // a pool of its own; Close leaves it open

	SMTPAddr string // host:port, port 0 for a free one; empty: no SMTP server
	HTTPAddr string // host:port, port 0 for a free one; empty: no HTTP server

	StaffToken string // for the lists; without one nobody may read them
	PaymentKey string // the secret key payments are called with; empty: any

	Delay  time.Duration // slows every call
	Timing Timing
	// SearchLag hides an intent from search for so long, as Stripe's does.
	SearchLag time.Duration

	Log *slog.Logger     // nil: none
	Now func() time.Time // nil: time.Now
}

// Timing is how long what is slow on demand takes. Zero values stand for the
// documented ones, so only tests set it.
type Timing struct {
	SlowMail time.Duration // mail to slow@…: 5 s
	SlowCard time.Duration // tok_slow: 3 s
	Hang     time.Duration // tok_timeout_after_charge, before the connection drops: 2 s
}

// Sandbox is a running sandbox.
type Sandbox struct {
	opts  Options
	db    *sql.DB
	ctx   context.Context // ends when the sandbox closes, not with a caller's connection
	stop  context.CancelFunc
	gate  gate
	staff http.Handler

	smtp         *smtp.Server
	smtpListener net.Listener
	http         *http.Server
	httpListener net.Listener
	serving      sync.WaitGroup
}

// Start migrates the sandbox's schema and listens. The context bounds the
// start only.
func Start(ctx context.Context, opts Options) (*Sandbox, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	opts.Timing = opts.Timing.orDocumented()
	if err := Migrate(ctx, opts.Database); err != nil {
		return nil, err
	}
	s := &Sandbox{opts: opts, db: opts.Database}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.staff = s.gate.handler(s.staffRoutes())
	if err := errors.Join(s.startSMTP(ctx), s.startHTTP(ctx)); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}

func (t Timing) orDocumented() Timing {
	for _, f := range []struct {
		value      *time.Duration
		documented time.Duration
	}{{&t.SlowMail, 5 * time.Second}, {&t.SlowCard, 3 * time.Second}, {&t.Hang, 2 * time.Second}} {
		if *f.value == 0 {
			*f.value = f.documented
		}
	}
	return t
}

func (s *Sandbox) startHTTP(ctx context.Context) error {
	if s.opts.HTTPAddr == "" {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.opts.HTTPAddr)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/sandbox/", s.staffRoutes())
	mux.Handle("/v1/", s.stripeRoutes())
	mux.Handle("/carrier/", s.carrierRoutes())
	mux.Handle("/sms/", s.smsRoutes())
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.db.PingContext(r.Context()); err != nil {
			problem(w, http.StatusServiceUnavailable, "the database does not answer")
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	s.httpListener = listener
	s.http = &http.Server{
		Handler:           s.gate.handler(mux),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	s.serve("HTTP", func() error { return s.http.Serve(listener) })
	return nil
}

// serve runs a server until it is closed, and logs when it ends before that.
func (s *Sandbox) serve(name string, serve func() error) {
	s.serving.Go(func() {
		if err := serve(); err != nil && s.ctx.Err() == nil {
			s.opts.Log.Error("the sandbox stopped serving", "protocol", name, "error", err)
		}
	})
}

// SMTPAddr is the host:port of the SMTP server, empty where there is none.
func (s *Sandbox) SMTPAddr() string { return addr(s.smtpListener) }

// HTTPAddr is the host:port of the HTTP server, empty where there is none.
// http://host:port is the base URL of the payment provider, with /carrier that of
// the carrier and with /sms that of the SMS gateway.
func (s *Sandbox) HTTPAddr() string { return addr(s.httpListener) }

func addr(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Handler serves the lists for staff under /sandbox/, also without an HTTP
// server of the sandbox's own.
func (s *Sandbox) Handler() http.Handler { return s.staff }

// Close ends the sandbox at once: whoever waits in a delay is answered that it
// is going away, or hears nothing. When it returns, nothing uses the database.
func (s *Sandbox) Close(ctx context.Context) error {
	s.stop()
	var err error
	if s.smtp != nil {
		// The server closes its listener too, unless it has not come to serving
		// it yet: then nobody else would.
		_ = s.smtpListener.Close()
		_ = s.smtp.Close()
	}
	if s.http != nil {
		grace, cancel := context.WithTimeout(ctx, 200*time.Millisecond) // for answers under way
		defer cancel()
		if s.http.Shutdown(grace) != nil {
			err = errors.Join(err, s.http.Close())
		}
	}
	s.gate.close()
	s.serving.Wait()
	return err
}

// pause waits, but not past the end of the sandbox.
func (s *Sandbox) pause(d time.Duration) error {
	if d <= 0 {
		return s.ctx.Err()
	}
	s.opts.Log.Debug("the sandbox takes its time", "delay", d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// now is the time as Postgres keeps it.
func (s *Sandbox) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// inTx runs one attempt in a transaction. It does not end with the caller's
// connection: a provider that has understood a request carries it out.
func (s *Sandbox) inTx(do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(s.ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// gate lets calls in until it is closed, and closing waits for those inside.
type gate struct {
	mu     sync.RWMutex
	closed bool
}

func (g *gate) enter() (leave func(), ok bool) {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return nil, false
	}
	return g.mu.RUnlock, true
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *gate) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leave, ok := g.enter()
		if !ok {
			problem(w, http.StatusServiceUnavailable, "the sandbox is closed")
			return
		}
		defer leave()
		next.ServeHTTP(w, r)
	})
}
