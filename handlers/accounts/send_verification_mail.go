// Package accounts has the consumers of the process of accounts: the
// verification mail, and what became of it.
package accounts

import (
	"context"
	"fmt"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/events"
	"troupe/providers/mail"
)

// MailOwed is a fact after which a verification mail is owed.
type MailOwed interface {
	choreo.Fact
	Account() string
	Mail() string
}

// SendVerificationMail is send-verification-mail. On AccountRegistered and
// VerificationMailRequested mails the token that verifies the account. Emits
// VerificationMailSent or VerificationMailFailed. Undone by nothing: a mail
// cannot be called back.
type SendVerificationMail[F MailOwed] struct {
	Mail mail.Mailer
	Key  []byte // derives the token
}

// Load reads whom to write to, unless the mail was sent or nobody is left.
func (s SendVerificationMail[F]) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) (account.Letter, error) {
	l, err := account.LetterOf(ctx, tx, e.Fact.Account(), e.Fact.Mail())
	if reason := mailFailure(err); reason == "erased" || reason == "unknown-mail" {
		tx.Emit(events.VerificationMailFailed{AccountID: e.Fact.Account(), MailID: e.Fact.Mail(), Reason: reason})
		return l, choreo.Skip
	}
	if err == nil && l.Sent {
		return l, choreo.Skip
	}
	return l, err
}

// Call sends the mail. Its token is derived, so a mail sent again is the same.
func (s SendVerificationMail[F]) Call(ctx context.Context, key string, e choreo.Event[F], l account.Letter) (struct{}, error) {
	token, err := account.Token(s.Key, e.Fact.Mail())
	if err != nil {
		return struct{}{}, choreo.Refused(err)
	}
	err = s.Mail.Send(ctx, key, mail.Message{
		To: l.Email, Subject: "Confirm your e-mail address", Kind: "verification",
		Text: fmt.Sprintf(verificationText, l.Name, account.VerifiableFor.Hours(), token),
	})
	return struct{}{}, choreo.RefusedIf(err, mail.ErrRefused)
}

// Record notes that the mail is out.
func (s SendVerificationMail[F]) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[F], _ struct{}) error {
	if err := account.MarkSent(ctx, tx, e.Fact.Mail()); err != nil {
		return err
	}
	tx.Emit(events.VerificationMailSent{AccountID: e.Fact.Account(), MailID: e.Fact.Mail()})
	return nil
}

// ByMail is the line of a mail: a mail that is stuck does not hold up the next.
func ByMail[F MailOwed](e choreo.Event[F]) string { return e.Fact.Mail() }

const verificationText = `Hello %s,

somebody, we hope you, signed up at Troupe with this e-mail address.
To confirm that it is yours, send this token to POST /verifications
within %.0f hours, as {"token": "..."}:

%s

If it was not you, ignore this mail.
`
