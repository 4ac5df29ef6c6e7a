// Package account is the aggregate of a person who signed up: the address and
// its verification, the password and the sessions. It alone holds personal
// data; others know an account by its id.
package account

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/events"
)

// State is whether the address of an account is known to be its owner's, and
// whether the account is there to stay.
type State string

// The states of an account. One that is closing is unverified or active again
// unless it is erased, for ever.
const (
	Unverified State = "unverified"
	Active     State = "active"
	Closing    State = "closing"
	Erased     State = "erased"
)

// Mail is what became of the newest verification mail.
type Mail string

// What a mail can have come to.
const (
	MailPending Mail = "pending"
	MailSent    Mail = "sent"
	MailFailed  Mail = "failed"
)

// VerifiableFor is how long the token of a verification mail is good.
const VerifiableFor = 48 * time.Hour

// Errors that a caller decides on; their texts are for a person.
var (
	ErrNotFound      = errors.New("there is no such account")
	ErrTaken         = errors.New("there is an account with this e-mail address already; sign in, or use another address")
	ErrVerified      = errors.New("this account is verified already")
	ErrUnknownToken  = errors.New("this verification token is unknown; copy it whole from the mail")
	ErrExpiredToken  = errors.New("this verification token has expired; ask for a new mail")
	ErrWrongPassword = errors.New("the current password is wrong")
)

// Account is one person's account. Its methods collect the facts they raise;
// Save writes and emits them.
type Account struct {
	ID    string
	Email string
	Name  string
	State State
	Mail  Mail

	mailID  string // of the newest mail
	hash    []byte // of the password
	closing closing
	newMail *verificationMail
	facts   []choreo.Fact
}

type verificationMail struct {
	id      string
	expires time.Time
}

// SignUp makes an account, and a verification mail that is owed to it.
// ErrTaken where the address has one.
func SignUp(ctx context.Context, tx *choreo.Tx, p Person, passwordHash []byte) (*Account, error) {
	a := &Account{
		ID: tx.NewID(), Email: p.Email, Name: p.Name, State: Unverified, Mail: MailPending, hash: passwordHash,
	}
	a.oweMail(tx)
	done, err := tx.ExecContext(ctx, `
		insert into accounts (account_id, email, name, password_hash, state, mail_id, mail, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (email) do nothing`,
		a.ID, a.Email, a.Name, a.hash, a.State, a.mailID, a.Mail, tx.Now())
	if err != nil {
		return nil, fmt.Errorf("signing up: %w", err)
	}
	if n, err := done.RowsAffected(); err != nil {
		return nil, fmt.Errorf("signing up: %w", err)
	} else if n == 0 {
		return nil, ErrTaken
	}
	a.facts = append(a.facts, events.AccountRegistered{AccountID: a.ID, MailID: a.mailID})
	return a, a.Save(ctx, tx)
}

// Free is ErrTaken where the address has an account already. SignUp alone decides:
// of those who sign up at the same time all may find it free.
func (p Person) Free(ctx context.Context, q Querier) error {
	var taken bool
	err := q.QueryRowContext(ctx, `select exists (select from accounts where email = $1)`, p.Email).Scan(&taken)
	if err != nil {
		return fmt.Errorf("looking whether an address is free: %w", err)
	}
	if taken {
		return ErrTaken
	}
	return nil
}

// Load locks the account and reads it, also one that is erased. ErrNotFound
// where there is none.
func Load(ctx context.Context, tx *choreo.Tx, accountID string) (*Account, error) {
	return scan(tx.QueryRowContext(ctx, selectAccount+` where account_id = $1 for update`, accountID))
}

// Get reads an account without locking it, also one that is erased.
func Get(ctx context.Context, q Querier, accountID string) (*Account, error) {
	return scan(q.QueryRowContext(ctx, selectAccount+` where account_id = $1`, accountID))
}

// Querier is a transaction or a pool.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Address is where to write to the owner of an account. ErrNotFound where the
// account has been erased, or never was.
func Address(ctx context.Context, q Querier, accountID string) (email, name string, err error) {
	a, err := Get(ctx, q, accountID)
	if err == nil && a.State == Erased {
		err = ErrNotFound
	}
	if err != nil {
		return "", "", err
	}
	return a.Email, a.Name, nil
}

const selectAccount = `select account_id, coalesce(email, ''), name, password_hash, state, mail_id, mail,
	closing_saga, state_before, deletion, joined_account, joined_projects from accounts`

func scan(row *sql.Row) (*Account, error) {
	var a Account
	c := &a.closing
	err := row.Scan(&a.ID, &a.Email, &a.Name, &a.hash, &a.State, &a.mailID, &a.Mail,
		&c.saga, &c.before, &c.deletion, &c.joinedAccount, &c.joinedProjects)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading an account: %w", err)
	}
	return &a, nil
}

// RequestMail asks for the verification mail again. ErrVerified where there is
// nothing left to verify. Tokens of older mails stay good until they expire.
func (a *Account) RequestMail(tx *choreo.Tx) error {
	if err := a.stays(); err != nil {
		return err
	}
	if a.State != Unverified {
		return ErrVerified
	}
	a.oweMail(tx)
	a.facts = append(a.facts, events.VerificationMailRequested{AccountID: a.ID, MailID: a.mailID})
	return nil
}

func (a *Account) oweMail(tx *choreo.Tx) {
	a.mailID, a.Mail = tx.NewID(), MailPending
	a.newMail = &verificationMail{id: a.mailID, expires: tx.Now().Add(VerifiableFor)}
}

// Verify takes the token of a mail that expires then. A token is used up when
// the account is verified, by whichever mail: ErrVerified.
func (a *Account) Verify(now, expires time.Time) error {
	if err := a.stays(); err != nil {
		return err
	}
	if a.State != Unverified {
		return ErrVerified
	}
	if !now.Before(expires) {
		return ErrExpiredToken
	}
	a.State = Active
	a.facts = append(a.facts, events.AccountVerified{AccountID: a.ID})
	return nil
}

// ChangePassword puts a new password's hash in the place of the old one.
// ErrWrongPassword where that is not the account's any more.
func (a *Account) ChangePassword(oldHash, newHash []byte) error {
	if err := a.stays(); err != nil {
		return err
	}
	if !bytes.Equal(a.hash, oldHash) {
		return ErrWrongPassword
	}
	a.hash = newHash
	a.facts = append(a.facts, events.PasswordChanged{AccountID: a.ID})
	return nil
}

// PasswordHash is the bcrypt hash of the password.
func (a *Account) PasswordHash() []byte { return a.hash }

// RecordSent notes that the mail was sent, unless a newer one was asked for.
// A mail that was given up may still turn out to have been sent.
func (a *Account) RecordSent(mailID string) {
	if mailID == a.mailID {
		a.Mail = MailSent
	}
}

// RecordFailed notes that the mail failed, unless it was sent or a newer one
// was asked for.
func (a *Account) RecordFailed(mailID string) {
	if mailID == a.mailID && a.Mail == MailPending {
		a.Mail = MailFailed
	}
}

// Save writes the account, which must be locked, and emits its facts.
func (a *Account) Save(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `
		update accounts set email = nullif($2, ''), name = $3, password_hash = $4, state = $5, mail_id = $6, mail = $7,
			closing_saga = $8, state_before = $9, deletion = $10, joined_account = $11, joined_projects = $12
		where account_id = $1`,
		a.ID, a.Email, a.Name, a.hash, a.State, a.mailID, a.Mail,
		a.closing.saga, a.closing.before, a.closing.deletion, a.closing.joinedAccount, a.closing.joinedProjects)
	if err != nil {
		return fmt.Errorf("saving account %s: %w", a.ID, err)
	}
	if a.State == Erased {
		if err := a.destroy(ctx, tx); err != nil {
			return err
		}
	}
	if m := a.newMail; m != nil {
		_, err := tx.ExecContext(ctx, `
			insert into verification_mails (mail_id, account_id, expires_at) values ($1, $2, $3)`,
			m.id, a.ID, m.expires)
		if err != nil {
			return fmt.Errorf("saving verification mail %s: %w", m.id, err)
		}
	}
	tx.Emit(a.facts...)
	a.facts, a.newMail = nil, nil
	return nil
}
