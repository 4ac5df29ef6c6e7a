package rentals

import (
	"context"

	"troupe/choreo"
	"troupe/domain/process"
	"troupe/events"
)

// StartManaging on a managed RentalRequested starts the stream of its process
// manager, which commands the first step. Emits ChargeRental, or WithdrawRental
// where that command is refused. Undone by nothing: a stream is a record.
func StartManaging(valid process.Validator) func(context.Context, *choreo.Tx, choreo.Event[events.ManagedRentalRequested]) error {
	return func(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.ManagedRentalRequested]) error {
		m, started, err := process.Start(ctx, tx, e.Fact.RentalID, e.Saga)
		if err != nil || !started {
			return err
		}
		m.Receive(tx, e.Meta, valid)
		return m.Save(ctx, tx)
	}
}

// ManageRental on every other fact of a managed rental notes it in the stream,
// and commands what follows. Emits that command, or the undo where the command is
// refused. Undone by nothing: a stream is a record.
func ManageRental[F of](valid process.Validator) func(context.Context, *choreo.Tx, choreo.Event[F]) error {
	return func(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
		m, found, err := process.Load(ctx, tx, e.Fact.Rental(), e.Saga)
		if err != nil || !found {
			return err
		}
		m.Receive(tx, e.Meta, valid)
		return m.Save(ctx, tx)
	}
}
