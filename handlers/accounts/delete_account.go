package accounts

import (
	"context"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/domain/rental"
	"troupe/events"
)

// unfinished are the aggregates that may stand against deleting an account: each
// says why, or nothing. Nothing new comes while the account is closing.
var unfinished = []func(context.Context, *choreo.Tx, string) (string, error){
	order.Unfinished, rental.Unfinished,
}

// DeleteAccount on AccountDeletionRequested does the account's own half of its
// deletion, unless something of it is not finished. Emits AccountDeleted; fails
// with AccountDeletionFailed. Undone by RestoreAccount.
func DeleteAccount(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountDeletionRequested]) error {
	return changeAccount(ctx, tx, e.Fact.AccountID, func(a *account.Account) error {
		var refusal string
		for _, ask := range unfinished {
			reason, err := ask(ctx, tx, a.ID)
			if err != nil {
				return err
			}
			if refusal == "" {
				refusal = reason
			}
		}
		a.Delete(e.Saga, refusal)
		return nil
	})
}
