package saga

import (
	"context"
	"fmt"
	"math"

	"troupe/choreo"
)

// rounds bounds how often one page looks for more candidates where the rows of
// those it found turned out to be old.
const rounds = 20

// List gives the sagas that started most recently, newest first, at most limit.
// status, where not empty, keeps those of that status only. before is 0, or the
// next of the page before; next is 0 at the end. A page may hold fewer sagas than
// its limit and have a next one.
//
// Rows choose the sagas; what is given of them is computed, in one snapshot.
func List(ctx context.Context, db *choreo.DB, status string, before int64, limit int) (page []*Saga, next int64, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = inSnapshot(ctx, db, func(r *reading) error {
		for range rounds {
			ids, places, err := r.candidates(ctx, status, before, limit-len(page)+1)
			if err != nil {
				return err
			}
			more := len(ids) > limit-len(page)
			if more {
				ids = ids[:len(ids)-1]
			}
			found, err := r.compute(ctx, ids)
			if err != nil {
				return err
			}
			for _, s := range found {
				if status == "" || s.Status == status {
					page = append(page, s)
				}
			}
			if next = 0; !more {
				return nil
			}
			if before = places[len(ids)-1]; len(page) == limit {
				break
			}
		}
		next = before
		return nil
	})
	return page, next, err
}

// candidates finds the sagas whose rows say that they are of the status now, by
// index however many others there are.
func (r *reading) candidates(ctx context.Context, status string, before int64, limit int) (ids []string, places []int64, err error) {
	query := `select saga, first from choreo.sagas where first < $1 and status = $4 and $2::timestamptz is not null order by first desc limit $3`
	switch status {
	case "":
		query = `select saga, first from choreo.sagas where first < $1 and $2::timestamptz is not null and $4 = '' order by first desc limit $3`
	case Running:
		query = `select saga, first from choreo.sagas where first < $1 and status = $4 and (due_at is null or due_at >= $2)
			order by first desc limit $3`
	case Overdue: // those that the cursor has seen late, and those that have become so since
		query = `select saga, first from (
			(select saga, first from choreo.sagas where first < $1 and status = $4 order by first desc limit $3)
			union all
			(select saga, first from choreo.sagas where first < $1 and status = 'running' and due_at < $2)) late
			order by first desc limit $3`
	}
	rows, err := r.QueryContext(ctx, query, before, r.now, limit, status)
	if err != nil {
		return nil, nil, fmt.Errorf("listing sagas: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var at int64
		if err := rows.Scan(&id, &at); err != nil {
			return nil, nil, err
		}
		ids, places = append(ids, id), append(places, at)
	}
	return ids, places, rows.Err()
}
