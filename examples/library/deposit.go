package library

import (
	"context"
	"errors"

	"troupe/choreo"
)

// ErrRefused is a bank that will not.
var ErrRefused = errors.New("the bank refuses")

// Bank holds deposits. Both calls may be repeated with the same key, and then
// happen once.
type Bank interface {
	Take(ctx context.Context, key, reader string) (receipt string, err error)
	GiveBack(ctx context.Context, key, receiptKey string) error
	Taken(ctx context.Context, key string) (receipt string, taken bool, err error)
}

// TakeDeposit on LoanRequested takes the deposit. Emits DepositTaken; fails with
// DepositRefused. Undone by pay-back.
type TakeDeposit struct{ Bank Bank }

// Load skips a loan that is canceled already.
func (TakeDeposit) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[LoanRequested]) (struct{}, error) {
	var canceled bool
	err := tx.QueryRowContext(ctx, `select state = 'canceled' from loans where id = $1`, e.Fact.LoanID).Scan(&canceled)
	if err == nil && canceled {
		err = choreo.Skip
	}
	return struct{}{}, err
}

func (t TakeDeposit) Call(ctx context.Context, key string, e choreo.Event[LoanRequested], _ struct{}) (string, error) {
	receipt, err := t.Bank.Take(ctx, key, e.Fact.Reader)
	return receipt, choreo.RefusedIf(err, ErrRefused)
}

func (TakeDeposit) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[LoanRequested], _ string) error {
	_, err := tx.ExecContext(ctx, `update loans set deposit = true where id = $1`, e.Fact.LoanID)
	tx.Emit(DepositTaken{LoanID: e.Fact.LoanID, Book: e.Fact.Book})
	return err
}

// Ask finds a deposit whose answer was lost.
func (t TakeDeposit) Ask(ctx context.Context, key string) (string, bool, error) {
	return t.Bank.Taken(ctx, key)
}

// TakingGivenUp says that there is no deposit.
func TakingGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[LoanRequested], cause error) (choreo.Fact, error) {
	return DepositRefused{LoanID: e.Fact.LoanID, Reason: reason(cause)}, nil
}

// PayBack on LoanCanceled gives the deposit back, if one was taken or may have
// been. Emits DepositPaidBack; fails with PayBackFailed. Undoes take-deposit.
type PayBack struct{ Bank Bank }

// Load names the taking to the bank by the key that it had.
func (PayBack) Load(_ context.Context, tx *choreo.Tx, e choreo.Event[LoanCanceled]) (string, error) {
	taking, ok := choreo.UndoOf[string](tx)
	if !ok || !taking.Begun {
		tx.Emit(DepositPaidBack{LoanID: e.Fact.LoanID})
		return "", choreo.Skip
	}
	return taking.Key, nil
}

func (p PayBack) Call(ctx context.Context, key string, _ choreo.Event[LoanCanceled], taking string) (struct{}, error) {
	return struct{}{}, choreo.RefusedIf(p.Bank.GiveBack(ctx, key, taking), ErrRefused)
}

func (PayBack) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[LoanCanceled], _ struct{}) error {
	_, err := tx.ExecContext(ctx, `update loans set deposit = false where id = $1`, e.Fact.LoanID)
	tx.Emit(DepositPaidBack{LoanID: e.Fact.LoanID})
	return err
}

// PayBackGivenUp says that the deposit is owed.
func PayBackGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[LoanCanceled], cause error) (choreo.Fact, error) {
	return PayBackFailed{LoanID: e.Fact.LoanID, Reason: reason(cause)}, nil
}

func reason(cause error) string {
	if errors.Is(cause, ErrRefused) {
		return "refused"
	}
	return "unavailable"
}
