package accounts

import (
	"context"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/events"
)

// RecordMailSent is half of record-mail. On VerificationMailSent shows it on
// the account, unless a newer mail was asked for. Emits nothing. Undone by
// nothing.
func RecordMailSent(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.VerificationMailSent]) error {
	return recordMail(ctx, tx, e.Fact.AccountID, func(a *account.Account) { a.RecordSent(e.Fact.MailID) })
}

// RecordMailFailed is half of record-mail. On VerificationMailFailed shows it
// on the account, unless a newer mail was asked for. Emits nothing. Undone by
// nothing.
func RecordMailFailed(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.VerificationMailFailed]) error {
	return recordMail(ctx, tx, e.Fact.AccountID, func(a *account.Account) { a.RecordFailed(e.Fact.MailID) })
}

// recordMail does nothing for an account that has been erased.
func recordMail(ctx context.Context, tx *choreo.Tx, accountID string, record func(*account.Account)) error {
	return changeAccount(ctx, tx, accountID, func(a *account.Account) error {
		if a.State != account.Erased {
			record(a)
		}
		return nil
	})
}
