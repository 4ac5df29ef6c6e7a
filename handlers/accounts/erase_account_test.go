package accounts_test

import (
	"testing"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/events"
)

func TestEraseAccountInEitherOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, projectsFirst := range []bool{true, false} {
		ana := s.leaves("ana@example.com", func(id string) {
			s.has(id)
			s.orders(id, order.Shipped, order.RefundNone)
			s.exec(`insert into sessions (token_hash, account_id, created_at, expires_at) values ('\x01', $1, choreo.troupe_now(), choreo.troupe_now() + interval '1 day')`, id)
		})
		var projects events.ProjectsDeleted
		s.after("delete-projects", ana).Read(&projects)
		s.after("delete-account", ana).Emits(events.AccountDeleted{AccountID: ana.id})
		halves := []choreo.Fact{events.AccountDeleted{AccountID: ana.id}, projects}
		if projectsFirst {
			halves[0], halves[1] = halves[1], halves[0]
		}
		for range 2 { // the one half twice is not the other
			s.When("erase-account", halves[0], ana.saga).Emits()
		}
		s.isState(ana.id, account.Closing)
		s.When("erase-account", halves[1], ana.saga).Emits(events.AccountErased{AccountID: ana.id})
		s.isState(ana.id, account.Erased)
		for _, fact := range halves {
			s.When("erase-account", fact, ana.saga).Emits()
		}
		for _, table := range []string{"sessions", "verification_mails", "payment_methods", "buyers", "projects", "project_members", "project_deletions"} {
			if n := s.Count(`select count(*) from `+table+` where account_id = $1`, ana.id); n != 0 {
				t.Errorf("%d %s are left", n, table)
			}
		}
		if n := s.Count(`select count(*) from shipping_infos`); n != 0 {
			t.Errorf("%d shipping infos are left", n)
		}
	}
	if n := s.Count(`select count(*) from accounts where state = 'erased' and email is null and name = '' and password_hash = ''`); n != 2 {
		t.Errorf("%d accounts are erased, want 2 that had one address", n)
	}
}

func TestEraseAccountOnlyForItsSaga(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com")
	s.after("delete-account", ana)
	for _, fact := range []choreo.Fact{events.AccountDeleted{AccountID: ana.id}, events.ProjectsDeleted{AccountID: ana.id, ProjectIDs: []string{}}} {
		s.When("erase-account", fact, "another").Emits()
	}
	bob := s.registered("bob@example.com").AccountID
	for _, fact := range []choreo.Fact{events.AccountDeleted{AccountID: bob}, events.ProjectsDeleted{AccountID: bob, ProjectIDs: []string{}}} {
		s.When("erase-account", fact, "").Emits()
	}
	s.isState(ana.id, account.Closing)
	s.isState(bob, account.Unverified)
}

// Facts of the two halves that were made up do not erase an account that its own
// half did not delete.
func TestEraseAccountOnlyAfterItWasDeleted(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com")
	s.When("erase-account", events.ProjectsDeleted{AccountID: ana.id, ProjectIDs: []string{}}, ana.saga).Emits()
	s.When("erase-account", events.AccountDeleted{AccountID: ana.id}, ana.saga).Emits()
	s.isState(ana.id, account.Closing)
}

// A mail to somebody who is erased meanwhile fails, and the account shows nothing.
func TestMailToAnErasedPerson(t *testing.T) {
	t.Parallel()
	s := open(t)
	f := s.registered("ana@example.com")
	s.erased(f.AccountID)
	s.When("send-verification-mail", f, "").
		Emits(events.VerificationMailFailed{AccountID: f.AccountID, MailID: f.MailID, Reason: "erased"})
	s.When("record-mail", mailSent(f.AccountID, f.MailID), "").Emits()
	if n := len(s.sandbox.Mail()); n != 0 {
		t.Errorf("%d mails went out", n)
	}
}
