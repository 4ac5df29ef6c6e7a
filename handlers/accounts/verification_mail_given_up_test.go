package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/events"
	"troupe/handlers/accounts"
	"troupe/providers/mail"
)

func TestVerificationMailGivenUp(t *testing.T) {
	t.Parallel()
	e := choreo.Event[events.AccountRegistered]{Fact: events.AccountRegistered{AccountID: "a", MailID: "m"}}
	for _, c := range []struct {
		cause error
		want  string
	}{
		{choreo.Refused(mail.ErrRefused), "refused"},
		{fmt.Errorf("sending: %w", mail.ErrRefused), "refused"},
		{fmt.Errorf("reading: %w", account.ErrNotFound), "erased"},
		{fmt.Errorf("sending: %w", context.DeadlineExceeded), "timeout"},
		{errors.Join(errors.New("sending"), choreo.ErrOutcomeUnknown), "unknown"},
		{errors.New("no route to mail.example.com for ana@example.com"), "unavailable"},
	} {
		got, err := accounts.VerificationMailGivenUp(t.Context(), nil, e, c.cause)
		want := events.VerificationMailFailed{AccountID: "a", MailID: "m", Reason: c.want}
		if got != want || err != nil {
			t.Errorf("%v: %+v, %v; want %+v", c.cause, got, err, want)
		}
	}
}
