package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/events"
)

// ErrClosing is a command of somebody whose account is being deleted.
var ErrClosing = errors.New("this account is being deleted: until that is done or taken back it can only be read, " +
	"and its orders and rentals canceled")

// ErrLeaving is somebody else's account that is being deleted.
var ErrLeaving = errors.New("this account is being deleted; if that is taken back, try again")

// closing is how far the deletion of an account is; its zero value is that of
// one that stays.
type closing struct {
	saga     string // that it closes for
	before   State  // that it closes from
	deletion deletion

	joinedAccount  bool // erase-account has heard of AccountDeleted
	joinedProjects bool // and of ProjectsDeleted
}

// deletion is how far the account's own half of its deletion is. One that was
// refused is not tried again in the same saga.
type deletion string

const (
	requested deletion = "requested"
	deleted   deletion = "deleted"
	refused   deletion = "refused"
)

// Work locks the account against closing until the transaction ends, for a
// command that makes something which must be done for it. It comes before any
// other lock. ErrClosing where the account is closing or erased already.
func Work(ctx context.Context, tx *choreo.Tx, accountID string) error {
	state, _, err := share(ctx, tx, accountID)
	if err == nil && state != Unverified && state != Active {
		return ErrClosing
	}
	return err
}

// Joinable is Work for an account that is not the caller's: ErrNotFound where it
// is erased or never was, ErrLeaving while it is closing.
func Joinable(ctx context.Context, tx *choreo.Tx, accountID string) error {
	state, _, err := share(ctx, tx, accountID)
	switch {
	case err != nil:
		return err
	case state == Erased:
		return ErrNotFound
	case state == Closing:
		return ErrLeaving
	}
	return nil
}

// IsErased tells whether the account is erased, or never was, and keeps it from
// being erased until the transaction ends where it is not.
func IsErased(ctx context.Context, tx Querier, accountID string) (bool, error) {
	state, _, err := share(ctx, tx, accountID)
	if errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return state == Erased, err
}

// ClosesFor tells whether the account is closing for the saga, and keeps it so
// until the transaction ends. An account that is not there is not.
func ClosesFor(ctx context.Context, tx *choreo.Tx, accountID, saga string) (bool, error) {
	_, of, err := share(ctx, tx, accountID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && of != "" && of == saga, err
}

func share(ctx context.Context, tx Querier, accountID string) (s State, saga string, err error) {
	err = tx.QueryRowContext(ctx, `select state, closing_saga from accounts where account_id = $1 for share`, accountID).
		Scan(&s, &saga)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("reading the state of account %s: %w", accountID, err)
	}
	return s, saga, nil
}

// stays is ErrClosing where the account is not there to stay.
func (a *Account) stays() error {
	if a.State == Closing || a.State == Erased {
		return ErrClosing
	}
	return nil
}

// RequestDeletion begins to close the account, in the saga of tx. One that is
// closing already goes on in the saga that it has. It returns that saga.
func (a *Account) RequestDeletion(tx *choreo.Tx) (saga string, err error) {
	switch a.State {
	case Closing:
		tx.JoinSaga(a.closing.saga)
		return a.closing.saga, nil
	case Erased:
		return "", ErrNotFound
	}
	a.closing = closing{saga: tx.Saga(), before: a.State, deletion: requested}
	a.State = Closing
	a.facts = append(a.facts, events.AccountDeletionRequested{AccountID: a.ID})
	return a.closing.saga, nil
}

// Delete is the account's own half of its deletion for the saga. It is refused
// where there is a reason to; that, or success, is for good in that saga.
func (a *Account) Delete(saga, refusal string) {
	if !a.closesFor(saga) || a.closing.deletion != requested {
		return
	}
	if refusal != "" {
		a.closing.deletion = refused
		a.facts = append(a.facts, events.AccountDeletionFailed{AccountID: a.ID, Reason: refusal})
		return
	}
	a.closing.deletion = deleted
	a.facts = append(a.facts, events.AccountDeleted{AccountID: a.ID})
}

// Half is one of the two deletions that erase-account joins.
type Half int

// The halves of a deletion.
const (
	OwnHalf Half = iota
	ProjectsHalf
)

// Join notes that a half of the deletion has succeeded for the saga, and erases
// the account once both have: nothing of the person is left. It tells whether
// it did.
func (a *Account) Join(saga string, h Half) (erased bool) {
	if !a.closesFor(saga) {
		return false
	}
	switch h {
	case OwnHalf:
		a.closing.joinedAccount = true
	case ProjectsHalf:
		a.closing.joinedProjects = true
	}
	if c := a.closing; c.deletion != deleted || !c.joinedAccount || !c.joinedProjects {
		return false
	}
	a.State, a.closing = Erased, closing{}
	a.Email, a.Name, a.hash = "", "", []byte{}
	a.facts = append(a.facts, events.AccountErased{AccountID: a.ID})
	return true
}

// Restore ends the closing for the saga: the account is as it was before.
func (a *Account) Restore(saga string) {
	if !a.closesFor(saga) {
		return
	}
	a.State, a.closing = a.closing.before, closing{}
	a.facts = append(a.facts, events.AccountRestored{AccountID: a.ID})
}

func (a *Account) closesFor(saga string) bool {
	return a.State == Closing && a.closing.saga == saga
}

// destroy removes the rows of an erased account beside its own.
func (a *Account) destroy(ctx context.Context, tx *choreo.Tx) error {
	for _, table := range []string{"sessions", "verification_mails"} {
		if _, err := tx.ExecContext(ctx, `delete from `+table+` where account_id = $1`, a.ID); err != nil {
			return fmt.Errorf("erasing the %s of account %s: %w", table, a.ID, err)
		}
	}
	return nil
}
