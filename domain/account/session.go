package account

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
)

// ErrNoSession is a bearer token that is unknown or has expired; ErrSignIn is
// a sign-in with a wrong address or password, which are not told apart.
var (
	ErrNoSession = errors.New("this session has ended; sign in again")
	ErrSignIn    = errors.New("the e-mail address or the password is wrong")
)

// Session is a sign-in. Its token is shown once and stored nowhere.
type Session struct {
	Token     string
	AccountID string
	ExpiresAt time.Time
}

// SessionHash is what is stored of a bearer token.
type SessionHash []byte

// HashSession is the keyed hash of a bearer token.
func HashSession(key []byte, token string) SessionHash { return mac(key, "session", []byte(token)) }

// SignIn starts a session for the owner of the address and password, or
// returns ErrSignIn, after the same time whichever of them is wrong.
func SignIn(ctx context.Context, db *choreo.DB, p *Passwords, key []byte, ttl time.Duration, email, password string) (Session, error) {
	id, hash, err := credentials(ctx, db, email)
	if err != nil {
		return Session{}, err
	}
	ok, err := p.Match(ctx, hash, password)
	if err != nil {
		return Session{}, err
	}
	if !ok {
		return Session{}, ErrSignIn
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return Session{}, fmt.Errorf("making a session token: %w", err)
	}
	now, err := db.Now(ctx)
	if err != nil {
		return Session{}, err
	}
	s := Session{
		Token: base64.RawURLEncoding.EncodeToString(secret), AccountID: id,
		ExpiresAt: now.Add(ttl).Truncate(time.Second),
	}
	return s, start(ctx, db, s, HashSession(key, s.Token), hash, now)
}

// credentials are the id and the password hash behind an address; both are
// nothing where there is no such account, or it is closing.
func credentials(ctx context.Context, db *choreo.DB, email string) (id string, hash []byte, err error) {
	normal, invalid := NormalEmail(email)
	if invalid != nil {
		return "", nil, nil //nolint:nilerr // as an address that nobody has
	}
	err = db.Pool().QueryRowContext(ctx, `select account_id, password_hash from accounts
		where email = $1 and state <> 'closing'`, normal).
		Scan(&id, &hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", nil, fmt.Errorf("reading who signs in: %w", err)
	}
	return id, hash, nil
}

// start stores the session, unless the password was changed or the account
// began to close meanwhile, and sweeps the account's sessions that have expired.
func start(ctx context.Context, db *choreo.DB, s Session, token SessionHash, passwordHash []byte, now time.Time) error {
	done, err := db.Pool().ExecContext(ctx, `
		with swept as (delete from sessions where account_id = $2 and expires_at <= $3)
		insert into sessions (token_hash, account_id, created_at, expires_at)
		select $1::bytea, account_id, $3::timestamptz, $4::timestamptz from accounts
		where account_id = $2 and password_hash = $5 and state in ('unverified', 'active') for share`,
		[]byte(token), s.AccountID, now, s.ExpiresAt, passwordHash)
	if err != nil {
		return fmt.Errorf("starting a session: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil {
		return fmt.Errorf("starting a session: %w", err)
	} else if n == 0 {
		return ErrSignIn
	}
	return nil
}

// BySession is the account that a session is of, and whether that is closing.
// ErrNoSession where the session is unknown, has expired, or its account is
// erased.
func BySession(ctx context.Context, db *choreo.DB, token SessionHash) (accountID string, isClosing bool, err error) {
	err = db.Pool().QueryRowContext(ctx, `
		select account_id, state = 'closing' from sessions join accounts using (account_id)
		where token_hash = $1 and expires_at > choreo.troupe_now() and state <> 'erased'`, []byte(token)).
		Scan(&accountID, &isClosing)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, ErrNoSession
	}
	if err != nil {
		return "", false, fmt.Errorf("reading a session: %w", err)
	}
	return accountID, isClosing, nil
}

// EndOtherSessions ends every session of the account but one.
func (a *Account) EndOtherSessions(ctx context.Context, tx *choreo.Tx, keep SessionHash) error {
	_, err := tx.ExecContext(ctx, `delete from sessions where account_id = $1 and token_hash <> $2`, a.ID, []byte(keep))
	if err != nil {
		return fmt.Errorf("ending the other sessions of account %s: %w", a.ID, err)
	}
	return nil
}
