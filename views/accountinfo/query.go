package accountinfo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Account is an account as its facts tell.
type Account struct {
	AccountID, State, Mail string
}

// Find reads an account; nil where the view has none of that id yet.
func Find(ctx context.Context, pool *sql.DB, accountID string) (*Account, error) {
	a := &Account{}
	err := pool.QueryRowContext(ctx, `
		select account_id, case when leaving <> '' then leaving when verified then 'active' else 'unverified' end, mail
		from account_info.accounts where account_id = $1`, accountID).Scan(&a.AccountID, &a.State, &a.Mail)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading account %s: %w", accountID, err)
	}
	return a, nil
}
