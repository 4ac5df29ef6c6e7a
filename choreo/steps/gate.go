package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"troupe/choreo"
)

// A circuit opens after so many failures in a row, of so many different steps at
// least: a single step that fails for itself stops nobody else.
const (
	failuresToOpen = 5
	stepsToOpen    = 3
)

// An open circuit lets one step try after firstPause, and after twice as long
// each time up to mostPause, or when the provider asked to come back, at most
// an hour later.
const (
	firstPause = time.Second
	mostPause  = 30 * time.Second
)

// gate stands between the steps of this process and one provider: it bounds the
// calls under way, and is a circuit. While that is open steps wait as they are:
// nothing is tried, written or counted. It is safe for concurrent use.
type gate struct {
	name  string
	limit int
	clock func() time.Time

	mu       sync.Mutex
	underWay int
	failures int            // in a row
	failing  map[int64]bool // the steps that failed in that row
	open     bool
	since    time.Time // when it opened
	pause    time.Duration
	retry    time.Time // when one may try
	probe    int64     // the step that tries, 0 where none does
}

func newGate(name string, limit int, clock func() time.Time) *gate {
	return &gate{name: name, limit: limit, clock: clock, failing: map[int64]bool{}}
}

// room is how many more steps may go through now, and in how long that changes by
// itself, 0 where it does not.
func (g *gate) room() (n int, wait time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return max(0, g.limit-g.underWay), 0
	}
	if wait = g.retry.Sub(g.clock()); wait > 0 {
		return 0, wait
	}
	if g.probe != 0 {
		return 0, 0
	}
	return 1, 0
}

// enter lets a step through, or not. While the circuit is open one step tries, and
// none that only asks.
func (g *gate) enter(id int64, asks bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open {
		if asks || g.probe != 0 || g.clock().Before(g.retry) {
			return false
		}
		g.probe = id
	} else if g.underWay >= g.limit {
		return false
	}
	g.underWay++
	return true
}

func (g *gate) leave(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.underWay--
	if g.probe == id {
		g.probe = 0 // it came to no call
	}
}

// change is what a call did to the circuit.
type change int

const (
	unchanged change = iota
	opened
	stillOpen
	closed
)

// report tells how a call went. A refusal is an answer like any other.
func (g *gate) report(id int64, err error) (c change, since time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil || choreo.IsRefused(err) {
		was := g.open
		g.open, g.failures, g.probe = false, 0, 0
		clear(g.failing)
		if was {
			return closed, g.since
		}
		return unchanged, g.since
	}
	g.failures++
	g.failing[id] = true
	switch now := g.clock(); {
	case !g.open && (g.failures < failuresToOpen || len(g.failing) < stepsToOpen):
		return unchanged, g.since
	case !g.open:
		g.open, g.since, g.pause, c = true, now, firstPause, opened
	case g.probe == id:
		g.probe, g.pause, c = 0, min(2*g.pause, mostPause), stillOpen
	default:
		return unchanged, g.since // it was called before the circuit opened
	}
	g.retry = g.clock().Add(max(g.pause, min(choreo.RetryAfter(err), time.Hour)))
	return c, g.since
}

// Trouble is a provider that does not answer.
type Trouble struct {
	Provider string
	Since    time.Time
}

func (t Trouble) String() string {
	return fmt.Sprintf("%s has not answered since %s: what calls it waits", t.Provider, t.Since.UTC().Format(time.RFC3339))
}

// Troubles are the providers that do not answer, as this process sees it.
func (r *Runner) Troubles() (all []Trouble) {
	for _, g := range r.gates { // by consumer: several have the same
		g.mu.Lock()
		if t := (Trouble{g.name, g.since}); g.open && !slices.Contains(all, t) {
			all = append(all, t)
		}
		g.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Trouble) int { return strings.Compare(a.Provider, b.Provider) })
	return all
}

// tell has a gate know how a call went, and notes from when to when its provider
// did not answer: that time counts for no step that waits to give up.
func (r *Runner) tell(ctx context.Context, g *gate, s *step, cause error) {
	if g == nil || ctx.Err() != nil {
		return
	}
	c, since := g.report(s.id, cause)
	var err error
	switch c {
	case unchanged:
		return
	case opened:
		r.o.Log.Warn("a provider does not answer: what calls it waits, and one step tries now and then",
			"provider", g.name, "consumer", s.rule.Consumer, "error", cause)
		_, err = r.db.Pool().ExecContext(ctx, `insert into choreo.outages (provider, process, opened, since, until)
			values ($1, $2, $3, choreo.troupe_now(), choreo.troupe_now()) on conflict do nothing`, g.name, r.process, since)
	case stillOpen:
		_, err = r.db.Pool().ExecContext(ctx, `update choreo.outages set until = choreo.troupe_now()
			where provider = $1 and process = $2 and opened = $3`, g.name, r.process, since)
	case closed:
		r.o.Log.Warn("a provider answers again", "provider", g.name, "after", g.clock().Sub(since).Round(time.Millisecond).String())
		_, err = r.db.Pool().ExecContext(ctx, `update choreo.outages set until = choreo.troupe_now()
			where provider = $1 and process = $2 and opened = $3`, g.name, r.process, since)
		r.Wake()
	}
	if err != nil && ctx.Err() == nil {
		r.o.Log.Warn("noting that a provider does not answer", "provider", g.name, "error", err)
	}
	if r.o.Provider != nil {
		r.o.Provider(g.name, c != closed)
	}
}

// down is for how long, since a step was last changed, its provider is known not
// to have answered: that time is none of its own.
func down(ctx context.Context, u *choreo.Unit, provider string, since time.Time) (total time.Duration, err error) {
	rows, err := u.SQL().QueryContext(ctx, `select greatest(since, $2), least(until, $3) from choreo.outages
		where provider = $1 and until > $2 and since < $3 order by since`, provider, since, u.Clock())
	if err != nil {
		return 0, fmt.Errorf("reading the outages of %s: %w", provider, err)
	}
	defer rows.Close()
	var end time.Time
	for rows.Next() { // several processes have seen the same
		var from, to time.Time
		if err := rows.Scan(&from, &to); err != nil {
			return 0, err
		}
		if from.Before(end) {
			from = end
		}
		if to.After(from) {
			total, end = total+to.Sub(from), to
		}
	}
	return total, rows.Err()
}
