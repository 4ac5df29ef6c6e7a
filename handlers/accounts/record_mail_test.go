package accounts_test

import (
	"testing"

	"troupe/domain/account"
	"troupe/events"
)

func TestRecordMail(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := s.registered("ana@example.com")
	failed := events.VerificationMailFailed{AccountID: f.AccountID, MailID: f.MailID, Reason: "timeout"}
	s.shows(f.AccountID, account.MailPending)
	r := s.When("record-mail", failed, "")
	r.Emits()
	s.shows(f.AccountID, account.MailFailed)

	s.When("record-mail", mailSent(f.AccountID, f.MailID), "").Emits()
	s.shows(f.AccountID, account.MailSent) // it came through after all
	s.Again(r)
	s.When("record-mail", failed, "").Emits()
	s.shows(f.AccountID, account.MailSent)
}

func TestRecordMailOfAnOlderMail(t *testing.T) {
	t.Parallel()
	s := open(t)
	old := s.registered("ana@example.com")
	s.requested(old.AccountID)
	s.When("record-mail", events.VerificationMailFailed{AccountID: old.AccountID, MailID: old.MailID, Reason: "timeout"}, "").Emits()
	s.shows(old.AccountID, account.MailPending)
	s.When("record-mail", mailSent(old.AccountID, old.MailID), "").Emits()
	s.shows(old.AccountID, account.MailPending)
}

func TestRecordMailOfNobody(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := s.registered("ana@example.com")
	s.erased(f.AccountID)
	s.When("record-mail", mailSent(f.AccountID, f.MailID), "").Emits()
	s.When("record-mail", events.VerificationMailFailed{AccountID: f.AccountID, MailID: f.MailID, Reason: "x"}, "").Emits()
}
