// Package operate is what an operator does beside the running system: see how
// far consumers have come, retire one, let one pass a gap, read the log. It works
// on the database alone; whatever it changes stands in the audit.
package operate

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
)

// Consumer is a consumer as an operator sees it.
type Consumer struct {
	Name       string     `json:"consumer"`
	Kind       string     `json:"kind" enum:"kafka,local,in-transaction,view" doc:"How it is fed."`
	State      string     `json:"state" enum:"ready,paused,new,orphaned" doc:"new: not registered yet; orphaned: registered, and this binary's flow has it no more."`
	PausedAt   *time.Time `json:"pausedAt"`
	Topics     []string   `json:"topics"`
	Lag        int64      `json:"lag" doc:"Facts in the log that it has not taken."`
	OldestAt   *time.Time `json:"oldestAt" doc:"When the oldest of those was emitted; null where there is none."`
	Unfinished int64      `json:"unfinishedSteps" doc:"Steps that wait or call."`
	Parked     int64      `json:"parkedSteps"`
}

// Consumers lists the consumers of the flow, in its order, and after them those
// that are registered and no more in it.
func Consumers(ctx context.Context, db *choreo.DB) ([]Consumer, error) {
	known, err := registered(ctx, db.Pool())
	if err != nil {
		return nil, err
	}
	steps, err := countSteps(ctx, db.Pool())
	if err != nil {
		return nil, err
	}
	if home := db.ViewsHome(); home != db {
		views, err := registered(ctx, home.Pool())
		if err != nil {
			return nil, err
		}
		maps.Copy(known, views)
	}
	var list []Consumer
	for _, c := range db.Flow().Consumers() {
		paused, there := known[c.Name]
		o := Consumer{Name: c.Name, Kind: kindOf(c), State: "ready", PausedAt: paused, Topics: append([]string{}, c.Topics()...),
			Unfinished: steps[c.Name][0], Parked: steps[c.Name][1]}
		switch {
		case paused != nil:
			o.State = "paused"
		case !there:
			o.State = "new"
		}
		lags, err := Lag(ctx, db, c)
		if err != nil {
			return nil, err
		}
		for _, l := range lags {
			if o.Lag += l.Lag; l.OldestAt != nil && (o.OldestAt == nil || l.OldestAt.Before(*o.OldestAt)) {
				o.OldestAt = l.OldestAt
			}
		}
		list = append(list, o)
		delete(known, c.Name)
	}
	var orphans []Consumer
	for name, paused := range known {
		orphans = append(orphans, Consumer{Name: name, Kind: "kafka", State: "orphaned", PausedAt: paused, Topics: []string{},
			Unfinished: steps[name][0], Parked: steps[name][1]})
	}
	slices.SortFunc(orphans, func(a, b Consumer) int { return strings.Compare(a.Name, b.Name) })
	return append(list, orphans...), nil
}

func kindOf(c *choreo.Consumer) string {
	switch {
	case c.View():
		return "view"
	case c.Local():
		return "local"
	case len(c.Topics()) == 0:
		return "in-transaction"
	}
	return "kafka"
}

// registered are the consumers that a database knows, and since when they are
// paused.
func registered(ctx context.Context, pool *sql.DB) (map[string]*time.Time, error) {
	rows, err := pool.QueryContext(ctx, `select consumer, paused_at from choreo.consumers`)
	if err != nil {
		return nil, fmt.Errorf("reading the consumers: %w", err)
	}
	defer rows.Close()
	all := map[string]*time.Time{}
	for rows.Next() {
		var name string
		var paused sql.NullTime
		if err := rows.Scan(&name, &paused); err != nil {
			return nil, err
		}
		all[name] = instant(paused)
	}
	return all, rows.Err()
}

func instant(t sql.NullTime) *time.Time {
	if !t.Valid {
		return nil
	}
	utc := t.Time.UTC()
	return &utc
}

// countSteps counts the steps of each consumer that are unfinished, and parked.
func countSteps(ctx context.Context, pool *sql.DB) (map[string][2]int64, error) {
	rows, err := pool.QueryContext(ctx, `select consumer, count(*) filter (where state <> 'parked'), count(*) filter (where state = 'parked')
		from choreo.steps where state in ('waiting','calling','parked') group by consumer`)
	if err != nil {
		return nil, fmt.Errorf("counting steps: %w", err)
	}
	defer rows.Close()
	all := map[string][2]int64{}
	for rows.Next() {
		var name string
		var n [2]int64
		if err := rows.Scan(&name, &n[0], &n[1]); err != nil {
			return nil, err
		}
		all[name] = n
	}
	return all, rows.Err()
}

// Behind is how far a consumer has come in one topic partition of one source.
type Behind struct {
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Source    string     `json:"source"`
	Taken     int64      `json:"taken" doc:"The sequence of the last fact it has taken."`
	Forwarded int64      `json:"forwarded" doc:"That of the last one on Kafka."`
	Head      int64      `json:"head" doc:"That of the last one in the log."`
	Lag       int64      `json:"lag"`
	OldestAt  *time.Time `json:"oldestAt" doc:"When the first one not taken was emitted; null where there is none, or it is not in the log."`
}

// Lag tells how far a consumer has come, partition by partition. It counts facts
// in the log, exactly; what is on Kafka and not ours, the broker's tools count.
func Lag(ctx context.Context, db *choreo.DB, c *choreo.Consumer) ([]Behind, error) {
	taken := map[choreo.Stream]int64{}
	marks, err := db.Home(c).Pool().QueryContext(ctx, `select source, topic, partition, sequence from choreo.watermarks where consumer = $1`, c.Name)
	if err != nil {
		return nil, fmt.Errorf("reading the watermarks of %s: %w", c.Name, err)
	}
	defer marks.Close()
	for marks.Next() {
		var b Behind
		if err := marks.Scan(&b.Source, &b.Topic, &b.Partition, &b.Taken); err != nil {
			return nil, err
		}
		taken[b.stream()] = b.Taken
	}
	if err := marks.Err(); err != nil {
		return nil, err
	}
	rows, err := db.Log().QueryContext(ctx, `select s.source, s.topic, s.partition, s.head, f.sequence from choreo.streams s
		join choreo.forwarded f on f.stream = s.id where s.topic = any ($1) order by s.topic, s.partition, s.source`, pq.Array(c.Topics()))
	if err != nil {
		return nil, fmt.Errorf("reading how far topics have come: %w", err)
	}
	defer rows.Close()
	list := []Behind{}
	for rows.Next() {
		var b Behind
		if err := rows.Scan(&b.Source, &b.Topic, &b.Partition, &b.Head, &b.Forwarded); err != nil {
			return nil, err
		}
		b.Taken = taken[b.stream()]
		b.Lag = max(0, b.Head-b.Taken)
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return list, oldest(ctx, db, list)
}

func (b *Behind) stream() choreo.Stream {
	return choreo.Stream{Source: b.Source, Topic: b.Topic, Partition: b.Partition}
}

// oldest finds when the first fact was emitted that was not taken.
func oldest(ctx context.Context, db *choreo.DB, list []Behind) error {
	for i := range list {
		b := &list[i]
		if b.Lag == 0 {
			continue
		}
		after, err := db.LogAfter(ctx, db.Log(), b.stream(), b.Taken)
		if err != nil {
			return err
		}
		var at sql.NullTime
		err = db.Log().QueryRowContext(ctx, `select (select at from choreo.event_log
			where stream = (select id from choreo.streams where source = $1 and topic = $2 and partition = $3) and sequence > $4
			  and position > $5 order by sequence limit 1)`, b.Source, b.Topic, b.Partition, b.Taken, after).Scan(&at)
		if err != nil {
			return fmt.Errorf("looking for the first fact of %s/%d that was not taken: %w", b.Topic, b.Partition, err)
		}
		b.OldestAt = instant(at)
	}
	return nil
}
