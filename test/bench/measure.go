package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// row is a line of the table.
type row struct {
	name string // in the JSON
	what string // for people
	unit string // events/s, sagas/s, or ms
	// prepare makes the two ways of doing the row's work, in a world of their
	// own. Ours is measured against stock.
	prepare func(context.Context, *world) (*pair, error)
}

// pair is the two ways. A run does the work of one round, verifies it and says
// how fast it was; of a warm-up it does a tenth.
type pair struct {
	stock, ours func(ctx context.Context, warmUp bool) (*measured, error)
}

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

// results are the measured runs of a row.
type results struct{ stock, ours []*measured }

// measure runs a row: a warm-up of each side, then both in turns.
func (b *bench) measure(ctx context.Context, r *row) (_ *results, err error) {
	began := time.Now()
	w, err := b.newWorld(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	p, err := r.prepare(ctx, w)
	if err != nil {
		return nil, err
	}
	b.say("%s: prepared in %v", r.name, time.Since(began).Round(time.Millisecond))
	out := &results{}
	for round := 0; round <= b.rounds; round++ {
		for _, side := range []struct {
			name string
			run  func(context.Context, bool) (*measured, error)
			to   *[]*measured
		}{{"stock", p.stock, &out.stock}, {"ours", p.ours, &out.ours}} {
			if b.side != "both" && b.side != side.name {
				continue
			}
			if b.cpuprofile != "" && round == 1 && side.name == "ours" {
				if b.profile, err = os.Create(b.cpuprofile + "." + r.name); err != nil {
					return nil, err
				}
			}
			runtime.GC() // what the round before left is not this one's
			m, err := side.run(ctx, round == 0)
			b.profile = nil
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", side.name, round, err)
			}
			b.say("%s: %s round %d: %.4g %s, %.3g µs of processor time each", r.name, side.name, round, m.value(), r.unit, m.cpuPerEvent)
			if round > 0 {
				*side.to = append(*side.to, m)
			}
		}
	}
	return out, nil
}

func (b *bench) say(format string, args ...any) {
	if b.verbose {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
	}
}

// await looks every two milliseconds until done says so.
func await(ctx context.Context, what string, done func() (bool, error)) error {
	return awaitEvery(ctx, 2*time.Millisecond, what, done)
}

func awaitEvery(ctx context.Context, interval time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
}
