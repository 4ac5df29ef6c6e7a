package relay

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"troupe/choreo"
	"troupe/choreo/broker"
	"troupe/choreo/internal/quarantine"
	"troupe/choreo/wire"
)

const (
	collectEvery  = 200 * time.Millisecond
	collectAtOnce = 500 // foreign events in one transaction
	storeEvery    = time.Second
	stopWithin    = 500 * time.Millisecond // where Kafka does not answer
)

// collect copies foreign records into the log, beside relaying, until ctx ends.
func (r *Relay) collect(ctx context.Context) {
	t := time.NewTicker(collectEvery)
	defer t.Stop()
	for more := false; ; {
		if !more {
			select {
			case <-ctx.Done():
				r.collectLast(ctx)
				return
			case <-t.C:
			}
		}
		n, err := r.Collect(ctx)
		more = err == nil && n > 0
		if err != nil && !errors.Is(err, ErrStandby) && ctx.Err() == nil {
			r.log.Debug("collecting foreign records; it is tried again", "error", err)
		}
	}
}

// collectLast stores how far it came, so that the next relay need not read again what
// this one has published.
func (r *Relay) collectLast(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	r.collector.storeAt = time.Time{}
	if _, err := r.Collect(ctx); err != nil && !errors.Is(err, ErrStandby) {
		r.log.Debug("collecting foreign records for the last time; the next relay reads them again", "error", err)
	}
}

// Collect copies what others have put on our topics into the log, each event
// once, with a position and no sequence: so sagas, views, local consumers and
// those who pull see what happened. It tells how many events that were. It does
// nothing but on the active relay.
func (r *Relay) Collect(ctx context.Context) (n int, err error) {
	topics, now, err := r.topics(ctx)
	if err != nil {
		r.collector.known = false
		return 0, err
	}
	if err := r.openCollector(ctx); err != nil {
		return 0, err
	}
	ends, err := r.reader.Ends(ctx, topics)
	if err != nil {
		return 0, err
	}
	if err := r.collector.settled(ctx); err != nil {
		return 0, err
	}
	slices.SortFunc(ends, func(a, b broker.End) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	var errs []error
	for _, end := range ends {
		m, err := r.collectFrom(ctx, end)
		n += m
		if errors.Is(err, errNoPartition) {
			err = r.MakeAhead(ctx) // and it is read again
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("collecting from %s/%d: %w", end.Topic, end.Partition, err))
		}
	}
	errs = append(errs, r.storeCollector(ctx, ends, now))
	return n, errors.Join(errs...)
}

// openCollector reads how far the collector had come, of this relay or another.
func (r *Relay) openCollector(ctx context.Context) error {
	c := &r.collector
	if c.known {
		return nil
	}
	rows, err := r.db.Pool().QueryContext(ctx, `select topic_id, partition, next_offset from choreo.collected`)
	if err != nil {
		return fmt.Errorf("reading how far foreign records are collected: %w", err)
	}
	defer rows.Close()
	c.next, c.stored = map[spot]int64{}, map[spot]int64{}
	for rows.Next() {
		var at spot
		var next int64
		if err := rows.Scan(&at.topicID, &at.partition, &next); err != nil {
			return err
		}
		c.next[at], c.stored[at] = next, next
	}
	c.known = rows.Err() == nil
	return rows.Err()
}

// collectFrom collects from one partition up to its end.
func (r *Relay) collectFrom(ctx context.Context, end broker.End) (n int, err error) {
	c, at, p := &r.collector, spot{end.TopicID, end.Partition}, place{end.Topic, end.Partition}
	from, known := c.next[at]
	if !known || from > end.Offset { // the topic was made again, or lost its end
		c.forget(p)
		from = 0
	}
	for from < end.Offset {
		var to int64
		if from, to = c.skip(p, from, end.Offset); from >= end.Offset {
			break
		}
		found, reached, err := r.readForeign(ctx, end, from, to)
		if err == nil {
			err = r.unmask(ctx, found)
		}
		if err != nil {
			return n, err
		}
		if found = slices.DeleteFunc(found, func(f *foreign) bool { return f.ours || f.useless }); len(found) > 0 {
			m, err := r.keepForeign(ctx, end, found, reached)
			if n += m; err != nil {
				return n, err
			}
			c.stored[at] = reached
		}
		from = reached
	}
	c.next[at] = from
	return n, nil
}

// storeCollector stores now and then how far the collector has come, where it
// found nothing to keep. What is lost of it is read again. A relay that has lost its
// lease stores nothing: the database may have been set back meanwhile.
func (r *Relay) storeCollector(ctx context.Context, ends []broker.End, now time.Time) error {
	c := &r.collector
	if now.Before(c.storeAt) {
		return nil
	}
	c.storeAt = now.Add(storeEvery)
	for _, end := range ends {
		at := spot{end.TopicID, end.Partition}
		if c.next[at] == c.stored[at] {
			continue
		}
		_, err := r.db.Pool().ExecContext(ctx, `
			with lazy as materialized (select set_config('synchronous_commit', 'off', true))
			insert into choreo.collected (topic_id, partition, topic, next_offset) select $1, $2, $3, $4 from lazy
			where exists (select from choreo.leases where name = 'relay' and holder = $5 and until > choreo.troupe_now())
			on conflict (topic_id, partition) do update set next_offset = excluded.next_offset`,
			at.topicID, at.partition, end.Topic, c.next[at], r.holder)
		if err != nil {
			return fmt.Errorf("storing how far foreign records are collected: %w", err)
		}
		c.stored[at] = c.next[at]
	}
	return nil
}

// foreign is a record that may be somebody else's.
type foreign struct {
	record *wire.Record
	meta   choreo.Meta
	data   []byte
	parsed bool
	bad    error // why it is no event, or no fact of its type
	ours   bool  // it is one of our own, or a copy of it

	useless bool // no binary of ours could make anything of it
}

var errEnough = errors.New("enough was read")

// readForeign reads records between two offsets, at most as many as go into one
// transaction, and tells how far it came.
func (r *Relay) readForeign(ctx context.Context, end broker.End, from, to int64) (found []*foreign, reached int64, err error) {
	reached = to
	err = r.reader.ReadFrom(ctx, end.Topic, end.Partition, from, func(record *wire.Record) error {
		if record.Offset >= to {
			return errEnough
		}
		if len(found) == collectAtOnce {
			reached = record.Offset
			return errEnough
		}
		f := &foreign{record: record}
		record.TopicID = end.TopicID
		f.meta, f.data, f.bad = wire.Parse(record)
		if f.parsed = f.bad == nil; f.parsed {
			f.check(r.db.Flow())
		}
		found = append(found, f)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, reached, err
}

// check tells whether it is what a consumer could read. Of a type that is not
// known, which a newer binary may know, it must be JSON.
func (f *foreign) check(flow *choreo.Flow) {
	known, err := flow.Check(f.meta, f.data)
	switch {
	case err != nil:
		f.bad = err
	case !known && !json.Valid(f.data):
		f.useless = true
	}
}

// keepForeign puts what is foreign, and new, into the log.
func (r *Relay) keepForeign(ctx context.Context, end broker.End, found []*foreign, reached int64) (n int, err error) {
	tx, err := r.db.Pool().BeginTx(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("keeping foreign events: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it has nothing to do
	now, err := r.guard(ctx, tx)
	if err != nil {
		return 0, err
	}
	var fresh []*foreign
	for _, f := range found {
		if f.bad == nil {
			fresh = append(fresh, f)
		} else if err := quarantine.Keep(ctx, tx, "relay", f.record, f.bad, now); err != nil {
			return 0, err
		}
	}
	if fresh, err = newOnes(ctx, tx, fresh); err != nil {
		return 0, err
	}
	if len(fresh) > 0 {
		if err := r.appendForeign(ctx, tx, now, fresh); err != nil {
			return 0, err
		}
	}
	var last sql.NullInt64
	if len(fresh) > 0 {
		last = sql.NullInt64{Int64: fresh[len(fresh)-1].record.Offset, Valid: true}
	}
	_, err = tx.ExecContext(ctx, `insert into choreo.collected as c (topic_id, partition, topic, next_offset, last_offset)
		values ($1, $2, $3, $4, $5) on conflict (topic_id, partition)
		do update set next_offset = excluded.next_offset, last_offset = coalesce(excluded.last_offset, c.last_offset)`,
		end.TopicID, end.Partition, end.Topic, reached, last)
	if err != nil {
		return 0, fmt.Errorf("storing how far foreign records are collected: %w", err)
	}
	return len(fresh), tx.Commit()
}

// unmask finds out what bears our source: our own events, as the log has them,
// copies of them, and what is foreign all the same, as a consumer finds out too. It
// locks nothing: an event stands in the log before it is published, and what a relay
// before this one has left on Kafka is much, and all ours.
func (r *Relay) unmask(ctx context.Context, found []*foreign) error {
	var claims []choreo.Claim
	var claimants []*foreign
	for _, f := range found {
		if f.parsed && strings.HasPrefix(f.meta.Source, choreo.Origin(r.db.Source())) {
			f.ours = true
			claims = append(claims, choreo.Claim{ID: f.meta.ID, Sequence: f.meta.Sequence,
				Stream: choreo.Stream{Source: f.meta.Source, Topic: f.record.Topic, Partition: f.record.Partition}})
			claimants = append(claimants, f)
		}
	}
	if len(claims) == 0 {
		return nil
	}
	strangers, err := r.db.Strangers(ctx, r.db.Pool(), claims, 0)
	if err != nil {
		return err
	}
	for i, copied := range strangers {
		f := claimants[i]
		if copied {
			continue
		}
		f.ours = false
		if f.meta.Source != r.db.Source() && f.bad == nil {
			f.bad = fmt.Errorf("it is event %d of %s, which the log does not have", f.meta.Sequence, f.meta.Source)
		}
		f.meta.Source, f.meta.Sequence = wire.ForeignSource(f.record.Topic), 0
	}
	return nil
}
