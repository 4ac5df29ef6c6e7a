//go:build compose

package compose

import (
	"fmt"
	"regexp"
	"testing"
)

// token stands alone on a line of a verification mail.
var token = regexp.MustCompile(`(?m)^(\S{20,})\s*$`)

func TestSignUpIsVerifiedByMail(t *testing.T) {
	t.Parallel()
	p := signUp(t)
	got := sys.settled(t, p.signUp.saga(), "completed")
	if n := got.count("accounts.VerificationMailSent.v1"); n != 1 {
		t.Errorf("%d facts of a mail: %+v", n, got.Steps)
	}
	mails := sys.mails(t, p.email)
	if len(mails) != 1 {
		t.Fatalf("%d mails, want 1: %+v", len(mails), mails)
	}
	found := token.FindStringSubmatch(mails[0].Text)
	if found == nil {
		t.Fatalf("the mail has no token: %s", mails[0].Text)
	}
	verification := map[string]string{"token": found[1]}
	var account struct{ State, Mail string }
	call(t, "", "POST", sys.url+"/verifications", verification).into(t, 200, &account)
	if account.State != "active" {
		t.Errorf("the account is %s", account.State)
	}
	call(t, "", "POST", sys.url+"/verifications", verification).into(t, 409, nil)
	eventually(t, "the account shows its mail", func() error {
		p.call(t, "GET", "/accounts/"+p.id, nil).into(t, 200, &account)
		if account.Mail != "sent" {
			return fmt.Errorf("it is %s", account.Mail)
		}
		return nil
	})
}
