package salesstats_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/choreo/pull"
	"troupe/events"
	"troupe/handlers"
	"troupe/views/salesstats"
)

// ledger is the view with events told to it, each at a time.
type ledger struct {
	*choreotest.Stage
	t *testing.T
	n int64
}

func (l *ledger) tell(at string, facts ...choreo.Fact) {
	l.t.Helper()
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		l.t.Fatal(err)
	}
	var list []pull.Event
	for _, f := range facts {
		data, err := json.Marshal(f)
		if err != nil {
			l.t.Fatal(err)
		}
		l.n++
		list = append(list, pull.Event{Position: l.n, ID: fmt.Sprint(l.n), Type: f.FactType(), Key: f.Key(), Time: when, Data: data})
	}
	tx, err := l.DB.Pool().Begin()
	if err != nil {
		l.t.Fatal(err)
	}
	defer tx.Rollback()
	if _, err := tx.Exec(`set local search_path = sales_stats`); err != nil {
		l.t.Fatal(err)
	}
	for range 2 { // told twice, each counts once
		if err := salesstats.Project(l.t.Context(), tx, list); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		l.t.Fatal(err)
	}
}

func TestSalesByUTCDays(t *testing.T) {
	t.Parallel()
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	l := &ledger{t: t, Stage: choreotest.New(t, flow, handlers.Migrate)}
	order := func(id string, amount int64, currency string) choreo.Fact {
		return events.OrderSubmitted{OrderID: id, AccountID: "a", PaymentMethodID: "m", Total: events.Money{Amount: amount, Currency: currency}}
	}
	confirmed := func(id string) choreo.Fact { return events.OrderConfirmed{OrderID: id, AccountID: "a"} }
	refunded := func(id string, amount int64) choreo.Fact {
		return events.PaymentRefunded{OrderID: id, RefundID: "r", Amount: events.Money{Amount: amount, Currency: "EUR"}}
	}
	l.tell("2026-03-01T23:59:59Z", order("kept", 1000, "EUR"), order("refunded", 700, "EUR"), order("never", 5, "EUR"), order("dollars", 300, "USD"))
	l.tell("2026-03-02T01:30:00+02:00", confirmed("kept")) // 23:30 UTC of the day before
	l.tell("2026-03-02T00:00:00Z", confirmed("refunded"), confirmed("dollars"), confirmed("nobody's"), events.OrderShipped{OrderID: "kept"})
	l.tell("2026-03-03T10:00:00Z", refunded("refunded", 700), refunded("never", 5)) // a charge that was no sale
	l.tell("2026-03-03T11:00:00Z", confirmed("refunded"), refunded("refunded", 700))

	read := func(from, to string) (all []string) {
		t.Helper()
		begin, _ := time.Parse(time.DateOnly, from)
		end, _ := time.Parse(time.DateOnly, to)
		days, err := salesstats.Days(t.Context(), l.DB.Pool(), begin, end)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range days {
			all = append(all, fmt.Sprintf("%s %d %d-%d=%d %s", d.Day.Format(time.DateOnly), d.Orders, d.Gross.Amount, d.Refunded.Amount, d.Net.Amount, d.Net.Currency))
		}
		return all
	}
	all := []string{"2026-03-01 1 1000-0=1000 EUR", "2026-03-02 1 700-0=700 EUR", "2026-03-02 1 300-0=300 USD", "2026-03-03 0 0-700=-700 EUR"}
	if got := read("2026-01-01", "2027-01-01"); !slices.Equal(got, all) {
		t.Errorf("sales %q, want %q", got, all)
	}
	if got := read("2026-03-02", "2026-03-03"); !slices.Equal(got, all[1:3]) {
		t.Errorf("sales of one day %q, want %q", got, all[1:3])
	}
}
