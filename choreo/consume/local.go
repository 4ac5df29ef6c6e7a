package consume

import (
	"context"
	"log/slog"
	"maps"
	"slices"
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

// NewFeeder makes the feeder of a local consumer's applier.
func NewFeeder(a *Applier, log *slog.Logger) *Feeder {
	return &Feeder{applier: a, topics: a.Consumer.Topics(), log: log}
}

// Run feeds until ctx ends. A hint, or a quarter of a second, makes it look.
func (f *Feeder) Run(ctx context.Context, hints *choreo.Hints) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		next := hints.Next()
		n, err := f.Feed(ctx)
		if err != nil && ctx.Err() == nil {
			f.log.Warn("feeding a local consumer; it is tried again", "consumer", f.applier.Consumer.Name, "error", err)
		}
		if err == nil && n > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-next:
		case <-tick.C:
		}
	}
	return nil
}

// Feed applies what the log holds beyond the consumer's watermarks, at most a
// batch of each partition, and tells how many events that were.
func (f *Feeder) Feed(ctx context.Context) (int, error) {
	log := f.applier.DB.Log()
	heads, err := readPlaces(ctx, log, `select source, topic, partition, head from choreo.streams
		where topic = any ($1) and head > 0`, pq.Array(f.topics))
	if err != nil {
		return 0, err
	}
	behind, err := f.applier.beyond(ctx, heads)
	if err != nil {
		return 0, err
	}
	var batch []*arrival
	for _, p := range slices.SortedFunc(maps.Keys(behind), place.compare) {
		found, err := f.applier.readLog(ctx, log, p, behind[p]+1, healAtOnce)
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
