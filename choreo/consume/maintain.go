package consume

import (
	"context"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/choreo/steps"
)

const (
	// inboxFor is how long a foreign event that was taken is remembered by its id.
	inboxFor = 7 * 24 * time.Hour
	// outagesFor is longer than any step waits before it gives up.
	outagesFor = 60 * 24 * time.Hour
	// maintainEvery is how often a process looks after its consumers.
	maintainEvery = time.Minute
	// maintainAtOnce bounds a statement that looks after old rows.
	maintainAtOnce = 1000
)

// Maintain looks after the rows of consumers, apart from their batches: events
// that waited for this binary get into their lines, those that nobody came to
// know in a week are parked, and foreign events taken a week ago are forgotten.
// Several processes may do it at once.
func Maintain(ctx context.Context, db *choreo.DB, consumers []*choreo.Consumer) (promoted int, err error) {
	for _, c := range consumers {
		db := db.Home(c)
		for more := true; more; {
			n, err := steps.Promote(ctx, db, c)
			if err != nil {
				return promoted, err
			}
			promoted, more = promoted+n, n > 0
		}
		for parked := int64(maintainAtOnce); parked == maintainAtOnce; {
			if parked, err = steps.ParkUnknown(ctx, db, c.Name, maintainAtOnce); err != nil {
				return promoted, err
			}
		}
		for forgotten := int64(maintainAtOnce); forgotten == maintainAtOnce; {
			if forgotten, err = forget(ctx, db, c.Name); err != nil {
				return promoted, err
			}
		}
	}
	_, err = db.Pool().ExecContext(ctx, `delete from choreo.outages where until < choreo.troupe_now() - make_interval(secs => $1)`,
		outagesFor.Seconds())
	if err != nil {
		return promoted, fmt.Errorf("clearing the outages of providers: %w", err)
	}
	return promoted, nil
}

// forget removes foreign events from the inbox that came long ago.
func forget(ctx context.Context, db *choreo.DB, consumer string) (int64, error) {
	result, err := db.Pool().ExecContext(ctx, `delete from choreo.inbox where ctid = any (array(
		select ctid from choreo.inbox where consumer = $1 and at < choreo.troupe_now() - make_interval(secs => $2)
		order by at limit $3 for update skip locked))`, consumer, inboxFor.Seconds(), maintainAtOnce)
	if err != nil {
		return 0, fmt.Errorf("clearing the inbox of %s: %w", consumer, err)
	}
	return result.RowsAffected()
}

// maintain looks after the consumers of the process now and then until ctx ends.
func (p *Process) maintain(ctx context.Context) error {
	tick := time.NewTicker(maintainEvery)
	defer tick.Stop()
	for {
		n, err := Maintain(ctx, p.db, p.consumers)
		switch {
		case err != nil && ctx.Err() == nil:
			p.log.Warn("looking after the consumers; it is tried again", "error", err)
		case n > 0:
			p.log.Info("events got into their lines that had waited for a binary which knows their type", "events", n)
			for _, r := range p.runners {
				r.Wake()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
