package acceptance

import (
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"testing"
	"time"
)

// A command answers in under this, however slow what follows it is.
const promptly = 800 * time.Millisecond

func (s *system) mailState(t *testing.T, p person, want string) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if a := read[accountBody](t, s, "/accounts/"+p.id); a.Mail != want {
			return fmt.Errorf("the mail of %s is %s; want %s", p.email, a.Mail, want)
		}
		return nil
	})
}

func (s shared) signUpDoesNotWait(t *testing.T) {
	// Others hash passwords on the same cores: the best of a few counts.
	var p person
	for range 6 {
		if p = s.signUp(t, "slow"); p.took < promptly {
			break
		}
	}
	if p.took >= promptly {
		t.Errorf("sign-up took %s while its mail takes 5 s; want less than %s", p.took, promptly)
	}
	if n := len(s.mails(t, p.email, "", "succeeded")); n != 0 {
		t.Error("the slow mail was there at once: nothing is shown")
	}
	s.mailState(t, p, "sent")
	m := s.mails(t, p.email, "verification", "succeeded")
	if len(m) != 1 {
		t.Fatalf("%d mails came; want one", len(m))
	}
	if g := s.settled(t, p.saga); g.Outcome != "completed" || g.has("accounts.VerificationMailSent") != 1 {
		t.Errorf("the saga is %+v", g)
	}
}

func (s shared) refusedMail(t *testing.T) {
	t.Parallel()
	p := s.signUp(t, "bounce")
	s.mailState(t, p, "failed")
	if g := s.settled(t, p.saga); g.Outcome != "failed" || g.has("accounts.VerificationMailFailed") != 1 {
		t.Errorf("the saga is %+v", g)
	}
	if n := len(s.mails(t, p.email, "", "")); n != 1 {
		t.Errorf("%d attempts at a mailbox that refuses for good; want one", n)
	}
}

func (s shared) mailsDoNotWait(t *testing.T) {
	t.Parallel()
	// Each few people sign up behind a slow mailbox of their own, so that one is
	// being waited for however long all of it takes.
	const groups, each = 6, 5
	slow, quick := make([]person, groups), make([]person, groups*each)
	for g := range groups {
		slow[g] = s.signUp(t, "slow")
		var all sync.WaitGroup
		for i := range each {
			all.Go(func() { quick[g*each+i] = s.signUp(t, "quick") })
		}
		all.Wait()
	}
	cameAt := func(p person) time.Time {
		s.mailState(t, p, "sent")
		return s.mails(t, p.email, "", "succeeded")[0].At
	}
	held := make([]time.Time, groups)
	for g, p := range slow {
		held[g] = cameAt(p)
	}
	// Those on the partition of a slow one are the ones that it could hold up. A
	// busy machine may hold up some of them, a blocked partition all.
	behind, overtook, slowest := 0, 0, time.Duration(0)
	for i, p := range quick {
		came := cameAt(p)
		slowest = max(slowest, came.Sub(p.at))
		for g := range i/each + 1 { // those that were there before
			if partitionOf("accounts", p.id, 8) != partitionOf("accounts", slow[g].id, 8) || held[g].Sub(p.at) < 2*time.Second {
				continue
			}
			behind++
			if came.Before(held[g]) {
				overtook++
			}
		}
	}
	t.Logf("the slowest of the others came %s after its sign-up", slowest)
	if behind == 0 || 2*overtook < behind {
		t.Errorf("of %d mails on the partition of one that was waited for, %d came before it", behind, overtook)
	}
}

func (s shared) verification(t *testing.T) {
	t.Parallel()
	p := s.join(t, "flaky") // fails twice, then comes
	s.mailState(t, p, "sent")
	mail := s.mails(t, p.email, "verification", "succeeded")
	secret := regexp.MustCompile(`(?m)^[\w-]{40,}$`).FindString(mail[0].Text)
	if secret == "" {
		t.Fatalf("no line of the mail is its token alone:\n%s", mail[0].Text)
	}
	body := map[string]string{"token": secret}
	s.call(t, http.StatusOK, http.MethodPost, "/verifications", "", body)
	s.call(t, http.StatusConflict, http.MethodPost, "/verifications", "", body)
	if a := read[accountBody](t, s.system, "/accounts/"+p.id); a.State != "active" {
		t.Errorf("after verification the account is %s", a.State)
	}
	s.call(t, http.StatusConflict, http.MethodPost, "/accounts/"+p.id+"/verification-mails", p.token, nil)
	if all := s.mails(t, p.email, "", ""); len(all) != 3 {
		t.Errorf("%d attempts at a mailbox that fails twice; want 3", len(all))
	}
}
