package consume

import "log/slog"

// NewFeeder makes the feeder of a local consumer's applier.
func NewFeeder(a *Applier, log *slog.Logger) *Feeder {
	return &Feeder{applier: a, topics: a.Consumer.Topics(), log: log}
}
