package account

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/text/unicode/norm"
)

// passwordCost is bcrypt's; one hash takes some 50 ms of a core.
const passwordCost = 10

// nobodysHash is of a password that nobody knows, at passwordCost: comparing
// with it takes as long as comparing with a real one.
const nobodysHash = "$2a$10$m2OkywOU0ZTROePBvPp.Z.jBnzXl6AyQ1ezArNYPievnTY/xibCHy"

// Passwords hashes passwords, a few at a time, so that a burst of sign-ins
// leaves cores to everything else. It is safe for concurrent use. Call it
// outside transactions.
type Passwords struct {
	slots chan struct{}
}

// NewPasswords lets half of the cores hash, one at least.
func NewPasswords() *Passwords {
	return &Passwords{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// CheckPassword says what is wrong with a new password, as a FieldError of the
// given name.
func CheckPassword(field, password string) error {
	password = norm.NFC.String(password)
	if utf8.RuneCountInString(password) < 8 {
		return FieldError{field, "the password is shorter than 8 characters"}
	}
	if len(password) > 72 {
		return FieldError{field, "the password is longer than 72 bytes"}
	}
	return nil
}

// Hash is the bcrypt hash of a password that CheckPassword has passed. It
// waits for its turn until ctx ends, and then asks needed, which may be nil,
// whether the hash is of use: its error is returned, and costs no hash.
func (p *Passwords) Hash(ctx context.Context, password string, needed func(context.Context) error) ([]byte, error) {
	if err := p.enter(ctx); err != nil {
		return nil, err
	}
	defer p.leave()
	if needed != nil {
		if err := needed(ctx); err != nil {
			return nil, err
		}
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(norm.NFC.String(password)), passwordCost)
	if err != nil {
		return nil, fmt.Errorf("hashing a password: %w", err)
	}
	return hash, nil
}

// Match tells whether the hash is the password's. A nil hash is nobody's: it
// never matches and takes as long. It waits for its turn until ctx ends.
func (p *Passwords) Match(ctx context.Context, hash []byte, password string) (bool, error) {
	if err := p.enter(ctx); err != nil {
		return false, err
	}
	defer p.leave()
	given := []byte(norm.NFC.String(password))
	possible := hash != nil && len(given) <= 72
	if !possible {
		hash, given = []byte(nobodysHash), given[:min(len(given), 72)]
	}
	err := bcrypt.CompareHashAndPassword(hash, given)
	if err != nil && !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		return false, fmt.Errorf("comparing a password: %w", err)
	}
	return err == nil && possible, nil
}

func (p *Passwords) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to hash a password: %w", context.Cause(ctx))
	}
}

func (p *Passwords) leave() { <-p.slots }
