package steps

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"
)

// idle is the longest the runner waits before it looks for steps that another
// process put or left.
const idle = time.Second

// grace is how long calls under way may take to end when the runner stops. One
// that takes longer is made again, under the same key, by whoever runs next.
const grace = 2 * time.Second

// Run runs due steps until the context ends, then gives those under way a grace.
func (r *Runner) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		running = map[int64]string{} // step -> consumer
	)
	defer wg.Wait()
	for ctx.Err() == nil {
		mu.Lock()
		busy := make([]int64, 0, len(running))
		load := map[string]int{}
		for id, consumer := range running {
			busy = append(busy, id)
			load[consumer]++
		}
		mu.Unlock()
		due, next, err := r.due(ctx, busy, load)
		if err != nil {
			if ctx.Err() == nil {
				r.o.Log.Warn("looking for due steps", "error", err)
			}
			next = idle
		}
		for _, d := range due {
			g := r.gates[d.consumer]
			if g != nil && !g.enter(d.id, d.watched) {
				continue // it stays due, and is looked at again when one has left
			}
			mu.Lock()
			running[d.id] = d.consumer
			mu.Unlock()
			wg.Go(func() {
				run := func(ctx context.Context, id int64) error { return r.runOne(ctx, id, g) }
				if d.watched {
					run = r.WatchOne
				}
				if err := run(work, d.id); err != nil && work.Err() == nil {
					r.o.Log.Error("running a step", "consumer", d.consumer, "step", d.id, "error", err)
				}
				mu.Lock()
				delete(running, d.id)
				mu.Unlock()
				if g != nil {
					g.leave(d.id)
					r.Wake()
				}
			})
		}
		timer := time.NewTimer(next)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

type dueStep struct {
	id       int64
	consumer string
	watched  bool // it gave up, and is asked about
}

// due finds the steps to start, leaving out those under way here, and how long
// to wait before looking again.
func (r *Runner) due(ctx context.Context, busy []int64, load map[string]int) ([]dueStep, time.Duration, error) {
	names := make([]string, 0, len(r.consumers))
	types := make([]string, 0, len(r.consumers)) // what this binary's consumer reacts to: another may have put the step
	limits := make([]int64, 0, len(r.consumers))
	next := idle
	for _, c := range r.consumers {
		room := max(0, r.o.Concurrency-load[c.Name])
		if g := r.gates[c.Name]; g != nil {
			free, wait := g.room()
			if room = min(room, free); wait > 0 {
				next = min(next, wait)
			}
		}
		names, limits, types = append(names, c.Name), append(limits, int64(room)), append(types, strings.Join(c.Types(), ","))
	}
	rows, err := r.db.Pool().QueryContext(ctx, `
		select d.id, c.name, d.watched, coalesce(extract(epoch from d.due_at - n.now), 0)
		from (select choreo.troupe_now() as now) n,
		     unnest($1::text[], $2::bigint[], $4::text[]) as c (name, room, types),
		     lateral (
		       (select id, due_at, false as watched from choreo.steps
		         where consumer = c.name and head and state = 'waiting' and type = any (string_to_array(c.types, ',')) and id <> all ($3::bigint[])
		           and due_at <= n.now + interval '1 second'
		         order by due_at limit c.room)
		       union all
		       (select id, due_at, false from choreo.steps
		         where consumer = c.name and state = 'waiting' and place is null and type = any (string_to_array(c.types, ',')) and id <> all ($3::bigint[])
		           and due_at <= n.now + interval '1 second'
		         order by due_at limit c.room)
		       union all
		       (select id, watch_at, true from choreo.steps
		         where consumer = c.name and watch_at < n.now and type = any (string_to_array(c.types, ',')) and id <> all ($3::bigint[])
		         order by watch_at limit least(c.room, 4))
		       union all
		       (select id, lease_until, false from choreo.steps
		         where consumer = c.name and state = 'calling' and lease_until < n.now and type = any (string_to_array(c.types, ',')) and id <> all ($3::bigint[])
		         order by lease_until limit c.room)
		     ) d
		where not exists (select from choreo.consumers p where p.consumer = c.name and p.paused_at is not null)`,
		pq.Array(names), pq.Array(limits), pq.Array(busy), pq.Array(types))
	if err != nil {
		return nil, 0, fmt.Errorf("finding due steps: %w", err)
	}
	defer rows.Close()
	var due []dueStep
	for rows.Next() {
		var d dueStep
		var in float64
		if err := rows.Scan(&d.id, &d.consumer, &d.watched, &in); err != nil {
			return nil, 0, err
		}
		if in <= 0 {
			due = append(due, d)
		} else {
			next = min(next, time.Duration(in*float64(time.Second)))
		}
	}
	return due, max(next, time.Millisecond), rows.Err()
}
