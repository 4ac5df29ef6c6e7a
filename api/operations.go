package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo/saga"
)

// operations adds what says how the system is: its health, its events and its
// sagas.
func (s *Server) operations() {
	tags := []string{"operations"}
	register(s, anyone, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Tags: tags,
		Summary: "Whether the process is up",
	}, s.healthz)
	register(s, anyone, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Tags: tags,
		Summary: "Whether everything that the process needs is there",
		Errors:  []int{http.StatusServiceUnavailable},
	}, s.readyz)
	register(s, staffOnly, huma.Operation{
		OperationID: "pull-events", Method: http.MethodGet, Path: "/events", Tags: tags,
		Summary:     "Pull events in the order of the log",
		Description: "The reader remembers `position` and asks on `after` it.",
	}, s.pullEvents)
	register(s, staffOnly, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/events/stream", Tags: tags,
		Summary:     "Have events sent as they come (server-sent events)",
		Description: "Each event as /events gives it, with its position as id. A client that comes again sends `Last-Event-ID`.",
		Responses: map[string]*huma.Response{"200": {Description: "Events, and a sign of life every 15 s", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}}}},
	}, s.streamEvents)
	s.refuses(http.StatusNotFound, saga.ErrNotFound)
	register(s, staffOnly, huma.Operation{
		OperationID: "list-sagas", Method: http.MethodGet, Path: "/sagas", Tags: tags,
		Summary: "List sagas, the newest first",
	}, s.listSagas)
	register(s, accountsAndStaff, huma.Operation{
		OperationID: "get-saga", Method: http.MethodGet, Path: "/sagas/{id}", Tags: tags,
		Summary: "Read what happened, is expected and is owed in a saga",
	}, s.showSaga)
}

type statusAnswer struct {
	Body struct {
		Status string   `json:"status" example:"ok"`
		Notes  []string `json:"notes,omitempty" doc:"What an operator should know beside: providers that do not answer."`
	}
}

func status(text string) *statusAnswer {
	out := &statusAnswer{}
	out.Body.Status = text
	return out
}

func (s *Server) healthz(context.Context, *struct{}) (*statusAnswer, error) {
	return status("ok"), nil
}

func (s *Server) readyz(ctx context.Context, _ *struct{}) (*statusAnswer, error) {
	if s.Ready == nil {
		return status("ready"), nil
	}
	err := s.Ready(ctx)
	if err == nil {
		out := status("ready")
		if s.Notes != nil {
			out.Body.Notes = s.Notes()
		}
		return out, nil
	}
	missing := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		missing = several.Unwrap()
	}
	return nil, huma.Error503ServiceUnavailable("not ready yet", missing...)
}
