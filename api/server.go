package api

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/providers/blobs"
)

// Options of a server.
type Options struct {
	DB            *choreo.DB
	Blobs         *blobs.Store
	TokenKey      []byte        // derives verification tokens; that of the handlers
	SessionKey    []byte        // under which bearer tokens are stored
	CardKey       []byte        // encrypts card tokens, 32 bytes
	StaffToken    string        // bearer token of staff; empty: there is no staff
	SessionTTL    time.Duration // of a sign-in; 30 days by default
	MaxAttachment int64         // bytes of an uploaded file; 10 MiB by default
	Rates         Rates
	Log           *slog.Logger

	Heartbeat time.Duration // between signs of life of a stream; 15 s by default
	Patience  time.Duration // with a client that does not read its stream; 10 s by default

	Hints   *choreo.Hints               // given when the log has news; nil: it is looked at all the same
	Ready   func(context.Context) error // nil when ready, else what is missing; may be nil
	Notes   func() []string             // what /readyz tells beside, such as providers that do not answer; may be nil
	Sandbox http.Handler                // below /sandbox/, for staff; may be nil
	Metrics http.Handler                // at /metrics; may be nil
}

// Server is the HTTP API, an http.Handler that is safe for concurrent use.
type Server struct {
	Options
	mux       *http.ServeMux
	huma      huma.API
	handler   http.Handler
	refusals  []refusal
	passwords *account.Passwords
	written   choreo.Recent // the last event of each account's commands

	stopping chan struct{} // closed when long polls have to end
	stop     sync.Once
}

// New makes the server.
func New(o Options) (*Server, error) {
	if o.DB == nil || len(o.TokenKey) == 0 || len(o.SessionKey) == 0 {
		return nil, errors.New("the API needs a database, a token key and a session key")
	}
	return build(o)
}

// build makes a server of options that may lack what answering takes.
func build(o Options) (*Server, error) {
	if o.SessionTTL == 0 {
		o.SessionTTL = 30 * 24 * time.Hour
	}
	if o.MaxAttachment == 0 {
		o.MaxAttachment = 10 << 20
	}
	o.Heartbeat, o.Patience = cmp.Or(o.Heartbeat, 15*time.Second), cmp.Or(o.Patience, 10*time.Second)
	if o.Hints == nil {
		o.Hints = &choreo.Hints{}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	s := &Server{
		Options: o, mux: http.NewServeMux(), stopping: make(chan struct{}),
		passwords: account.NewPasswords(),
	}
	config := huma.DefaultConfig("Troupe", "1")
	config.DocsPath = ""     // ours takes nothing from elsewhere
	config.CreateHooks = nil // no $schema field in bodies: they are contracts
	config.Transformers = []huma.Transformer{discreet}
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: "bearer", Description: "The token of POST /sessions, or that of staff."},
	}
	s.huma = humago.New(s.mux, config)
	s.huma.UseMiddleware(s.admit, s.takeBody, s.keyedOperation)

	s.operations()
	s.accounts()
	s.projects()
	s.blog()
	s.orders()
	s.stats()
	s.rentals()
	if err := s.documentation(); err != nil {
		return nil, err
	}

	if o.Sandbox != nil {
		s.mux.Handle("GET /sandbox/", s.staffOnly(o.Sandbox))
	}
	if o.Metrics != nil {
		s.mux.Handle("GET /metrics", o.Metrics)
	}
	s.handler = s.outermost(s.repeatable(http.HandlerFunc(s.route)))
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// OpenAPI is the description of the API, version 3.1.
func (s *Server) OpenAPI() *huma.OpenAPI { return s.huma.OpenAPI() }

// HTTPServer wraps the API in a server with sound timeouts and limits. Its
// Shutdown ends long polls at once.
func (s *Server) HTTPServer() *http.Server {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug),
	}
	server.RegisterOnShutdown(func() { s.stop.Do(func() { close(s.stopping) }) })
	return server
}
