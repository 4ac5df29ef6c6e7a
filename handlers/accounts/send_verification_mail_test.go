package accounts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"troupe/domain/account"
	"troupe/events"
)

func TestSendVerificationMail(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := s.registered("ana@example.com")
	sent := mailSent(f.AccountID, f.MailID)
	r := s.When("send-verification-mail", f, "")
	r.Emits(sent)
	s.Again(r).Emits(sent)
	s.When("send-verification-mail", f, "").Emits() // a copy of the fact

	again := s.requested(f.AccountID)
	s.When("send-verification-mail", again, "").
		Emits(mailSent(f.AccountID, again.MailID))

	mails := s.sandbox.Mail()
	if len(mails) != 2 {
		t.Fatalf("mails: %+v", mails)
	}
	for i, mailID := range []string{f.MailID, again.MailID} {
		token, err := account.Token(tokenKey, mailID)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.ReplaceAll(mails[i].Text, "\r\n", "\n"), "\n")
		if mails[i].To != "ana@example.com" || mails[i].Kind != "verification" || !slices.Contains(lines, token) {
			t.Errorf("mail %+v, want token %s alone on a line", mails[i], token)
		}
	}
}

func TestSendVerificationMailTriesAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := s.registered("flaky@example.com")
	r := s.When("send-verification-mail", f, "")
	for tries := 1; r.State == "waiting" && tries < 5; tries++ {
		r.Emits()
		if strings.Contains(r.Error, "flaky") {
			t.Errorf("the step's error holds the address: %s", r.Error)
		}
		if _, err := s.DB.Pool().ExecContext(t.Context(), `update choreo.steps set due_at = choreo.troupe_now()`); err != nil {
			t.Fatal(err)
		}
		r = s.Again(r)
	}
	r.Emits(mailSent(f.AccountID, f.MailID))
	if n := len(s.sandbox.Mail()); n != 3 {
		t.Errorf("%d attempts, want two that failed and one", n)
	}
}

func TestSendVerificationMailFails(t *testing.T) {
	t.Parallel()
	s := open(t)
	refused, gone, known := s.registered("bounce@example.com"), s.registered("gone@example.com"), s.registered("ana@example.com")
	s.erased(gone.AccountID)
	madeUp := events.VerificationMailRequested{AccountID: known.AccountID, MailID: uuid.NewString()}
	foreign := events.VerificationMailRequested{AccountID: known.AccountID, MailID: gone.MailID}

	s.When("send-verification-mail", refused, "").
		Emits(events.VerificationMailFailed{AccountID: refused.AccountID, MailID: refused.MailID, Reason: "refused"})
	s.When("send-verification-mail", gone, "").
		Emits(events.VerificationMailFailed{AccountID: gone.AccountID, MailID: gone.MailID, Reason: "erased"})
	s.When("send-verification-mail", madeUp, "").
		Emits(events.VerificationMailFailed{AccountID: madeUp.AccountID, MailID: madeUp.MailID, Reason: "unknown-mail"})
	s.When("send-verification-mail", foreign, "").
		Emits(events.VerificationMailFailed{AccountID: foreign.AccountID, MailID: foreign.MailID, Reason: "unknown-mail"})
	for _, m := range s.sandbox.Mail() {
		if m.To != "bounce@example.com" {
			t.Errorf("sent %+v", m)
		}
	}
}

func TestMailsAreOrderedByMail(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := s.registered("ana@example.com")
	again := s.requested(f.AccountID)
	s.When("send-verification-mail", f, "")
	s.When("send-verification-mail", again, "")
	var lines int
	err := s.DB.Pool().QueryRowContext(t.Context(), `select count(distinct line) from choreo.steps`).Scan(&lines)
	if err != nil || lines != 2 {
		t.Errorf("%d lines (%v), want one per mail", lines, err)
	}
}
