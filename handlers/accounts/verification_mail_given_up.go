package accounts

import (
	"context"
	"errors"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/events"
	"troupe/providers/mail"
)

// VerificationMailGivenUp is what comes of send-verification-mail when the
// mail was refused for good or could not be sent in time.
func VerificationMailGivenUp[F MailOwed](_ context.Context, _ *choreo.Tx, e choreo.Event[F], cause error) (choreo.Fact, error) {
	return events.VerificationMailFailed{
		AccountID: e.Fact.Account(), MailID: e.Fact.Mail(), Reason: mailFailure(cause),
	}, nil
}

// mailFailure is why a mail failed, in a word. It never quotes the error, which
// may be another's.
func mailFailure(cause error) string {
	switch {
	case cause == nil:
		return ""
	case errors.Is(cause, account.ErrNotFound):
		return "erased"
	case errors.Is(cause, account.ErrUnknownToken):
		return "unknown-mail"
	case errors.Is(cause, mail.ErrRefused), choreo.IsRefused(cause):
		return "refused"
	case errors.Is(cause, choreo.ErrOutcomeUnknown):
		return "unknown"
	case errors.Is(cause, context.DeadlineExceeded):
		return "timeout"
	}
	return "unavailable"
}
