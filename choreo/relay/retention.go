package relay

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
)

// keepEvery is how often the active relay looks after the log's partitions.
const keepEvery = time.Minute

// Retain has the log keep facts for at least this long, rather than for ever. A
// partition is dropped whole, once its last fact is older than that and every
// registered consumer has taken all of it.
func (r *Relay) Retain(d time.Duration) *Relay {
	r.retention = d
	return r
}

// keep looks after the log's partitions, beside relaying, until ctx ends.
func (r *Relay) keep(ctx context.Context) {
	for wait := time.Second; ; {
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		err := r.Keep(ctx)
		if err == nil {
			wait = keepEvery
		} else if !errors.Is(err, ErrStandby) && ctx.Err() == nil {
			r.log.Warn("looking after the log's partitions; it is tried again", "error", err)
		}
	}
}

// Keep makes the next partition of the log, and drops those that are too old.
// It does nothing but on the active relay.
func (r *Relay) Keep(ctx context.Context) error {
	if err := r.MakeAhead(ctx); err != nil {
		return err
	}
	for {
		number, err := r.expired(ctx)
		if err != nil || number == 0 {
			return err
		}
		if err := r.drop(ctx, number); err != nil {
			return fmt.Errorf("dropping partition %d of the log: %w", number, err)
		}
		r.log.Info("a partition of the log was dropped: it is older than the retention", "partition", number)
	}
}

// expired is the oldest partition that is to be dropped, 0 if there is none: one
// whose dropping has begun, or one that is too old and that nobody needs.
func (r *Relay) expired(ctx context.Context) (number int, err error) {
	tx, err := r.db.Pool().BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("looking for old partitions of the log: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if _, err := r.guard(ctx, tx); err != nil {
		return 0, err
	}
	var last int64
	var begun bool
	err = tx.QueryRowContext(ctx, `select number, last_position, dropped_at is not null from choreo.log_partitions
		where closed_at is not null
		  and (dropped_at is not null or $1 > 0 and closed_at < choreo.troupe_now() - $1 * interval '1 second')
		order by number limit 1`, r.retention.Seconds()).Scan(&number, &last, &begun)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil || begun {
		return number, err
	}
	// Nobody is registered meanwhile, who would begin at what is dropped.
	if _, err := tx.ExecContext(ctx, `lock table choreo.consumers in share mode`); err != nil {
		return 0, err
	}
	if who, err := r.needs(ctx, tx, last); err != nil || who != "" {
		if r.needed != who {
			r.log.Info("the log is kept for longer than the retention", "partition", number, "for", who)
		}
		r.needed = who
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		with p as (update choreo.log_partitions set dropped_at = choreo.troupe_now() where number = $1)
		update choreo.log_head set begins_after = $2`, number, last)
	if err != nil {
		return 0, fmt.Errorf("having partition %d of the log dropped: %w", number, err)
	}
	return number, tx.Commit()
}

// needs names somebody who has not read the log up to the position at which a
// partition ends, empty if there is nobody.
func (r *Relay) needs(ctx context.Context, tx *sql.Tx, last int64) (who string, err error) {
	err = tx.QueryRowContext(ctx, `
		select 'the reader ' || reader from choreo.log_readers where position < $1
		union all
		select 'the lists of sagas' from choreo.saga_cursor where position < $1
		union all
		select 'the saga ' || saga || ', which is not settled' from choreo.sagas where first <= $1 and status <> 'settled'
		union all
		select 'the relay, which has not forwarded it' from choreo.log_cuts c
		join choreo.streams s on s.source = c.source and s.topic = c.topic and s.partition = c.partition
		join choreo.forwarded f on f.stream = s.id
		where c.position = $1 and c.source = $2 and f.sequence < c.sequence
		limit 1`, last, r.db.Source()).Scan(&who)
	if !errors.Is(err, sql.ErrNoRows) {
		return who, err
	}
	taken, err := watermarks(ctx, r.db)
	if err != nil {
		return "", err
	}
	rows, err := tx.QueryContext(ctx, `select k.consumer, c.source, c.topic, c.partition, c.sequence
		from choreo.consumers k join choreo.log_cuts c on c.position = $1 and c.topic = any (k.topics)
		where c.sequence > 0 order by k.consumer`, last)
	if err != nil {
		return "", fmt.Errorf("asking who needs the log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t taking
		var to int64
		if err := rows.Scan(&t.consumer, &t.source, &t.topic, &t.partition, &to); err != nil {
			return "", err
		}
		if taken[t] < to {
			return fmt.Sprintf("the consumer %s (retire it, if it is gone for good)", t.consumer), nil
		}
	}
	return "", rows.Err()
}

// taking is a consumer and a stream.
type taking struct {
	consumer, source, topic string
	partition               int32
}

// watermarks are those of all consumers; those of views may stand in another
// database.
func watermarks(ctx context.Context, db *choreo.DB) (map[taking]int64, error) {
	taken := map[taking]int64{}
	err := readWatermarks(ctx, db.Pool(), taken)
	if views := db.ViewsHome().Pool(); err == nil && views != db.Pool() {
		err = readWatermarks(ctx, views, taken)
	}
	return taken, err
}

func readWatermarks(ctx context.Context, pool *sql.DB, taken map[taking]int64) error {
	rows, err := pool.QueryContext(ctx, `select consumer, source, topic, partition, sequence from choreo.watermarks`)
	if err != nil {
		return fmt.Errorf("reading how far consumers have come: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t taking
		var sequence int64
		if err := rows.Scan(&t.consumer, &t.source, &t.topic, &t.partition, &sequence); err != nil {
			return err
		}
		taken[t] = max(taken[t], sequence)
	}
	return rows.Err()
}

// drop takes a partition off the log. It is done in steps, each of which finds
// what the one before it has done: detaching concurrently waits for everyone who
// reads the log, holds up nobody, and cannot be part of a transaction.
func (r *Relay) drop(ctx context.Context, number int) error {
	table := fmt.Sprintf("choreo.event_log_%d", number)
	var pending sql.NullBool
	err := r.db.Pool().QueryRowContext(ctx, `select (select inhdetachpending from pg_inherits
		where inhparent = 'choreo.event_log'::regclass and inhrelid = to_regclass($1))`, table).Scan(&pending)
	if err != nil {
		return err
	}
	if pending.Valid {
		how := "concurrently"
		if pending.Bool {
			how = "finalize" // it was interrupted
		}
		if _, err := r.db.Pool().ExecContext(ctx, `alter table choreo.event_log detach partition `+table+` `+how); err != nil {
			return fmt.Errorf("detaching it: %w", err)
		}
	}
	if _, err := r.db.Pool().ExecContext(ctx, `drop table if exists `+table); err != nil {
		return err
	}
	_, err = r.db.Pool().ExecContext(ctx, `
		with p as (delete from choreo.log_partitions where number = $1 returning last_position)
		delete from choreo.log_cuts where position < (select last_position from p)`, number)
	return err
}
