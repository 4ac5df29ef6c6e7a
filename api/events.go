package api

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo/eventlog"
	"troupe/choreo/pull"
)

const (
	mostWait  = 20 * time.Second       // of a long poll
	pollEvery = 200 * time.Millisecond // looks for news where no hint of them comes
)

// EventsQuery is the part of a request that says which events.
type EventsQuery struct {
	After int64  `query:"after" minimum:"0" doc:"The position read so far"`
	Topic string `query:"topic" example:"orders" doc:"Only facts of this topic, or of these with commas between"`
	Type  string `query:"type" example:"orders.OrderCanceled.v1" doc:"Only facts of this type, or of these with commas between"`
	Saga  string `query:"saga" doc:"Only facts of this saga"`
	Key   string `query:"key" doc:"Only facts of this key"`
}

func (q EventsQuery) query(limit int) pull.Query {
	split := func(list string) []string {
		return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return pull.Query{After: q.After, Limit: limit, Topics: split(q.Topic), Types: split(q.Type), Saga: q.Saga, Key: q.Key}
}

type eventsRequest struct {
	EventsQuery

	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Wait  string `query:"wait" example:"20s" doc:"How long to wait for the first event, at most 20s"`

	wait time.Duration
}

// Resolve reads the time to wait: a duration such as 20s, or seconds.
func (r *eventsRequest) Resolve(huma.Context) []error {
	if r.Wait == "" {
		return nil
	}
	d, err := time.ParseDuration(r.Wait)
	if seconds, atoi := strconv.Atoi(r.Wait); atoi == nil {
		d, err = time.Duration(min(max(seconds, -1), 60))*time.Second, nil
	}
	if err != nil || d < 0 {
		return []error{&huma.ErrorDetail{Location: "query.wait", Message: "expected a duration such as 20s"}}
	}
	r.wait = min(d, mostWait)
	return nil
}

type eventsAnswer struct {
	Body struct {
		Items    []pull.Event `json:"items" nullable:"false"`
		Position int64        `json:"position" doc:"To be given as after"`
	}
}

// pullEvents reads the log after a position. Where there is nothing it waits,
// until the time is up or the server stops. A position past the end is answered
// back.
func (s *Server) pullEvents(ctx context.Context, in *eventsRequest) (*eventsAnswer, error) {
	out := &eventsAnswer{}
	deadline := time.NewTimer(in.wait)
	defer deadline.Stop()
	for query := in.query(in.Limit); ; {
		news := s.Hints.Next()
		page, more, err := eventlog.Read(ctx, s.DB, query)
		if err != nil {
			return nil, err
		}
		out.Body.Items, out.Body.Position, query.After = page.Items, page.Position, page.Position
		if len(page.Items) > 0 {
			return out, nil
		}
		if more {
			continue
		}
		select {
		case <-news:
		case <-time.After(pollEvery):
		case <-deadline.C:
			return out, nil
		case <-s.stopping:
			return out, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
