package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// row is a line of the table: two sides that do the same work, of which the
// second is measured against the first.
type row struct {
	name  string // in the JSON
	what  string // for people
	unit  string // events/s, sagas/s, or ms
	sides [2]side
}

// side is one way to do the work, in a world of its own.
type side struct {
	label   string // in the JSON
	grown   bool   // its database has much in it already
	prepare func(context.Context, *world) (runner, error)
}

// against is a row that measures our way against the stock one.
func against(name, what, unit string, stock, ours func(context.Context, *world) (runner, error)) *row {
	return &row{name, what, unit, [2]side{{"stock", false, stock}, {"ours", false, ours}}}
}

// runner does the work of one round, verifies it and says how fast it was. In a
// warm-up it need not do all of it.
type runner func(ctx context.Context, warmUp bool) (*measured, error)

// measured is what a run gave: a rate, or how long each event took.
type measured struct {
	perSecond   float64
	took        []time.Duration
	cpuPerEvent float64 // µs of this process and Postgres
}

// value is the figure of the row: the rate, or the median in milliseconds.
func (m *measured) value() float64 {
	if m.took == nil {
		return m.perSecond
	}
	return latencyOf(m.took).p50
}

// results are the measured runs of a row's sides.
type results [2][]*measured

// measure runs a row: a warm-up of each side, then both in turns.
func (b *bench) measure(ctx context.Context, r *row) (_ *results, err error) {
	var runs [2]runner
	for i, s := range r.sides {
		if b.side != "both" && b.side != s.label {
			continue
		}
		w, err := b.newWorld(ctx, s.grown)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, w.close()) }() //nolint:gocritic // two worlds at the most, both used to the end
		began := time.Now()
		if err := bounded(ctx, "preparing "+s.label, func(ctx context.Context) error {
			runs[i], err = s.prepare(ctx, w)
			return err
		}); err != nil {
			return nil, err
		}
		b.say("%s: %s prepared in %v", r.name, s.label, time.Since(began).Round(time.Millisecond))
	}
	out := &results{}
	for round := 0; round <= b.rounds; round++ {
		for i, run := range runs {
			if run == nil {
				continue
			}
			label := r.sides[i].label
			if b.cpuprofile != "" && round == 1 && i == 1 {
				if b.profile, err = os.Create(b.cpuprofile + "." + r.name); err != nil {
					return nil, err
				}
			}
			runtime.GC() // what the round before left is not this one's
			var m *measured
			err := bounded(ctx, fmt.Sprintf("%s, round %d", label, round), func(ctx context.Context) error {
				m, err = run(ctx, round == 0)
				return err
			})
			b.profile = nil
			if err != nil {
				return nil, err
			}
			if round > 0 {
				b.say("%s: %s round %d: %s", r.name, label, round, m.text(r.unit))
				out[i] = append(out[i], m)
			}
		}
	}
	return out, nil
}

// text is a run for the impatient.
func (m *measured) text(unit string) string {
	if m.took == nil {
		return fmt.Sprintf("%s %s, %s µs of processor time each", show(m.perSecond), unit, show(m.cpuPerEvent))
	}
	l := latencyOf(m.took)
	return fmt.Sprintf("p50 %s, p95 %s, p99 %s %s", show(l.p50), show(l.p95), show(l.p99), unit)
}

func (b *bench) say(format string, args ...any) {
	if b.verbose {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
	}
}

// How long the bench waits for one thing, and for a whole round of one side,
// before it gives up.
const (
	patience = 5 * time.Minute
	atMost   = 10 * time.Minute
)

// bounded runs something with a context that ends in time, and says so.
func bounded(ctx context.Context, what string, do func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	err := do(within)
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		return fmt.Errorf("%s took longer than %v: %w", what, atMost, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// await looks every ten milliseconds until done says so: to look costs some of what
// is measured.
func await(ctx context.Context, what string, done func() (bool, error)) error {
	return awaitEvery(ctx, 10*time.Millisecond, what, done)
}

func awaitEvery(ctx context.Context, interval time.Duration, what string, done func() (bool, error)) error {
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-within.Done():
			return fmt.Errorf("waited %v for %s: %w", time.Since(began).Round(time.Second), what, within.Err())
		}
	}
}
