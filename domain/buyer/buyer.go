// Package buyer is the aggregate of an account that orders: its payment
// methods. It is the only place where a card token stands, and there it stands
// encrypted.
package buyer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
)

// ErrErased is a payment method that is gone, with the person it belonged to.
var ErrErased = errors.New("the payment method has been erased")

// PaymentMethod finds or creates the account's buyer, and its payment method
// for this card: one per card, however often and however many at a time it is
// used. The card key has 32 bytes.
func PaymentMethod(ctx context.Context, tx *choreo.Tx, cardKey []byte, accountID, cardToken string) (id string, err error) {
	cards, err := newCards(cardKey)
	if err != nil {
		return "", err
	}
	if err := lock(ctx, tx, accountID); err != nil {
		return "", err
	}
	fingerprint := cards.fingerprint(accountID, cardToken)
	err = tx.QueryRowContext(ctx, `select payment_method_id from payment_methods where account_id = $1 and fingerprint = $2`,
		accountID, fingerprint).Scan(&id)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return id, wrap(accountID, err)
	}
	id = tx.NewID()
	_, err = tx.ExecContext(ctx, `
		insert into payment_methods (payment_method_id, account_id, fingerprint, card, created_at)
		values ($1, $2, $3, $4, $5)`, id, accountID, fingerprint, cards.seal(accountID, id, cardToken), tx.Now())
	return id, wrap(accountID, err)
}

// lock makes the buyer if there is none, and locks its row.
func lock(ctx context.Context, tx *choreo.Tx, accountID string) error {
	_, err := tx.ExecContext(ctx, `insert into buyers (account_id, created_at) values ($1, $2)
		on conflict (account_id) do nothing`, accountID, tx.Now())
	if err == nil {
		_, err = tx.ExecContext(ctx, `select from buyers where account_id = $1 for update`, accountID)
	}
	if err != nil {
		return fmt.Errorf("locking buyer %s: %w", accountID, err)
	}
	return nil
}

// CardToken is the token of a payment method, to be handed to the provider and
// nowhere else. The card key is that of PaymentMethod.
func CardToken(ctx context.Context, tx *choreo.Tx, cardKey []byte, accountID, paymentMethodID string) (string, error) {
	cards, err := newCards(cardKey)
	if err != nil {
		return "", err
	}
	var card []byte
	err = tx.QueryRowContext(ctx, `select card from payment_methods where payment_method_id = $1 and account_id = $2`,
		paymentMethodID, accountID).Scan(&card)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrErased
	}
	if err != nil {
		return "", wrap(accountID, err)
	}
	token, err := cards.open(accountID, paymentMethodID, card)
	if err != nil {
		return "", fmt.Errorf("decrypting payment method %s (was TROUPE_CARD_KEY changed?): %w", paymentMethodID, err)
	}
	return token, nil
}

// Forget removes the buyer and the payment methods of an erased account.
func Forget(ctx context.Context, tx *choreo.Tx, accountID string) error {
	for _, table := range []string{"payment_methods", "buyers"} {
		if _, err := tx.ExecContext(ctx, `delete from `+table+` where account_id = $1`, accountID); err != nil {
			return fmt.Errorf("erasing the %s of account %s: %w", table, accountID, err)
		}
	}
	return nil
}

func wrap(accountID string, err error) error {
	if err != nil {
		return fmt.Errorf("the payment method of buyer %s: %w", accountID, err)
	}
	return nil
}
