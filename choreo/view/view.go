// Package view keeps the views of a flow: it makes their tables, tells whether a
// view has passed a fact, and rebuilds a view from the log beside the live one.
package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"troupe/choreo"
	"troupe/choreo/pull"
)

// Migrate brings the database that views live in to this version: the engine's
// tables, and those of the views that have none yet. Several processes may call
// it at once.
func Migrate(ctx context.Context, pool *sql.DB, flow *choreo.Flow) error {
	if err := errors.Join(choreo.Migrate(ctx, pool), pull.Migrate(ctx, pool)); err != nil {
		return err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("making views: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	if _, err := tx.ExecContext(ctx, `lock table choreo.views in exclusive mode`); err != nil {
		return fmt.Errorf("making views: %w", err)
	}
	for _, v := range flow.Views() {
		result, err := tx.ExecContext(ctx, `insert into choreo.views (view, tables) values ($1, $2) on conflict do nothing`, v.Name, v.Tables)
		if err != nil {
			return fmt.Errorf("making the view %s: %w", v.Name, err)
		}
		fresh, err := result.RowsAffected()
		if err != nil {
			return err
		}
		if fresh > 0 {
			if err := makeTables(ctx, tx, v, v.Schema()); err != nil {
				return err
			}
		}
	}
	return tx.Commit()
}

// makeTables makes the tables of a view in a schema that is made for them.
func makeTables(ctx context.Context, tx *sql.Tx, v *choreo.ViewLine, schema string) error {
	if _, err := tx.ExecContext(ctx, `create schema `+schema); err != nil {
		return fmt.Errorf("making the schema of the view %s: %w", v.Name, err)
	}
	if _, err := tx.ExecContext(ctx, `select set_config('search_path', $1, true)`, schema); err != nil {
		return fmt.Errorf("entering the schema of the view %s: %w", v.Name, err)
	}
	if _, err := tx.ExecContext(ctx, v.Tables); err != nil {
		return fmt.Errorf("making the tables of the view %s: %w", v.Name, err)
	}
	return nil
}

// Passed tells whether the view has taken the event, or need not: it follows
// none of the topics that the event is of. An event that is not sequenced yet,
// or of which nothing is known, is not passed. Of foreign events it is known for
// as long as the inbox keeps them.
func Passed(ctx context.Context, db *choreo.DB, v *choreo.ViewLine, eventID string) (bool, error) {
	var source, typ string
	var position, partition, sequence int64
	err := db.Log().QueryRowContext(ctx, `
		select l.position, coalesce(s.source, l.source), l.type, coalesce(s.partition, 0), coalesce(l.sequence, 0)
		from choreo.event_log l left join choreo.streams s on s.id = l.stream
		where l.event_id = $1 order by l.stream nulls last limit 1`, eventID).Scan(&position, &source, &typ, &partition, &sequence)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for event %s: %w", eventID, err)
	}
	topic := choreo.Topic(typ)
	if !slices.Contains(v.Topics(), topic) {
		return true, nil
	}
	if v.Pulls != nil {
		at, err := reader(db, v).Position(ctx)
		return at >= position, err
	}
	if c := db.Flow().Consumer(v.Name); sequence == 0 && c.Rule(typ) == nil {
		return true, nil // a foreign event that it skips leaves no trace
	}
	var passed bool
	err = db.ViewsHome().Pool().QueryRowContext(ctx, `
		select case when $5 > 0
				then exists (select from choreo.watermarks w where w.consumer = $1 and w.source = $2 and w.topic = $3
					and w.partition = $4 and w.sequence >= $5)
				else exists (select from choreo.inbox i where i.consumer = $1 and i.source = $2 and i.event_id = $6) end
			and not exists (select from choreo.steps where consumer = $1 and source = $2 and event_id = $6
				and state in ('waiting', 'calling', 'parked', 'unknown'))`,
		v.Name, source, topic, partition, sequence, eventID).Scan(&passed)
	if err != nil {
		return false, fmt.Errorf("asking how far the view %s is: %w", v.Name, err)
	}
	return passed, nil
}

// reader is the reader of a view that pulls, without its source.
func reader(db *choreo.DB, v *choreo.ViewLine) *pull.Reader {
	return &pull.Reader{Name: v.Name, DB: db.ViewsHome().Pool(), Handle: v.Pulls, Types: v.Types, Schema: v.Schema()}
}

// Reader is the reader of a view that pulls, from the source.
func Reader(db *choreo.DB, v *choreo.ViewLine, from pull.Source) *pull.Reader {
	r := reader(db, v)
	r.Source = from
	return r
}

// Until asks, at growing distance, until done says yes or the time is up; false
// when it is.
func Until(ctx context.Context, atMost time.Duration, done func(context.Context) (bool, error)) (bool, error) {
	deadline := time.Now().Add(atMost)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if ok, err := done(ctx); ok || err != nil {
			return ok, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false, nil
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(min(pause, left)):
		}
	}
}
