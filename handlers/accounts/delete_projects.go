package accounts

import (
	"context"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/project"
	"troupe/events"
)

// DeleteProjects on AccountDeletionRequested deletes all projects of an account
// that closes for this saga, unless another member still works in one. Emits
// ProjectsDeleted; fails with ProjectsDeletionFailed. Undone by RestoreProjects.
func DeleteProjects(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountDeletionRequested]) error {
	closes, err := account.ClosesFor(ctx, tx, e.Fact.AccountID, e.Saga)
	if err != nil || !closes {
		return err
	}
	return project.DeleteAll(ctx, tx, e.Fact.AccountID, e.Saga)
}
