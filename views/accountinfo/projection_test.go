package accountinfo_test

import (
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/events"
	"troupe/handlers"
	"troupe/views/accountinfo"
)

func TestAccountInfo(t *testing.T) {
	t.Parallel()
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, handlers.Migrate)
	registered := events.AccountRegistered{AccountID: "a", MailID: "m1"}
	again := events.VerificationMailRequested{AccountID: "a", MailID: "m2"}
	verified := events.AccountVerified{AccountID: "a"}
	deletion, restored := events.AccountDeletionRequested{AccountID: "a"}, events.AccountRestored{AccountID: "a"}
	erased := events.AccountErased{AccountID: "a"}
	sent := func(mail string) choreo.Fact { return events.VerificationMailSent{AccountID: "a", MailID: mail} }
	failed := func(mail string) choreo.Fact {
		return events.VerificationMailFailed{AccountID: "a", MailID: mail, Reason: "refused"}
	}
	for name, c := range map[string]struct {
		facts       []choreo.Fact
		state, mail string
	}{
		"registered":                      {[]choreo.Fact{registered}, "unverified", "pending"},
		"mailed":                          {[]choreo.Fact{registered, sent("m1")}, "unverified", "sent"},
		"the mail failed":                 {[]choreo.Fact{registered, failed("m1")}, "unverified", "failed"},
		"it was sent after all":           {[]choreo.Fact{registered, failed("m1"), sent("m1")}, "unverified", "sent"},
		"sent, and a copy of it failed":   {[]choreo.Fact{registered, sent("m1"), failed("m1")}, "unverified", "sent"},
		"asked for again":                 {[]choreo.Fact{registered, failed("m1"), again}, "unverified", "pending"},
		"an older mail fails later":       {[]choreo.Fact{registered, again, sent("m2"), failed("m1")}, "unverified", "sent"},
		"an older mail is sent later":     {[]choreo.Fact{registered, again, sent("m1")}, "unverified", "pending"},
		"verified":                        {[]choreo.Fact{registered, sent("m1"), verified}, "active", "sent"},
		"closing":                         {[]choreo.Fact{registered, verified, deletion}, "closing", "pending"},
		"restored":                        {[]choreo.Fact{registered, verified, deletion, restored}, "active", "pending"},
		"restored, never verified":        {[]choreo.Fact{registered, deletion, restored}, "unverified", "pending"},
		"erased":                          {[]choreo.Fact{registered, verified, deletion, erased}, "erased", "pending"},
		"erased, and it goes on":          {[]choreo.Fact{registered, erased, deletion, restored}, "erased", "pending"},
		"a mail before anybody signed up": {[]choreo.Fact{sent("m1")}, "", ""},
	} {
		for range 2 { // all of it comes again, as other events
			for _, f := range c.facts {
				r := s.When(accountinfo.Name, f, "")
				s.Again(r)
				r.Emits()
			}
		}
		a, err := accountinfo.Find(t.Context(), s.DB.Pool(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if a == nil && c.state != "" || a != nil && (a.State != c.state || a.Mail != c.mail || a.AccountID != "a") {
			t.Errorf("%s: %+v, want %s and %s", name, a, c.state, c.mail)
		}
		if _, err := s.DB.Pool().ExecContext(t.Context(), `delete from account_info.accounts`); err != nil {
			t.Fatal(err)
		}
	}
}
