// Package accountinfo is the view behind GET /accounts/{id}: how far an account
// and its newest verification mail are, from the facts of accounts. Address and
// name are personal, and not in it.
package accountinfo

import (
	"context"
	_ "embed"

	"troupe/choreo"
	"troupe/events"
)

// Name of the view.
const Name = "account-info"

// Tables makes its tables.
//
//go:embed tables.sql
var Tables string

// Registered adds the account.
func Registered(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountRegistered]) error {
	return exec(ctx, tx, `insert into accounts (account_id, mail_id, mail) values ($1, $2, 'pending') on conflict do nothing`,
		e.Fact.AccountID, e.Fact.MailID)
}

// Verified verifies it.
func Verified(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountVerified]) error {
	return exec(ctx, tx, `update accounts set verified = true where account_id = $1`, e.Fact.AccountID)
}

// MailRequested puts a new mail in the place of the older ones. Ids of mails
// grow: a fact that comes again brings no older one back.
func MailRequested(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.VerificationMailRequested]) error {
	return exec(ctx, tx, `update accounts set mail_id = $2, mail = 'pending' where account_id = $1 and mail_id < $2`,
		e.Fact.AccountID, e.Fact.MailID)
}

// MailSent tells of the newest mail that it was sent, also after it was given up.
func MailSent(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.VerificationMailSent]) error {
	return exec(ctx, tx, `update accounts set mail = 'sent' where account_id = $1 and mail_id = $2`, e.Fact.AccountID, e.Fact.MailID)
}

// MailFailed tells of the newest mail that it failed, unless it was sent.
func MailFailed(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.VerificationMailFailed]) error {
	return exec(ctx, tx, `update accounts set mail = 'failed' where account_id = $1 and mail_id = $2 and mail = 'pending'`,
		e.Fact.AccountID, e.Fact.MailID)
}

// DeletionRequested closes it, unless it is erased.
func DeletionRequested(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountDeletionRequested]) error {
	return exec(ctx, tx, `update accounts set leaving = 'closing' where account_id = $1 and leaving <> 'erased'`, e.Fact.AccountID)
}

// Restored opens a closing one again.
func Restored(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountRestored]) error {
	return exec(ctx, tx, `update accounts set leaving = '' where account_id = $1 and leaving = 'closing'`, e.Fact.AccountID)
}

// Erased ends it.
func Erased(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountErased]) error {
	return exec(ctx, tx, `update accounts set leaving = 'erased' where account_id = $1`, e.Fact.AccountID)
}

func exec(ctx context.Context, tx *choreo.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}
