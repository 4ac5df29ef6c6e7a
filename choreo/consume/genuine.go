package consume

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"

	"troupe/choreo"
	"troupe/choreo/internal/safeguard"
	"troupe/choreo/pgarray"
	"troupe/choreo/wire"
)

// genuine tells at little cost what nearly every batch is: the next events of
// some topic partitions, as the log has them. false says nothing.
func (t *transaction) genuine(ctx context.Context, u *choreo.Unit, w *watermarks) (bool, error) {
	type run struct {
		from, next int64
		ids        []byte
	}
	runs := map[place]*run{}
	var r *run
	var of *mark // of the run r
	for _, v := range t.arrivals {
		if !v.own || v.record == nil || v.meta.Sequence <= v.mark.sequence && v.meta.Sequence > 0 {
			continue
		}
		if of != v.mark {
			if r, of = runs[v.place], v.mark; r == nil {
				r = &run{from: v.meta.Sequence, next: v.meta.Sequence}
				runs[v.place] = r
			}
		}
		if v.meta.Sequence != r.next || v.meta.Sequence <= 0 {
			return false, nil
		}
		r.next++
		r.ids = append(append(r.ids, v.meta.ID...), ' ')
	}
	if len(runs) == 0 {
		return true, nil
	}
	places := slices.SortedFunc(maps.Keys(runs), place.compare)
	sources, topics, partitions := columns(places)
	var from, next pgarray.Int8
	after := int64(math.MaxInt64)
	for _, p := range places {
		behind, err := t.DB.LogAfter(ctx, t.log(u.SQL()), p.stream(), w.marks[p].sequence)
		if err != nil {
			return false, err
		}
		after = min(after, behind)
		from, next = append(from, runs[p].from), append(next, runs[p].next)
	}
	rows, err := t.log(u.SQL()).QueryContext(ctx, `select * from choreo.log_ids($1, $2, $3, $4, $5, $6)`,
		sources, topics, partitions, from, next, after)
	if err != nil {
		return false, fmt.Errorf("comparing events with the log: %w", err)
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		var ids sql.RawBytes
		if err := rows.Scan(&ids); err != nil || !bytes.Equal(ids, runs[places[i]].ids) {
			return false, err
		}
	}
	return rows.Err() == nil, rows.Err()
}

// unmask finds the events that bear our source and do not stand in the log as
// they say: at another place, or at none. One whose id the log has is a copy of
// ours, which came or will come where it belongs. Any other is a foreign one, or
// lost where it names an earlier epoch: a restore took its timeline back. Of the
// present epoch it can be lost too, until the relay has decided.
func (t *transaction) unmask(ctx context.Context, u *choreo.Unit, w *watermarks) error {
	if genuine, err := t.genuine(ctx, u, w); err != nil || genuine {
		return err
	}
	var claims []choreo.Claim
	var claimants []*arrival
	after := int64(math.MaxInt64)
	for _, v := range t.arrivals {
		if v.own && v.record != nil && (v.meta.Sequence > v.mark.sequence || v.meta.Sequence == 0) {
			claims = append(claims, choreo.Claim{Stream: v.place.stream(), Sequence: v.meta.Sequence, ID: v.meta.ID})
			claimants = append(claimants, v)
			behind, err := t.DB.LogAfter(ctx, t.log(u.SQL()), v.place.stream(), v.mark.sequence)
			if err != nil {
				return err
			}
			after = min(after, behind)
		}
	}
	if len(claims) == 0 || safeguard.Off("forged sequences") {
		return nil
	}
	strangers, err := t.DB.Strangers(ctx, t.log(u.SQL()), claims, after)
	if err != nil {
		return err
	}
	if err := t.decided(ctx, u, claimants, strangers); err != nil {
		return err
	}
	for i, copied := range strangers {
		v := claimants[i]
		v.own, v.copied = false, copied
		if !v.copied && v.meta.Source != t.DB.Source() && !safeguard.Off("lost timeline") {
			v.sorted, v.outcome = Lost, Lost
			v.bad = fmt.Errorf("it is event %d of %s, which the log does not have", v.meta.Sequence, v.meta.Source)
			continue
		}
		v.meta.Source, v.meta.Sequence = wire.ForeignSource(v.place.topic), 0
	}
	return nil
}

// decided fails while one of these strangers, but for copies, may be a fact that
// this database has lost: it was restored, and nobody has begun a new epoch.
func (t *transaction) decided(ctx context.Context, u *choreo.Unit, claimants []*arrival, strangers map[int]bool) error {
	var doubtful []*arrival
	var at []choreo.Spot
	for i, v := range claimants {
		copied, strange := strangers[i]
		if strange && !copied && v.meta.Source == t.DB.Source() && v.meta.Sequence > 0 && choreo.IsOurs(v.meta.ID) {
			p := v.offsetPlace()
			doubtful, at = append(doubtful, v), append(at, choreo.Spot{TopicID: p.topicID, Partition: p.partition, Offset: v.record.Offset})
		}
	}
	if len(at) == 0 {
		return nil
	}
	undecided, err := t.DB.Undecided(ctx, t.log(u.SQL()), at)
	if err != nil || len(undecided) == 0 {
		return err
	}
	r := doubtful[undecided[0]].record
	return fmt.Errorf("%w: %s/%d at offset %d", ErrUndecided, r.Topic, r.Partition, r.Offset)
}
