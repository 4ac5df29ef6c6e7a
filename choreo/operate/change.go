package operate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
)

// Why a consumer cannot be retired.
var (
	ErrInFlow     = errors.New("the flow has it: take it out of the flow, and let a binary of that flow retire it")
	ErrNoConsumer = errors.New("there is no such consumer")
	ErrOpenSteps  = errors.New("it has steps that have not ended: drop them, or wait")
)

// Remains is what the database keeps of a consumer.
type Remains struct {
	Watermarks int64 `json:"watermarks"`
	Offsets    int64 `json:"offsets"`
	Inbox      int64 `json:"inbox"`
	OpenSteps  int64 `json:"openSteps"`
}

// Retire forgets how far a consumer has come that is no more: the log need not be
// kept for it any longer. Its steps stay, as history. Without execute it only
// tells what there is.
func Retire(ctx context.Context, db *choreo.DB, name string, execute bool) (r Remains, err error) {
	if db.Flow().Consumer(name) != nil {
		return r, ErrInFlow
	}
	found := false
	for _, home := range homes(db) {
		err := home.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
			var there bool
			err := u.SQL().QueryRowContext(ctx, `select exists (select from choreo.consumers where consumer = $1) or count(*) > 0, count(*),
				(select count(*) from choreo.foreign_offsets where consumer = $1), (select count(*) from choreo.inbox where consumer = $1),
				(select count(*) from choreo.steps where consumer = $1 and state in ('waiting','calling','parked','unknown'))
				from choreo.watermarks where consumer = $1`, name).Scan(&there, &r.Watermarks, &r.Offsets, &r.Inbox, &r.OpenSteps)
			if err != nil || !there {
				return err
			}
			found = true
			switch {
			case !execute:
				return nil
			case r.OpenSteps > 0:
				return ErrOpenSteps
			}
			for _, table := range []string{"watermarks", "foreign_offsets", "inbox", "consumers"} {
				if _, err := u.SQL().ExecContext(ctx, `delete from choreo.`+table+` where consumer = $1`, name); err != nil {
					return err
				}
			}
			return u.Audit(ctx, "consumers retire", name, r.Watermarks+r.Offsets, "")
		})
		if err != nil {
			return r, fmt.Errorf("retiring %s: %w", name, err)
		}
		if found {
			return r, nil
		}
	}
	return r, ErrNoConsumer
}

// homes are the databases that consumers live in.
func homes(db *choreo.DB) []*choreo.DB {
	if v := db.ViewsHome(); v != db {
		return []*choreo.DB{db, v}
	}
	return []*choreo.DB{db}
}

// Gap is a hole in the log right behind what a consumer has taken: it stops
// there, where Kafka does not have the facts either.
type Gap struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Source    string `json:"source"`
	From      int64  `json:"from" doc:"The first sequence that is missing."`
	To        int64  `json:"to" doc:"The last one."`
}

// Gaps finds where the log cannot give a consumer its next fact.
func Gaps(ctx context.Context, db *choreo.DB, c *choreo.Consumer) ([]Gap, error) {
	lags, err := Lag(ctx, db, c)
	if err != nil {
		return nil, err
	}
	gaps := []Gap{}
	for _, b := range lags {
		if b.Lag == 0 {
			continue
		}
		after, err := db.LogAfter(ctx, db.Log(), b.stream(), b.Taken)
		if err != nil {
			return nil, err
		}
		var next sql.NullInt64
		err = db.Log().QueryRowContext(ctx, `select min(sequence) from choreo.event_log
			where stream = (select id from choreo.streams where source = $1 and topic = $2 and partition = $3) and sequence > $4 and position > $5`,
			b.Source, b.Topic, b.Partition, b.Taken, after).Scan(&next)
		if err != nil {
			return nil, fmt.Errorf("looking for gaps in %s/%d: %w", b.Topic, b.Partition, err)
		}
		to := b.Head
		if next.Valid {
			to = next.Int64 - 1
		}
		if to > b.Taken {
			gaps = append(gaps, Gap{b.Topic, b.Partition, b.Source, b.Taken + 1, to})
		}
	}
	return gaps, nil
}

// AcceptGap has a consumer go on behind gaps: the facts in them it will never
// take. One that has moved meanwhile is left as it is.
func AcceptGap(ctx context.Context, db *choreo.DB, c *choreo.Consumer, gaps []Gap) error {
	return db.Home(c).InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		for _, g := range gaps {
			result, err := u.SQL().ExecContext(ctx, `insert into choreo.watermarks as w (consumer, source, topic, partition, sequence)
				values ($1, $2, $3, $4, $5) on conflict (consumer, source, topic, partition) do update set sequence = excluded.sequence
				where w.sequence = $6 - 1`, c.Name, g.Source, g.Topic, g.Partition, g.To, g.From)
			if err != nil {
				return fmt.Errorf("accepting the gap of %s in %s/%d: %w", c.Name, g.Topic, g.Partition, err)
			}
			if n, err := result.RowsAffected(); err != nil || n == 0 {
				return errors.Join(fmt.Errorf("%s has moved in %s/%d meanwhile: look again", c.Name, g.Topic, g.Partition), err)
			}
			err = u.Audit(ctx, "consumers accept-gap", c.Name, g.To-g.From+1, fmt.Sprintf("%s/%d of %s, sequences %d to %d", g.Topic, g.Partition, g.Source, g.From, g.To))
			if err != nil {
				return err
			}
		}
		return nil
	})
}
