package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"troupe/choreo/consume"
)

// replayed is how many times the events of the other rows a replay has: it is
// over too soon otherwise.
const replayed = 5

// replaying prepares our side: a consumer whose watermark stands at the end, and
// whose group begins at the earliest offset.
func replaying(ctx context.Context, w *world) (runner, error) {
	begin := func() {}
	e, err := newEngine(ctx, w, deposits(), inParallel(ourName, begin))
	if err != nil {
		return nil, err
	}
	s := newStream(w.events * replayed)
	if err := e.preload(ctx, s); err != nil {
		return nil, err
	}
	if err := resetAccounts(ctx, e.pool, s.accounts()); err != nil {
		return nil, err
	}
	if _, err := e.pool.ExecContext(ctx, `insert into choreo.watermarks (consumer, source, topic, partition, sequence)
		select $1, $2, topic, partition, head from choreo.streams`, ourName, e.db.Source()); err != nil {
		return nil, err
	}
	return func(ctx context.Context, warmUp bool) (*measured, error) {
		if err := e.forget(ctx, ourName); err != nil {
			return nil, err
		}
		until := s.events
		if warmUp {
			until /= 10
		}
		m, err := e.skip(ctx, until)
		if err != nil || warmUp {
			return nil, err
		}
		return m, e.checkUntouched(ctx, until)
	}, nil
}

// skip takes the time from the first batch that was skipped to the last.
func (e *engine) skip(ctx context.Context, until int) (*measured, error) {
	watch := &stopwatch{bench: e.bench, profile: e.profile}
	r, err := e.consume(ctx)
	if err != nil {
		return nil, err
	}
	var before, n int
	err = await(ctx, "the replay", func() (bool, error) {
		var err error
		if n, err = r.counted(consume.Duplicate); before == 0 && n > 0 {
			before = n
			watch.start()
		}
		return n >= until, err
	})
	watch.stop()
	return watch.rate(n - before), errors.Join(err, r.stop())
}

// checkUntouched verifies that a replay changed nothing, and says so.
func (e *engine) checkUntouched(ctx context.Context, events int) error {
	var facts, booked, behind int
	err := e.pool.QueryRowContext(ctx, `select (select count(*) from choreo.outbox),
		(select count(*) from accounts where balance <> 0 or digest <> 0),
		(select count(*) from choreo.streams s join choreo.watermarks w using (topic, partition)
			where w.consumer = $1 and w.sequence <> s.head)`, ourName).Scan(&facts, &booked, &behind)
	if err == nil && facts+booked+behind > 0 {
		err = fmt.Errorf("a replay emitted %d facts, changed %d accounts and moved %d watermarks", facts, booked, behind)
	}
	e.say("replay_skip: %d events from offset 0 on, %d facts emitted, %d accounts changed, %d watermarks moved", events, facts, booked, behind)
	return err
}

// stockReplaying prepares the stock side, whose inbox knows all messages.
func stockReplaying(ctx context.Context, w *world) (runner, error) {
	c, err := newStockConsumer(ctx, w, newStream(w.events/10))
	if err != nil {
		return nil, err
	}
	if err := resetAccounts(ctx, c.pool, c.events.accounts()); err != nil {
		return nil, err
	}
	began := time.Now()
	if _, err := c.run(ctx, c.events.events); err != nil {
		return nil, err
	}
	c.say("replay_skip: the stock side took its messages for the first time in %v", time.Since(began).Round(time.Second))
	return func(ctx context.Context, warmUp bool) (*measured, error) {
		until := c.events.events
		if warmUp {
			until /= 10
		}
		m, err := c.run(ctx, until)
		if err != nil || warmUp {
			return nil, err
		}
		return m, c.check(ctx)
	}, nil
}
