package api

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo/view"
)

const (
	mostSeen  = 5 * time.Second // to wait for a view to pass a fact
	mostFresh = time.Second     // to wait for a view to hear of what there is
)

// ViewRequest is part of a request that reads a view.
type ViewRequest struct {
	Seen string `query:"seen" maxLength:"255" doc:"Id of an event, such as Troupe-Event of a command: the answer waits until the view has passed it, at most 5 s"`
}

// seen waits until a view has passed the event that the client has seen, and
// gives the status of the answer: 202 where the time was up. Where the client
// names none, it waits a little for what this process has just written: under
// the key, and for the caller.
func (s *Server) seen(ctx context.Context, name, key string, in ViewRequest) (status int, err error) {
	v := s.DB.Flow().View(name)
	if v == nil {
		return http.StatusOK, nil
	}
	if in.Seen == "" {
		recent := []string{s.written.Last(caller(ctx).AccountID)}
		for _, topic := range v.Topics() {
			recent = append(recent, s.DB.LastOf(topic, key))
		}
		_, err := view.Until(ctx, mostFresh, func(ctx context.Context) (passed bool, err error) {
			for len(recent) > 0 {
				if recent[0] != "" {
					if passed, err = view.Passed(ctx, s.DB, v, recent[0]); !passed {
						return false, err
					}
				}
				recent = recent[1:]
			}
			return true, nil
		})
		return http.StatusOK, err
	}
	passed, err := view.Until(ctx, mostSeen, func(ctx context.Context) (bool, error) { return view.Passed(ctx, s.DB, v, in.Seen) })
	if passed {
		return http.StatusOK, err
	}
	return http.StatusAccepted, err
}

// fresh reads from a view what there is for certain; nil where the view has not
// heard of it in time.
func fresh[T any](ctx context.Context, s *Server, id string, find func(context.Context, *sql.DB, string) (*T, error)) (found *T, err error) {
	_, err = view.Until(ctx, mostFresh, func(ctx context.Context) (bool, error) {
		found, err = find(ctx, s.DB.ViewsHome().Pool(), id)
		return found != nil, err
	})
	return found, err
}

// pending is what is known of something that is not in its view yet.
type pending struct {
	ID    string `json:"id"`
	State string `json:"state"`
}

// viewAnswer is a thing of a view, or that it is pending there.
type viewAnswer[T any] struct {
	Status int
	Body   viewBody[T]
}

type viewBody[T any] struct {
	thing   T
	pending *pending
}

// Schema describes the thing; that of a 202 may be a pending one.
func (viewBody[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// MarshalJSON writes the one that it is.
func (b viewBody[T]) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	var body any = b.thing
	if b.pending != nil {
		body = b.pending
	}
	err := e.Encode(body)
	return out.Bytes(), err
}

func answerPending[T any](id, state string) *viewAnswer[T] {
	return &viewAnswer[T]{http.StatusAccepted, viewBody[T]{pending: &pending{id, state}}}
}

// behindResponses describe what an operation that reads a view answers while the
// view is behind.
func behindResponses(s *Server, whole reflect.Type) map[string]*huma.Response {
	r := s.huma.OpenAPI().Components.Schemas
	schema := &huma.Schema{AnyOf: []*huma.Schema{r.Schema(whole, true, ""), r.Schema(reflect.TypeFor[pending](), true, "")}}
	return map[string]*huma.Response{"202": {
		Description: "The view has not passed the event of `seen` yet: what there is; `id` and `state` where it has not heard of the thing at all.",
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}}
}
