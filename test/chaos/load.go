package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// load is what clients do meanwhile: `troupe demo`, round after round. Each
// checks its own sums.
type load struct {
	ending chan struct{}
	ended  chan error
}

func startLoad(ctx context.Context, c *cluster, o options, b *book) *load {
	l := &load{ending: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		for {
			if err := c.round(ctx, o, b); err != nil {
				l.ended <- err
				return
			}
			select {
			case <-l.ending:
				l.ended <- nil
				return
			default:
			}
		}
	}()
	return l
}

// calm is a round before anything is broken: what it does not do by then proves
// nothing later, and what it has done must be there in the end.
func (c *cluster) calm(ctx context.Context, o options, b *book) error {
	if b.Before != nil {
		return nil
	}
	if err := c.round(ctx, o, b); err != nil {
		return err
	}
	if r := b.Rounds[len(b.Rounds)-1]; !r.OK {
		return fmt.Errorf("the load does not run though nothing is broken: %s", r.Wrong)
	}
	before, err := c.count(ctx)
	if err != nil {
		return err
	}
	return b.write(func() { b.Before = &before })
}

// round is one run of the load. That its sums do not add up is written down;
// an error is that it could not be run.
func (c *cluster) round(ctx context.Context, o options, b *book) error {
	r, began := round{Seed: b.Seed*1000 + uint64(len(b.Rounds))}, time.Now()
	out, err := c.troupe(ctx, "demo", "--url", c.url(), "--sandbox", c.sandboxURL(), "--sagas", strconv.Itoa(o.sagas), "--seed", strconv.FormatUint(r.Seed, 10),
		"--concurrency", "8", "--patience", "3m", "--wait", "5m")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if r.OK = err == nil; !r.OK {
		r.Wrong = fmt.Sprintf("%v: %s", err, tail(out, 2000))
	}
	r.Took = time.Since(began).Round(time.Second).String()
	fmt.Fprintf(os.Stderr, "%s  load of seed %d: %v after %s\n", began.Format(time.TimeOnly), r.Seed, cmp.Or(r.Wrong, "ok"), r.Took)
	return b.write(func() { b.Rounds = append(b.Rounds, r) })
}

// finish waits for the round at hand.
func (l *load) finish(ctx context.Context) error {
	close(l.ending)
	select {
	case err := <-l.ended:
		return err
	case <-ctx.Done():
		return <-l.ended
	}
}

func (c *cluster) url() string { return "http://127.0.0.1:" + strconv.Itoa(c.ports.api) }

func (c *cluster) sandboxURL() string { return "http://127.0.0.1:" + strconv.Itoa(c.ports.sandbox) }

func tail(b []byte, n int) string {
	if len(b) > n {
		b = b[len(b)-n:]
	}
	return string(b)
}
