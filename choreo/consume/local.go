package consume

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"

	"troupe/choreo"
)

// Feeder takes events from the log to one Local() consumer, right after they
// were sequenced.
type Feeder struct {
	applier *Applier
	topics  []string
	log     *slog.Logger
}

// Run feeds until ctx ends. A hint, or a quarter of a second, makes it look.
func (f *Feeder) Run(ctx context.Context, hints <-chan struct{}) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		n, err := f.Feed(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.Warn("feeding a local consumer; it is tried again", "consumer", f.applier.Consumer.Name, "error", err)
		}
		if err == nil && n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-hints:
		case <-tick.C:
		}
	}
	return nil
}

// Feed applies the next events of the log, at most 500, and moves the cursor.
// An event that is applied and not yet below the cursor is a duplicate next
// time.
func (f *Feeder) Feed(ctx context.Context) (int, error) {
	pool, name := f.applier.DB.Pool(), f.applier.Consumer.Name
	rows, err := pool.QueryContext(ctx, `
		select l.position, l.sequence, l.event_id, l.type, l.key, l.saga, l.causation, l.emitter, l.ran_in, l.traceparent,
		       l.at, l.data
		from choreo.event_log l
		where l.position > coalesce((select position from choreo.cursors where consumer = $1), 0)
		  and l.type = any ($2) order by l.position limit 500`, name, pq.Array(f.types()))
	if err != nil {
		return 0, fmt.Errorf("reading the log: %w", err)
	}
	defer rows.Close()
	type entry struct {
		position int64
		meta     choreo.Meta
		data     []byte
	}
	var entries []entry
	for rows.Next() {
		e := entry{meta: choreo.Meta{Source: f.applier.DB.Source()}}
		m, ran := &e.meta, ""
		if err := rows.Scan(&e.position, &m.Sequence, &m.ID, &m.Type, &m.Key, &m.Saga, &m.Causation, &m.Emitter,
			&ran, &m.TraceParent, &m.Time, &e.data); err != nil {
			return 0, err
		}
		if ran != "" {
			m.RanIn = strings.Split(ran, ",")
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil || len(entries) == 0 {
		return 0, err
	}
	for _, e := range entries {
		if _, err := f.applier.Event(ctx, e.meta, e.data); err != nil {
			return 0, err
		}
	}
	_, err = pool.ExecContext(ctx, `insert into choreo.cursors (consumer, position) values ($1, $2)
		on conflict (consumer) do update set position = greatest(choreo.cursors.position, excluded.position)`,
		name, entries[len(entries)-1].position)
	if err != nil {
		return 0, fmt.Errorf("moving the cursor: %w", err)
	}
	return len(entries), nil
}

func (f *Feeder) types() []string {
	var types []string
	for _, r := range f.applier.Consumer.Rules() {
		types = append(types, r.On)
	}
	return types
}

// Hints spreads one source of hints to many listeners; a hint that a listener
// has not taken yet stands for those that come after it.
type Hints struct {
	mu        sync.Mutex
	listeners []chan struct{}
}

// Listen adds a listener.
func (h *Hints) Listen() <-chan struct{} {
	c := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners = append(h.listeners, c)
	return c
}

// Give wakes every listener.
func (h *Hints) Give() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.listeners {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
