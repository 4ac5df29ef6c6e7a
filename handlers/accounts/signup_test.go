package accounts_test

import (
	"bytes"
	"context"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain"
	"troupe/domain/account"
	"troupe/events"
	"troupe/handlers"
	"troupe/providers/mail"
	"troupe/sandbox/sandboxtest"
)

var tokenKey = []byte("token key")

// signup is the real flow over a database of the test's own, with a sandbox
// that takes its mail.
type signup struct {
	*choreotest.Stage
	t       *testing.T
	sandbox *sandboxtest.Sandbox
}

func open(t *testing.T) *signup {
	t.Helper()
	s := &signup{t: t, sandbox: sandboxtest.Start(t)}
	mailer, err := mail.NewSMTP(s.sandbox.MailURL(), "troupe@example.com")
	if err != nil {
		t.Fatal(err)
	}
	flow, err := handlers.Flow(handlers.Outside{Mail: mailer, TokenKey: tokenKey, CardKey: bytes.Repeat([]byte{7}, 32)})
	if err != nil {
		t.Fatal(err)
	}
	s.Stage = choreotest.New(t, flow, domain.Migrate)
	return s
}

// registered is what happens when somebody signs up with the address.
func (s *signup) registered(email string) (f events.AccountRegistered) {
	s.t.Helper()
	s.Given("sign-up", func(ctx context.Context, tx *choreo.Tx) error {
		_, err := account.SignUp(ctx, tx, account.Person{Email: email, Name: "Ana"}, []byte("hash"))
		return err
	})
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select account_id, mail_id from accounts where email = $1`, email).
		Scan(&f.AccountID, &f.MailID)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// requested is what happens when the owner asks for the mail again.
func (s *signup) requested(accountID string) (f events.VerificationMailRequested) {
	s.t.Helper()
	s.Given("request-verification-mail", func(ctx context.Context, tx *choreo.Tx) error {
		a, err := account.Load(ctx, tx, accountID)
		if err != nil {
			return err
		}
		if err := a.RequestMail(tx); err != nil {
			return err
		}
		return a.Save(ctx, tx)
	})
	f.AccountID = accountID
	err := s.DB.Pool().QueryRowContext(s.t.Context(), `select mail_id from accounts where account_id = $1`, accountID).
		Scan(&f.MailID)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// erased is what happens in the end when an account is deleted.
func (s *signup) erased(accountID string) {
	s.t.Helper()
	l := leaver{accountID, s.requestDeletion(accountID)}
	s.after("delete-account", l)
	s.When("erase-account", events.AccountDeleted{AccountID: accountID}, l.saga)
	s.When("erase-account", events.ProjectsDeleted{AccountID: accountID, ProjectIDs: []string{}}, l.saga).
		Emits(events.AccountErased{AccountID: accountID})
}

// shows checks what the account says of its mail.
func (s *signup) shows(accountID string, want account.Mail) {
	s.t.Helper()
	a, err := account.Get(s.t.Context(), s.DB.Pool(), accountID)
	if err != nil || a.Mail != want {
		s.t.Errorf("the account shows %+v (%v), want mail %s", a, err, want)
	}
}

func mailSent(accountID, mailID string) events.VerificationMailSent {
	return events.VerificationMailSent{AccountID: accountID, MailID: mailID}
}
