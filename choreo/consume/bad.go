package consume

import (
	"context"

	"troupe/choreo"
	"troupe/choreo/internal/quarantine"
)

// quarantine keeps a record that no consumer can read, once for all of them.
func (t *transaction) quarantine(ctx context.Context, u *choreo.Unit, v *arrival) error {
	if v.record == nil { // from our own log: it stays there
		return nil
	}
	return quarantine.Keep(ctx, u.SQL(), t.Consumer.Name, v.record, v.bad, u.Clock())
}
