package consume

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lib/pq"
)

// Feeder takes events from the log to one Local() consumer, right after they
// were sequenced.
type Feeder struct {
	applier *Applier
	topics  []string
	log     *slog.Logger
}

// NewFeeder makes the feeder of a local consumer's applier.
func NewFeeder(a *Applier, log *slog.Logger) *Feeder {
	return &Feeder{applier: a, topics: a.Consumer.Topics(), log: log}
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

// Feed applies what the log holds beyond the consumer's watermarks, at most a
// batch, and tells how many events that were.
func (f *Feeder) Feed(ctx context.Context) (int, error) {
	rows, err := f.applier.DB.Pool().QueryContext(ctx, `
		select s.source, s.topic, s.partition, coalesce(w.sequence, 0) from choreo.streams s
		left join choreo.watermarks w on w.consumer = $1 and w.source = s.source and w.topic = s.topic and w.partition = s.partition
		where s.topic = any ($2) and s.head > coalesce(w.sequence, 0)`,
		f.applier.Consumer.Name, pq.Array(f.topics))
	if err != nil {
		return 0, fmt.Errorf("looking for news in the log: %w", err)
	}
	defer rows.Close()
	type behind struct {
		place
		sequence int64
	}
	var places []behind
	for rows.Next() {
		var b behind
		if err := rows.Scan(&b.source, &b.topic, &b.partition, &b.sequence); err != nil {
			return 0, err
		}
		places = append(places, b)
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	var batch []*arrival
	for _, b := range places {
		found, err := readLog(ctx, f.applier.DB.Pool(), b.place, b.sequence+1, healAtOnce)
		if err != nil {
			return 0, err
		}
		for _, v := range found {
			f.applier.bind(v)
		}
		batch = append(batch, found...)
	}
	if len(batch) == 0 {
		return 0, nil
	}
	_, err = f.applier.take(ctx, batch, nil)
	return len(batch), err
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
