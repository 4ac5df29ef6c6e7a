package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/process"
)

// ConfirmPublishing on every command of a process manager notes in its stream that
// the command stands in the event log, from which this consumer is fed. Emits
// nothing. Undone by nothing: a stream is a record.
func ConfirmPublishing[F of](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	return process.Confirm(ctx, tx, e.Fact)
}
