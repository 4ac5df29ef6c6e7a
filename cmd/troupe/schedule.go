package main

import (
	"context"
	"time"

	"troupe/api"
)

const (
	// expireEvery is how often expired attachments are swept, by one of all
	// processes that serve the API.
	expireEvery = time.Hour
	// lookEvery is how often a process asks whether it is its turn.
	lookEvery = time.Minute
)

// runSchedule gives the commands that nobody gives by hand, until ctx ends.
func (a *app) runSchedule(ctx context.Context, s *api.Server) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ours, err := a.db.Turn(ctx, "expire-attachments", expireEvery)
		n := 0
		if err == nil && ours {
			n, err = s.ExpireAttachments(ctx)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			a.log.Warn("expiring attachments; it is tried again in its next turn", "error", err)
		case n > 0:
			a.log.Info("attachments have expired", "attachments", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
