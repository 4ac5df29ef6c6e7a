package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"troupe/choreo/eventlog"
)

// streamPage is how many events are written at once.
const streamPage = 100

type streamRequest struct {
	EventsQuery

	LastEventID string `header:"Last-Event-ID" doc:"The position read so far, as a client sends it that comes again"` //nolint:tagliatelle // as browsers spell it

	after int64
}

// Resolve reads the position of a client that comes again.
func (r *streamRequest) Resolve(huma.Context) []error {
	r.after = r.After
	if r.LastEventID == "" {
		return nil
	}
	if _, err := fmt.Sscanf(r.LastEventID+"\n", "%d\n", &r.after); err != nil || r.after < 0 {
		return []error{&huma.ErrorDetail{Location: "header.Last-Event-ID", Message: "expected the id of an event of this stream"}}
	}
	return nil
}

// streamEvents sends events as they come (server-sent events, WHATWG HTML 9.2),
// each with its position as its id. A client that does not read is dropped: it
// comes again with the last id that it has.
func (s *Server) streamEvents(_ context.Context, in *streamRequest) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		h := w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no") // a proxy is to pass on what it gets
		if err := s.stream(r.Context(), w, in); err != nil {
			s.Log.InfoContext(r.Context(), "a stream of events has ended", "error", err)
		}
	}}, nil
}

func (s *Server) stream(ctx context.Context, w http.ResponseWriter, in *streamRequest) error {
	control := http.NewResponseController(w)
	send := func(text []byte) error {
		if err := control.SetWriteDeadline(time.Now().Add(s.Patience)); err != nil {
			return fmt.Errorf("setting a deadline: %w", err)
		}
		if _, err := w.Write(text); err != nil {
			return fmt.Errorf("sending events: %w", err)
		}
		return control.Flush()
	}
	if err := send([]byte(": events follow\n\n")); err != nil {
		return err
	}
	query := in.query(streamPage)
	query.After = in.after
	beat := time.NewTicker(s.Heartbeat)
	defer beat.Stop()
	for {
		news := s.Hints.Next()
		page, more, err := eventlog.Read(ctx, s.DB, query)
		if err != nil {
			return err
		}
		query.After = page.Position
		var text bytes.Buffer
		for _, e := range page.Items {
			data, err := json.Marshal(e)
			if err != nil {
				return fmt.Errorf("writing event %s: %w", e.ID, err)
			}
			fmt.Fprintf(&text, "id: %d\ndata: %s\n\n", e.Position, data)
		}
		if text.Len() > 0 {
			if err := send(text.Bytes()); err != nil {
				return err
			}
		}
		if more || len(page.Items) > 0 {
			continue
		}
		select {
		case <-news:
		case <-time.After(pollEvery):
		case <-beat.C:
			// An id alone moves on the client's position over what it did not ask for.
			if err := send(fmt.Appendf(nil, "id: %d\n: heartbeat\n\n", query.After)); err != nil {
				return err
			}
		case <-s.stopping:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
