package api

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/idempotency"
)

// register adds an operation: who may call it, what it takes and gives, and
// what does it. Errors of the handler become problems by s.problemOf; unknown
// fields, wrong types and broken rules of the body never reach it.
func register[I, O any](s *Server, who access, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	op.Metadata = map[string]any{accessKey: who}
	if who != anyone {
		op.Security = []map[string][]string{{bearer: {}}}
	}
	if op.Method != http.MethodGet && !slices.Contains(notKeyed, op.Path) {
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: keyHeader, In: "header", Schema: &huma.Schema{Type: huma.TypeString, MaxLength: new(255)},
			Description: "The same key and body within 24 hours are answered as the first time, and do nothing twice",
		})
	}
	// takeBody bounds the time of reading. A deadline that outlives the body
	// would cancel a handler that is still at work.
	op.BodyReadTimeout = -1
	huma.Register(s.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			if k := keyedOf(ctx); k != nil {
				k.refused = !errors.Is(err, idempotency.ErrOtherRequest) && !errors.Is(err, idempotency.ErrUnderWay)
			}
			return nil, s.problemOf(ctx, err)
		}
		if c, ok := any(out).(interface{ event() string }); ok && c.event() != "" && caller(ctx).AccountID != "" {
			s.written.Note(caller(ctx).AccountID, c.event())
		}
		return out, nil
	})
}

// Receipt are the headers by which an accepted command can be followed. An
// output embeds it.
type Receipt struct {
	Event    string `header:"Troupe-Event" doc:"Id of the last fact of the command"`
	Saga     string `header:"Troupe-Saga" doc:"Id of the saga that goes on"`
	Location string `header:"Location" doc:"Where the saga can be read"`
}

func (r Receipt) event() string { return r.Event }

// settled is the receipt of a command that nothing goes on behind.
func settled(r choreo.Receipt) Receipt { return Receipt{Event: r.EventID} }

// ongoing is the receipt of a command that a saga goes on behind.
func ongoing(r choreo.Receipt) Receipt {
	return Receipt{Event: r.EventID, Saga: r.Saga, Location: "/sagas/" + r.Saga}
}

// joined is the receipt of a command in a saga that may run already, also where
// it changed nothing.
func joined(r choreo.Receipt, saga string) Receipt {
	r.Saga = saga
	return ongoing(r)
}

// route sends a request to its handler, and answers with problems where the
// mux would answer in plain text.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	h, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	probe := &headerProbe{header: http.Header{}}
	h.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		s.writeProblem(w, probe.status, r.Method+" is not possible here; see the Allow header")
		return
	}
	s.writeProblem(w, http.StatusNotFound, "there is nothing at this path")
}

// headerProbe takes an answer without its body.
type headerProbe struct {
	header http.Header
	status int
}

func (p *headerProbe) Header() http.Header         { return p.header }
func (p *headerProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *headerProbe) WriteHeader(status int)      { p.status = status }
