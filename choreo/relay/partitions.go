package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// room is how many positions a partition of the log has: choreo.add_log_partition
// says so too. A new one begins at its own first position, so positions jump
// where a partition ends.
const room = 100_000_000

// share of the log that a partition has at least when it is closed at the end of
// a day. So there are about 32 for the first month, or for the retention, and
// only a few more each time the log has doubled: a question that has to look at
// all of them stays cheap.
const share = 32

var (
	errNoPartition = errors.New("no partition of the log is made ahead")
	errFull        = errors.New("foreign events have filled the partition of the log meanwhile")
)

// written is the partition of the log that is written, as this relay knows it.
type written struct {
	number int
	head   int64     // the last position given out
	until  time.Time // at the end of that day it is asked whether to close it
}

func (w *written) first() int64 { return int64(w.number-1)*room + 1 }

// fits tells whether n more facts go into it without asking.
func (w *written) fits(n int, now time.Time) bool {
	return w.number > 0 && now.Before(w.until) && w.head+int64(n) < w.first()+room
}

// openPartition sees to it that the log has a partition for n more facts, in a
// transaction that has locked the lease. last is what was known of it before. At the end of a day, and when it is full, it closes
// the one that is written, and opens the next.
func openPartition(ctx context.Context, tx *sql.Tx, last written, now time.Time, n int) (written, error) {
	if last.fits(n, now) {
		return last, nil
	}
	var w written
	var opened sql.NullTime
	err := tx.QueryRowContext(ctx, `select coalesce(p.number, 0), p.opened_at, h.position from choreo.log_head h
		left join choreo.log_partitions p on p.opened_at is not null and p.closed_at is null`).Scan(&w.number, &opened, &w.head)
	if err != nil {
		return w, fmt.Errorf("reading which partition of the log is written: %w", err)
	}
	w.until = endOfDay(now)
	if w.number > 0 {
		w.head = max(w.head, w.first()-1)
		full := w.head+int64(n) >= w.first()+room
		if !full && now.Before(endOfDay(opened.Time)) {
			w.until = endOfDay(opened.Time)
			return w, nil
		}
		if !full {
			large, err := w.hasItsShare(ctx, tx)
			if err != nil || !large {
				return w, err
			}
		}
		if err := w.close(ctx, tx, now); err != nil {
			return w, err
		}
	}
	err = tx.QueryRowContext(ctx, `update choreo.log_partitions set opened_at = $1
		where number = (select min(number) from choreo.log_partitions where opened_at is null) returning number`, now).Scan(&w.number)
	if errors.Is(err, sql.ErrNoRows) {
		return w, errNoPartition
	}
	if err != nil {
		return w, fmt.Errorf("opening partition %d of the log: %w", w.number, err)
	}
	w.head = w.first() - 1
	return w, nil
}

func endOfDay(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour) }

func (w *written) hasItsShare(ctx context.Context, tx *sql.Tx) (large bool, err error) {
	here := w.head - w.first() + 1
	err = tx.QueryRowContext(ctx, `select $1::bigint > 0 and $1 * $2 >= $1 + (select coalesce(sum(last_position - (number - 1) * $3::bigint), 0)
		from choreo.log_partitions where closed_at is not null and dropped_at is null)`, here, share, room).Scan(&large)
	if err != nil {
		return false, fmt.Errorf("asking how large the log is: %w", err)
	}
	return large, nil
}

// close notes where the partition ends, and where every stream stands there.
func (w *written) close(ctx context.Context, tx *sql.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, `
		with closed as (update choreo.log_partitions set closed_at = $2, last_position = $3 where number = $1)
		insert into choreo.log_cuts (source, topic, partition, sequence, position)
		select source, topic, partition, head, $3 from choreo.streams`, w.number, now, w.head)
	if err != nil {
		return fmt.Errorf("closing partition %d of the log: %w", w.number, err)
	}
	return nil
}

// MakeAhead makes the partition that follows the one that is written, unless it
// is there.
func (r *Relay) MakeAhead(ctx context.Context) error {
	return r.makeAhead(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := r.guard(ctx, tx)
		return err
	})
}

// makeAhead is MakeAhead for whoever has the lease by that function.
func (r *Relay) makeAhead(ctx context.Context, has func(context.Context, *sql.Tx) error) error {
	tx, err := r.db.Pool().BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("making a partition of the log: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if err := has(ctx, tx); err != nil {
		return err
	}
	var there bool
	err = tx.QueryRowContext(ctx, `select exists (select from choreo.log_partitions where opened_at is null)`).Scan(&there)
	if err != nil || there {
		return err
	}
	if _, err := tx.ExecContext(ctx, `select choreo.add_log_partition()`); err != nil {
		return fmt.Errorf("making a partition of the log: %w", err)
	}
	return tx.Commit()
}

// guard locks the lease, without renewing it, for a transaction that runs beside
// the sequencer's, and tells the time; ErrStandby where another relay has it.
func (r *Relay) guard(ctx context.Context, tx *sql.Tx) (now time.Time, err error) {
	var held bool
	err = tx.QueryRowContext(ctx, `select holder = $1 and until > choreo.troupe_now(), choreo.troupe_now() from choreo.leases
		where name = 'relay' for update`, r.holder).Scan(&held, &now)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !held {
		return now, ErrStandby
	}
	if err != nil {
		return now, fmt.Errorf("looking at the relay's lease: %w", err)
	}
	return now, nil
}
