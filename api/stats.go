package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"troupe/events"
	"troupe/views/salesstats"
)

// mostDays is the longest span of statistics.
const mostDays = 3700

// stats adds what staff wants to know in sums.
func (s *Server) stats() {
	register(s, staffOnly, huma.Operation{
		OperationID: "sales-stats", Method: http.MethodGet, Path: "/stats/sales", Tags: []string{"orders"},
		Summary: "Sales by UTC days and currency",
		Description: "Orders that were confirmed, on the day they were, and what was given back of them, on the day it was. " +
			"A day without either is left out. From a view, a moment behind: give `seen` to read what you wrote.",
	}, s.salesStats)
}

type salesRequest struct {
	ViewRequest

	From string `query:"from" format:"date" example:"2026-01-01" doc:"The first day; a year before the end by default"`
	To   string `query:"to" format:"date" example:"2026-02-01" doc:"The end, which is not in it; tomorrow by default. One that is the first day means that day"`

	from, to time.Time
}

// Resolve reads the days.
func (r *salesRequest) Resolve(huma.Context) []error {
	r.to = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)
	day := func(name, text string, into *time.Time) []error {
		if text == "" {
			return nil
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return []error{&huma.ErrorDetail{Location: "query." + name, Message: "expected a day such as 2026-01-31"}}
		}
		*into = t
		return nil
	}
	errs := day("to", r.To, &r.to)
	r.from = r.to.AddDate(-1, 0, 0)
	errs = append(errs, day("from", r.From, &r.from)...)
	if r.from.Equal(r.to) {
		r.to = r.to.AddDate(0, 0, 1)
	}
	if days := r.to.Sub(r.from).Hours() / 24; len(errs) == 0 && (days < 0 || days > mostDays) {
		errs = append(errs, &huma.ErrorDetail{Location: "query.to", Message: "expected a day after from, at most ten years"})
	}
	return errs
}

type salesDay struct {
	Day      string       `json:"day" example:"2026-01-31"`
	Orders   int64        `json:"orders"`
	Gross    events.Money `json:"gross"`
	Refunded events.Money `json:"refunded"`
	Net      events.Money `json:"net"`
}

type salesAnswer struct {
	Status int
	Body   struct {
		Items []salesDay `json:"items" nullable:"false"`
	}
}

func (s *Server) salesStats(ctx context.Context, in *salesRequest) (*salesAnswer, error) {
	status, err := s.seen(ctx, salesstats.Name, "", in.ViewRequest)
	if err != nil {
		return nil, err
	}
	days, err := salesstats.Days(ctx, s.DB.ViewsHome().Pool(), in.from, in.to)
	if err != nil {
		return nil, err
	}
	out := &salesAnswer{Status: status}
	out.Body.Items = []salesDay{}
	for _, d := range days {
		out.Body.Items = append(out.Body.Items, salesDay{d.Day.Format(time.DateOnly), d.Orders, d.Gross, d.Refunded, d.Net})
	}
	return out, nil
}
