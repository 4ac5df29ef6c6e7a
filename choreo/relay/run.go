package relay

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lib/pq"
)

// A broker that does not answer is asked again between these.
const (
	retrySoonest = 200 * time.Millisecond
	retryLatest  = 2 * time.Second
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
	defer func() {
		if r.catching != nil {
			<-r.catching //nolint:errcheck // nobody would try again
		}
	}()
	hinted := false
	for ctx.Err() == nil {
		more, err := r.turn(ctx, hinted)
		if ctx.Err() == nil {
			r.tell(ctx, err)
		}
		if hinted = more; more {
			continue
		}
		if r.claimed >= many { // the next have come meanwhile
			hinted = true
			select {
			case <-ctx.Done():
			case <-time.After(breath):
			}
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

// Where a claim brings many facts and is not full, more come all the time: for a
// breath they are left to gather. A turn costs the same for one and for a dozen, and
// on a busy machine turns that follow each other at once take the processor from
// those who are to react.
const (
	many   = 8
	breath = 4 * time.Millisecond
)

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

// tell notes how a turn ended, and logs what has changed, once.
func (r *Relay) tell(ctx context.Context, err error) {
	state := Relaying
	if err != nil {
		state = HeldUp
	} else if !r.verified.Load() {
		state = Standby
	}
	before, since := r.course.turn(state, err)
	if before == state || before != HeldUp && state != HeldUp {
		return
	}
	s, _ := r.State(ctx) // without the count, where the database does not answer
	if state == HeldUp {
		r.log.Warn("relaying is held up; commands go on being accepted", "error", err, "waiting", s.Waiting)
	} else {
		r.log.Info("relaying again", "after", s.Since.Sub(since).Round(time.Millisecond), "waiting", s.Waiting)
	}
}

// turn sequences and forwards once; more tells that there is more to do now.
// While claims come back full, what one brought is published beside the next.
func (r *Relay) turn(ctx context.Context, hinted bool) (more bool, err error) {
	r.claimed = 0
	if !hinted {
		if idle, err := r.idle(ctx); idle || err != nil {
			return false, err
		}
	}
	if !r.current {
		return r.catchingUp(ctx)
	}
	_, err = r.Sequence(ctx)
	for err == nil && r.full && r.current {
		facts, published := r.fresh, make(chan error, 1)
		r.fresh = nil
		go func() {
			_, err := r.publish(ctx, facts)
			published <- err
		}()
		_, err = r.Sequence(ctx)
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
	return err == nil && (r.full || forwarded >= Batch), err
}

// catchingUp forwards what is behind. After a failure it is tried beside, at
// growing distance: the log goes on, and those fed from it, however long a broker
// does not answer.
func (r *Relay) catchingUp(ctx context.Context) (more bool, err error) {
	if r.failed == nil {
		err := r.catchUp(ctx)
		if errors.Is(err, ErrStandby) {
			return false, nil
		}
		if err == nil {
			return true, nil
		}
		r.later(err)
	}
	if r.catching == nil && !time.Now().Before(r.retryAt) {
		if !r.verified.Load() {
			if err := r.verify(ctx); errors.Is(err, ErrStandby) {
				r.failed = nil
				return false, nil
			} else if err != nil {
				r.later(err)
				return false, err
			}
		}
		r.catching = make(chan error, 1)
		go func(done chan<- error) {
			_, err := r.forwardPending(ctx)
			done <- err
		}(r.catching)
	}
	if r.verified.Load() {
		if _, err := r.Sequence(ctx); errors.Is(err, ErrStandby) {
			return false, nil
		} else if err != nil {
			return false, errors.Join(r.failed, err)
		}
	}
	select {
	case err := <-r.catching:
		if r.catching = nil; err == nil {
			r.failed, r.wait = nil, 0
			return true, nil
		}
		r.later(err)
	default:
	}
	return false, r.failed
}

// later says when to try again. Where only some partitions cannot be written, the
// others are not to wait.
func (r *Relay) later(err error) {
	r.failed = err
	if r.wait = min(max(2*r.wait, retrySoonest), retryLatest); errors.Is(err, errOthers) {
		r.wait = 0
	}
	r.retryAt = time.Now().Add(r.wait)
}

// catchUp forwards what another relay, or this one before an error, has left in
// the log, before more is added to it.
func (r *Relay) catchUp(ctx context.Context) (err error) {
	if !r.verified.Load() {
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
	if !r.verified.Load() || time.Since(r.held) > lease/3 {
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
