package accounts

import (
	"context"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/project"
	"troupe/events"
)

// RestoreProjects on AccountDeletionFailed brings back what this saga deleted of
// the account's projects, which may be none. Emits ProjectsRestored. It is the
// undoing of DeleteProjects.
func RestoreProjects(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountDeletionFailed]) error {
	closes, err := account.ClosesFor(ctx, tx, e.Fact.AccountID, e.Saga)
	if err != nil {
		return err
	}
	return project.Restore(ctx, tx, e.Fact.AccountID, e.Saga, closes)
}
