package account

import (
	"errors"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
)

func TestToken(t *testing.T) {
	t.Parallel()
	key, mail := []byte("key"), uuid.NewString()
	token, err := Token(key, mail)
	if err != nil || !regexp.MustCompile(`^[A-Za-z0-9_-]{64}$`).MatchString(token) {
		t.Fatalf("token %q, %v", token, err)
	}
	if again, _ := Token(key, mail); again != token {
		t.Error("a mail sent again holds another token")
	}
	if got, err := mailOf(key, " "+token+"\r\n"); got != mail || err != nil {
		t.Errorf("the mail of the token: %q, %v; want %q", got, err, mail)
	}
	other, err := Token([]byte("another key"), mail)
	if err != nil {
		t.Fatal(err)
	}
	ofAnother, err := Token(key, uuid.NewString())
	if err != nil {
		t.Fatal(err)
	}
	swapped := ofAnother[:21] + token[21:]
	for _, forged := range []string{"", "x", other, swapped, token + "AAAA", token[:63], token[:63] + "\n" + token[63:] + "="} {
		if got, err := mailOf(key, forged); !errors.Is(err, ErrUnknownToken) {
			t.Errorf("%q is taken for one of mail %q (%v)", forged, got, err)
		}
	}
	if _, err := Token(key, "no id of ours"); err == nil {
		t.Error("a token of a mail that has no id")
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		state   State
		expires time.Time
		want    error
	}{
		{Unverified, now.Add(time.Nanosecond), nil},
		{Unverified, now, ErrExpiredToken},
		{Active, now.Add(time.Hour), ErrVerified},
		{Active, now, ErrVerified},
	} {
		a := &Account{ID: "a", State: c.state}
		err := a.Verify(now, c.expires)
		if !errors.Is(err, c.want) || (err == nil) != (len(a.facts) == 1) || (err == nil && a.State != Active) {
			t.Errorf("%s until %v: %v, %s, %v", c.state, c.expires, err, a.State, a.facts)
		}
	}
}

func TestRecordedMailIsTheNewest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		was    Mail
		record func(*Account)
		want   Mail
	}{
		{MailPending, func(a *Account) { a.RecordSent("new") }, MailSent},
		{MailPending, func(a *Account) { a.RecordFailed("new") }, MailFailed},
		{MailFailed, func(a *Account) { a.RecordSent("new") }, MailSent},
		{MailSent, func(a *Account) { a.RecordFailed("new") }, MailSent},
		{MailPending, func(a *Account) { a.RecordFailed("old") }, MailPending},
		{MailPending, func(a *Account) { a.RecordSent("old") }, MailPending},
		{MailFailed, func(a *Account) { a.RecordSent("old") }, MailFailed},
		{MailSent, func(a *Account) { a.RecordFailed("old") }, MailSent},
	} {
		a := &Account{mailID: "new", Mail: c.was}
		if c.record(a); a.Mail != c.want {
			t.Errorf("from %s: %s, want %s", c.was, a.Mail, c.want)
		}
	}
}
