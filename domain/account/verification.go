package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"troupe/choreo"
)

// Token is the verification token of a mail: its id and an HMAC of that, so
// that a mail sent again holds the same token and none is stored.
func Token(key []byte, mailID string) (string, error) {
	id, err := uuid.Parse(mailID)
	if err != nil {
		return "", fmt.Errorf("deriving the token of a mail: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(append(id[:], mac(key, "verification", id[:])...)), nil
}

// mailOf is the mail that a token is of. ErrUnknownToken where it is not ours.
func mailOf(key []byte, token string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimSpace(token))
	if err != nil || len(raw) != 16+sha256.Size || !hmac.Equal(raw[16:], mac(key, "verification", raw[:16])) {
		return "", ErrUnknownToken
	}
	return uuid.UUID(raw[:16]).String(), nil
}

func mac(key []byte, purpose string, of []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(purpose + ":"))
	h.Write(of)
	return h.Sum(nil)
}

// LoadByToken locks and reads the account that a verification token is for,
// and says when the token expires. ErrUnknownToken where there is none.
func LoadByToken(ctx context.Context, tx *choreo.Tx, key []byte, token string) (*Account, time.Time, error) {
	mailID, err := mailOf(key, token)
	if err != nil {
		return nil, time.Time{}, err
	}
	var accountID string
	var expires time.Time
	err = tx.QueryRowContext(ctx, `select account_id, expires_at from verification_mails where mail_id = $1`, mailID).
		Scan(&accountID, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, time.Time{}, ErrUnknownToken
	}
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("reading verification mail %s: %w", mailID, err)
	}
	a, err := Load(ctx, tx, accountID)
	if errors.Is(err, ErrNotFound) {
		err = ErrUnknownToken
	}
	return a, expires, err
}

// Letter is a verification mail that is to be sent.
type Letter struct {
	Email string
	Name  string
	Sent  bool // it was sent already
}

// LetterOf reads what a verification mail needs. ErrNotFound where the account
// has been erased; ErrUnknownToken where this account never asked for that mail.
func LetterOf(ctx context.Context, q Querier, accountID, mailID string) (l Letter, err error) {
	if l.Email, l.Name, err = Address(ctx, q, accountID); err != nil {
		return Letter{}, err
	}
	err = q.QueryRowContext(ctx, `
		select sent_at is not null from verification_mails where mail_id = $1 and account_id = $2`, mailID, accountID).
		Scan(&l.Sent)
	if errors.Is(err, sql.ErrNoRows) {
		return Letter{}, ErrUnknownToken
	}
	if err != nil {
		return Letter{}, fmt.Errorf("reading verification mail %s: %w", mailID, err)
	}
	return l, nil
}

// MarkSent notes that a verification mail went out, so that the same mail
// asked for again by a copy of its fact does not.
func MarkSent(ctx context.Context, tx *choreo.Tx, mailID string) error {
	_, err := tx.ExecContext(ctx, `update verification_mails set sent_at = $2 where mail_id = $1 and sent_at is null`,
		mailID, tx.Now())
	if err != nil {
		return fmt.Errorf("noting that verification mail %s was sent: %w", mailID, err)
	}
	return nil
}
