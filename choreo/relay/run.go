package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lib/pq"
)

// Run relays until ctx ends. hints wakes it; without one it looks ten times a
// second.
func (r *Relay) Run(ctx context.Context, hints <-chan *pq.Notification) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	defer func() {
		if err := r.Release(); err != nil {
			r.log.Info("stopping the relay", "error", err)
		}
	}()
	var beside sync.WaitGroup
	beside.Go(func() { r.keep(ctx) })
	beside.Go(func() { r.collect(ctx) })
	defer beside.Wait()
	var last string
	hinted := false
	for ctx.Err() == nil {
		more, err := r.turn(ctx, hinted)
		switch {
		case err == nil:
			if last != "" {
				r.log.Info("relaying again")
			}
			last = ""
		case ctx.Err() != nil:
		case err.Error() != last:
			last = err.Error()
			r.log.Warn("relaying is held up; commands go on being accepted", "error", err)
		}
		if hinted = more; more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-hints:
			hinted = true
			drain(hints)
		case <-tick.C:
		}
	}
	return nil
}

// drain takes the hints that wait: one turn is enough for all of them.
func drain(hints <-chan *pq.Notification) {
	for {
		select {
		case _, open := <-hints:
			if !open {
				return
			}
		default:
			return
		}
	}
}

// turn sequences and forwards once; more tells that there is more to do now.
// While claims come back full, what one brought is published beside the next.
func (r *Relay) turn(ctx context.Context, hinted bool) (more bool, err error) {
	if !hinted {
		if idle, err := r.idle(ctx); idle || err != nil {
			return false, err
		}
	}
	if !r.current {
		if err := r.catchUp(ctx); errors.Is(err, ErrStandby) {
			return false, nil
		} else if err != nil { // Kafka is away: the log goes on, and those fed from it
			_, also := r.Sequence(ctx)
			return false, errors.Join(err, also)
		}
		return true, nil
	}
	sequenced, err := r.Sequence(ctx)
	for err == nil && sequenced == Batch && r.current {
		facts, published := r.fresh, make(chan error, 1)
		r.fresh = nil
		go func() { published <- r.publish(ctx, facts) }()
		sequenced, err = r.Sequence(ctx)
		if failed := <-published; failed != nil {
			r.behind()
			err = errors.Join(failed, err)
		}
	}
	if errors.Is(err, ErrStandby) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	forwarded, err := r.Forward(ctx)
	return err == nil && (sequenced == Batch || forwarded >= Batch), err
}

// catchUp forwards what another relay, or this one before an error, has left in
// the log, before more is added to it.
func (r *Relay) catchUp(ctx context.Context) (err error) {
	if !r.verified {
		err = r.verify(ctx)
	} else {
		err = r.hold(ctx, r.db.Pool())
	}
	if err == nil {
		_, err = r.Forward(ctx)
	}
	return err
}

// behind has the next Forward read what is not on Kafka from the log.
func (r *Relay) behind() { r.current, r.fresh = false, nil }

// idle tells that there is nothing to do: the lease need not be renewed yet, no
// fact waits, and all is forwarded. A relay at rest writes nothing.
func (r *Relay) idle(ctx context.Context) (idle bool, err error) {
	if !r.verified || time.Since(r.held) > lease/3 {
		return false, nil
	}
	err = r.db.Pool().QueryRowContext(ctx, `select not exists (select from choreo.outbox where id > $1)
		and not exists (select from choreo.streams s join choreo.forwarded f on f.stream = s.id
		                where s.source = $2 and s.head > f.sequence)`, r.floor.id, r.db.Source()).Scan(&idle)
	if err != nil {
		return false, fmt.Errorf("looking for work: %w", err)
	}
	return idle, nil
}
