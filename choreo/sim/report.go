package sim

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"time"

	"troupe/choreo"
)

// OK tells whether the run ended with every invariant holding.
func (r *Report) OK() bool { return r.Err == nil && len(r.Violations) == 0 }

// Invariants are those that were broken, each once.
func (r *Report) Invariants() (names []string) {
	for _, v := range r.Violations {
		if !slices.Contains(names, v.Invariant) {
			names = append(names, v.Invariant)
		}
	}
	return names
}

// around is how many lines of the trace a report shows.
const around = 60

// Write prints the counts, and for a run that failed what is wrong and the part
// of its trace that tells why.
func (r *Report) Write(w io.Writer) {
	for _, name := range slices.Sorted(maps.Keys(r.Counts)) {
		fmt.Fprintf(w, "  %-28s %d\n", name, r.Counts[name])
	}
	if r.Err != nil {
		fmt.Fprintf(w, "the simulation cannot go on: %v\n", r.Err)
		r.lastLines(w, "")
	}
	shown := map[string]bool{}
	for i, v := range r.Violations {
		if i == 20 {
			fmt.Fprintf(w, "… and %d more\n", len(r.Violations)-i)
			break
		}
		fmt.Fprintf(w, "BROKEN %s\n", v)
	}
	for _, v := range r.Violations {
		if !shown[v.Saga] && len(shown) < 2 {
			shown[v.Saga] = true
			r.lastLines(w, v.Saga)
		}
	}
	fmt.Fprintf(w, "seed %d: %d sagas, %d points, %v simulated in %v, %d invariants broken\n", r.Seed, r.Sagas,
		r.Counts["points"], r.Simulated.Truncate(time.Second), r.Took.Truncate(time.Millisecond), len(r.Invariants()))
	fmt.Fprintf(w, "digest: %s\n", r.Digest)
}

// lastLines prints the last lines of the trace that are about a saga, or of all.
func (r *Report) lastLines(w io.Writer, saga string) {
	var lines []line
	for _, l := range r.lines {
		if saga == "" || l.saga == saga {
			lines = append(lines, l)
		}
	}
	fmt.Fprintf(w, "the trace of %s:\n", map[bool]string{true: "everything", false: "saga " + saga}[saga == ""])
	for _, l := range lines[max(0, len(lines)-around):] {
		fmt.Fprintf(w, "%7d %s\n", l.n, l.text)
	}
}

// openPlain opens the database as it is at the end, at the simulation's time.
func openPlain(address string, now time.Time) (*sql.DB, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	q.Set("troupe.now", now.Format(time.RFC3339Nano))
	u.RawQuery = q.Encode()
	return sql.Open("postgres", u.String())
}

func (s *Sim) reopen(ctx context.Context, pool *sql.DB) (*choreo.DB, error) {
	return choreo.Open(ctx, pool, s.flow, choreo.Options{Random: randomness{s}})
}
