package account

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for password, good := range map[string]bool{
		"12345678": true, "1234567": false, "": false, "пароль12": true, "🔑🔑🔑🔑🔑🔑🔑🔑": true, "🔑🔑": false,
		strings.Repeat("x", 72): true, strings.Repeat("x", 73): false, strings.Repeat("é", 36): true, strings.Repeat("é", 37): false,
	} {
		if err := CheckPassword("password", password); (err == nil) != good {
			t.Errorf("%q: %v", password, err)
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	p := NewPasswords()
	long := strings.Repeat("x", 72)
	hash, err := p.Hash(t.Context(), long, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cost, err := bcrypt.Cost(hash); err != nil || cost != 10 {
		t.Errorf("cost %d, %v", cost, err)
	}
	for _, c := range []struct {
		hash     []byte
		password string
		want     bool
	}{
		{hash, long, true}, {hash, long + "y", false}, {hash, "", false}, {nil, long, false}, {nil, long + "y", false},
	} {
		if got, err := p.Match(t.Context(), c.hash, c.password); got != c.want || err != nil {
			t.Errorf("%q against %q: %v, %v; want %v", c.password, c.hash, got, err, c.want)
		}
	}
	if cost, err := bcrypt.Cost([]byte(nobodysHash)); err != nil || cost != passwordCost {
		t.Errorf("nobody's hash has cost %d, %v: nobody is told apart by time", cost, err)
	}
}

// A hash that turns out to be of no use is not made, and its turn passes on.
func TestAHashThatNobodyNeedsIsNotMade(t *testing.T) {
	t.Parallel()
	p, taken := NewPasswords(), errors.New("taken")
	for range cap(p.slots) + 1 {
		hash, err := p.Hash(t.Context(), "correct horse", func(context.Context) error { return taken })
		if !errors.Is(err, taken) || hash != nil {
			t.Fatalf("%q, %v", hash, err)
		}
	}
	if hash, err := p.Hash(t.Context(), "correct horse", func(context.Context) error { return nil }); err != nil || len(hash) == 0 {
		t.Errorf("one that is needed: %q, %v", hash, err)
	}
}

func TestPasswordsWaitNoLongerThanTheRequest(t *testing.T) {
	t.Parallel()
	p := NewPasswords()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Hash(ctx, "correct horse", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Hash: %v", err)
	}
	if _, err := p.Match(ctx, nil, "correct horse"); !errors.Is(err, context.Canceled) {
		t.Errorf("Match: %v", err)
	}
}
