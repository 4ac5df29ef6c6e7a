package api

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
)

const (
	mostWait   = 20 * time.Second       // of a long poll
	pollEvery  = 100 * time.Millisecond // looks for news
	scanWindow = 20_000                 // events that one statement looks at
	mostBytes  = 8 << 20                // of the facts in an answer, at least one
)

type eventsRequest struct {
	After int64  `query:"after" minimum:"0" doc:"The position read so far"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Topic string `query:"topic" example:"orders" doc:"Only facts of this topic"`
	Type  string `query:"type" example:"orders.OrderCanceled.v1" doc:"Only facts of this type"`
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

type pulledEvent struct {
	Position    int64           `json:"position"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Type        string          `json:"type"`
	Topic       string          `json:"topic"`
	Key         string          `json:"key"`
	Time        time.Time       `json:"time"`
	SagaID      string          `json:"sagaId"`
	CausationID *string         `json:"causationId" doc:"Id of the event reacted to; null for that of a command"`
	Emitter     string          `json:"emitter" doc:"The consumer or command"`
	Data        json.RawMessage `json:"data"`
}

type eventsAnswer struct {
	Body struct {
		Items    []pulledEvent `json:"items"`
		Position int64         `json:"position" doc:"To be given as after"`
	}
}

// pullEvents reads the log after a position. Where there is nothing it waits,
// until the time is up or the server stops.
func (s *Server) pullEvents(ctx context.Context, in *eventsRequest) (*eventsAnswer, error) {
	out := &eventsAnswer{}
	out.Body.Items, out.Body.Position = []pulledEvent{}, in.After
	deadline := time.NewTimer(in.wait)
	defer deadline.Stop()
	for {
		more, err := s.scanEvents(ctx, in, out)
		if err != nil {
			return nil, err
		}
		if len(out.Body.Items) > 0 {
			return out, nil
		}
		if more {
			continue
		}
		select {
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

// scanEvents reads one window of the log into the answer and moves its
// position on. It tells whether the log goes on behind the window. A position
// past the end stays as it is.
func (s *Server) scanEvents(ctx context.Context, in *eventsRequest, out *eventsAnswer) (more bool, err error) {
	from := out.Body.Position
	var head int64
	// The head is read first: what it covers has been committed.
	if err := s.DB.Pool().QueryRowContext(ctx, `select position from choreo.log_head`).Scan(&head); err != nil {
		return false, fmt.Errorf("reading the end of the log: %w", err)
	}
	if head <= from {
		return false, nil
	}
	to := head
	err = s.DB.Pool().QueryRowContext(ctx, `select position from choreo.event_log where position > $1 and position <= $2
		order by position offset $3 limit 1`, from, head, scanWindow-1).Scan(&to)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("reading the log after %d: %w", from, err)
	}
	rows, err := s.DB.Pool().QueryContext(ctx, `
		select position, coalesce((select source from choreo.streams where id = stream), source), event_id, type, key, at, saga,
			nullif(causation, ''), emitter, data
		from (
			select *, sum(octet_length(data)) over (order by position) - octet_length(data) as before
			from (
				select * from choreo.event_log
				where position > $1 and position <= $2
				  and ($3 = '' or split_part(type, '.', 1) = $3) and ($4 = '' or type = $4)
				order by position limit $5
			) page
		) sized
		where before < $6 order by position`,
		from, to, in.Topic, in.Type, in.Limit, mostBytes)
	if err != nil {
		return false, fmt.Errorf("reading the log after %d: %w", from, err)
	}
	defer rows.Close()
	var bytes int
	for rows.Next() {
		var e pulledEvent
		var data []byte
		if err := rows.Scan(&e.Position, &e.Source, &e.ID, &e.Type, &e.Key, &e.Time, &e.SagaID, &e.CausationID, &e.Emitter, &data); err != nil {
			return false, fmt.Errorf("reading the log after %d: %w", from, err)
		}
		e.Topic, e.Time, e.Data = choreo.Topic(e.Type), e.Time.UTC(), data
		bytes += len(data)
		out.Body.Items = append(out.Body.Items, e)
	}
	if err := rows.Err(); err != nil {
		return false, fmt.Errorf("reading the log after %d: %w", from, err)
	}
	out.Body.Position = to
	if n := len(out.Body.Items); n == in.Limit || bytes >= mostBytes {
		out.Body.Position = out.Body.Items[n-1].Position
	}
	return head > to, nil
}
