package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
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
	perSecond float64
	took      []time.Duration
}

func rate(events int, took time.Duration) *measured {
	return &measured{perSecond: float64(events) / took.Seconds()}
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
			profiled := b.cpuprofile != "" && round == 1 && side.name == "ours"
			m, err := b.once(ctx, r, profiled, func() (*measured, error) { return side.run(ctx, round == 0) })
			if err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", side.name, round, err)
			}
			b.say("%s: %s round %d: %.4g %s", r.name, side.name, round, m.value(), r.unit)
			if round > 0 {
				*side.to = append(*side.to, m)
			}
		}
	}
	return out, nil
}

func (b *bench) once(ctx context.Context, r *row, profiled bool, run func() (*measured, error)) (*measured, error) {
	runtime.GC() // what the round before left is not this one's
	if !profiled {
		return run()
	}
	f, err := os.Create(b.cpuprofile + "." + r.name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	defer pprof.StopCPUProfile()
	return run()
}

func (b *bench) say(format string, args ...any) {
	if b.verbose {
		fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
	}
}

// await looks every two milliseconds until done says so.
func await(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
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
