package accounts

import (
	"context"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/project"
)

// RestoreAccount on ProjectsDeletionFailed and ProjectsRestored takes an account
// out of closing, once per saga, whether or not DeleteAccount has run, and only
// when no project is away. Emits AccountRestored. It is the undoing of
// DeleteAccount and of the request.
func RestoreAccount[F choreo.Fact](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	return changeAccount(ctx, tx, e.Fact.Key(), func(a *account.Account) error {
		away, err := project.Away(ctx, tx, a.ID, e.Saga)
		if err == nil && !away {
			a.Restore(e.Saga)
		}
		return err
	})
}
