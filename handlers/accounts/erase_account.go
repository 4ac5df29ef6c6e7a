package accounts

import (
	"context"
	"errors"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/buyer"
	"troupe/domain/idempotency"
	"troupe/domain/order"
	"troupe/domain/post"
	"troupe/domain/project"
	"troupe/domain/rental"
	"troupe/events"
)

// personal are the aggregates that keep something of a person beside the
// account: each destroys it.
var personal = []func(context.Context, *choreo.Tx, string) error{
	order.Forget, rental.Forget, buyer.Forget, project.Forget, post.Forget, idempotency.Forget,
}

// EraseDeletedAccount is half of erase-account. On AccountDeleted erases the
// account if its projects are deleted too. Emits AccountErased. Irreversible.
func EraseDeletedAccount(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountDeleted]) error {
	return eraseAccount(ctx, tx, e.Fact.AccountID, e.Saga, account.OwnHalf)
}

// EraseWithoutProjects is half of erase-account. On ProjectsDeleted erases the
// account if that is deleted too. Emits AccountErased. Irreversible.
func EraseWithoutProjects(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.ProjectsDeleted]) error {
	return eraseAccount(ctx, tx, e.Fact.AccountID, e.Saga, account.ProjectsHalf)
}

// eraseAccount erases an account that closes for the saga once both halves have
// come: personal rows, sessions and payment methods are destroyed.
func eraseAccount(ctx context.Context, tx *choreo.Tx, accountID, saga string, half account.Half) error {
	return changeAccount(ctx, tx, accountID, func(a *account.Account) error {
		if !a.Join(saga, half) {
			return nil
		}
		for _, forget := range personal {
			if err := forget(ctx, tx, a.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// changeAccount locks, changes and saves an account; it does nothing where there
// is none.
func changeAccount(ctx context.Context, tx *choreo.Tx, accountID string, change func(*account.Account) error) error {
	a, err := account.Load(ctx, tx, accountID)
	if errors.Is(err, account.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := change(a); err != nil {
		return err
	}
	return a.Save(ctx, tx)
}
