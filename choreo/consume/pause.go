package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/choreo/broker"
)

// lookPaused is how often a paused consumer looks whether it may go on.
const lookPaused = 500 * time.Millisecond

// batchWhenResumed applies a batch, and holds it while the consumer is paused:
// the rest of its partitions waits behind it.
func (a *Applier) batchWhenResumed(ctx context.Context, b *broker.Batch) (Counts, error) {
	for {
		counts, err := a.Batch(ctx, b)
		if !errors.Is(err, ErrPaused) {
			return counts, err
		}
		if err := a.awaitResume(ctx); err != nil {
			return nil, err
		}
	}
}

// awaitResume waits until the consumer is not paused any more.
func (a *Applier) awaitResume(ctx context.Context) error {
	tick := time.NewTicker(lookPaused)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var paused bool
		err := a.home().Pool().QueryRowContext(ctx, `select exists (select from choreo.consumers where consumer = $1 and paused_at is not null)`,
			a.Consumer.Name).Scan(&paused)
		if err != nil {
			return fmt.Errorf("asking whether %s is paused: %w", a.Consumer.Name, err)
		}
		if !paused {
			return nil
		}
	}
}

// Pause holds a consumer still, or lets it go on, in every process. When it
// returns, no batch commits any more and no step begins; a call under way ends.
// Twice is once; changed tells whether it was otherwise before.
func Pause(ctx context.Context, db *choreo.DB, c *choreo.Consumer, pause bool) (changed bool, err error) {
	home, action := db.Home(c), "consumers pause"
	if !pause {
		action = "consumers resume"
	}
	if err := choreo.Register(ctx, db); err != nil { // one that is new gets its first position
		return false, err
	}
	err = home.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		before := false
		err := u.SQL().QueryRowContext(ctx, `insert into choreo.consumers as c (consumer, topics, local, registered_at)
			values ($1, $3, $4, $2) on conflict (consumer) do update set consumer = c.consumer returning paused_at is not null`,
			c.Name, u.Clock(), pq.Array(c.Topics()), c.Local()).Scan(&before) // a database of views registers nobody
		if err != nil || before == pause {
			return err
		}
		changed = true
		if _, err := u.SQL().ExecContext(ctx, `update choreo.consumers set paused_at = case when $2 then $3::timestamptz end where consumer = $1`,
			c.Name, pause, u.Clock()); err != nil {
			return err
		}
		return u.Audit(ctx, action, c.Name, 1, "")
	})
	if err != nil {
		return false, fmt.Errorf("%s %s: %w", action, c.Name, err)
	}
	if !pause {
		return changed, nil
	}
	// A batch that has not seen the flag holds its watermarks until it commits.
	_, err = home.Pool().ExecContext(ctx, `with w as (select from choreo.watermarks where consumer = $1 for update),
		f as (select from choreo.foreign_offsets where consumer = $1 for update)
		select (select count(*) from w) + (select count(*) from f)`, c.Name)
	if err != nil {
		return changed, fmt.Errorf("%s is paused; waiting for its batches under way: %w", c.Name, err)
	}
	return changed, nil
}
