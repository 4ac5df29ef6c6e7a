package steps

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"
)

// leave gives the lease of a call up that was cut off because this runner stops:
// the next one need not wait for its end to make the call again.
func (r *Runner) leave(ctx context.Context, s *step) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, err := r.db.Pool().ExecContext(ctx, `update choreo.steps set lease_until = choreo.troupe_now()
		where id = $1 and lease = $2 and state = 'calling'`, s.id, s.lease)
	return err
}

// renew keeps the lease while the call runs.
func (r *Runner) renew(ctx context.Context, s *step) {
	tick := time.NewTicker(r.o.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, err := r.db.Pool().ExecContext(ctx, `update choreo.steps
				set lease_until = choreo.troupe_now() + make_interval(secs => $3)
				where id = $1 and lease = $2 and state = 'calling'`, s.id, s.lease, r.o.Lease.Seconds())
			if err != nil && ctx.Err() == nil {
				r.o.Log.Warn("renewing a lease", "consumer", s.rule.Consumer, "step", s.id, "error", err)
			}
		}
	}
}

func token() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}
