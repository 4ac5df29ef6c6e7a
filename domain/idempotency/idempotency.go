// Package idempotency keeps the first answer to a command that a client may
// repeat, in the transaction of that command: one that comes again finds it, and
// does nothing twice.
package idempotency

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/domain/account"
)

// KeptFor is how long an answer is kept.
const KeptFor = 24 * time.Hour

// sweepAtOnce bounds how many answers that are too old one new answer removes.
const sweepAtOnce = 20

// ErrOtherRequest is a key that came with another body before.
var ErrOtherRequest = errors.New("this Idempotency-Key was used for another body; send a new key with a new request")

// ErrUnderWay is a request whose first one takes too long to wait for.
var ErrUnderWay = errors.New("the same request is still being worked on; try again in a moment")

// Answer is what a command was answered with.
type Answer struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

// Hash is a keyed hash of the parts, by which a request is known again.
func Hash(key []byte, parts ...string) []byte {
	m := hmac.New(sha256.New, key)
	fmt.Fprintf(m, "%q", parts)
	return m.Sum(nil)
}

// Querier is a transaction or a pool.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Transaction is a transaction, of a command or not.
type Transaction interface {
	Querier
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Find is the answer kept for the scope, nil where there is none. It gives the
// hash of the request that it was kept for.
func Find(ctx context.Context, q Querier, scope []byte) (a *Answer, request []byte, err error) {
	a = &Answer{}
	var headers []byte
	err = q.QueryRowContext(ctx, `select request, status, headers, body from idempotency_keys
		where scope = $1 and at > choreo.troupe_now() - make_interval(secs => $2)`, scope, KeptFor.Seconds()).
		Scan(&request, &a.Status, &headers, &a.Body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err == nil {
		err = json.Unmarshal(headers, &a.Headers)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("looking for the answer of before: %w", err)
	}
	return a, request, nil
}

// Claim waits until no other request of the scope is under way, keeps others
// waiting until the transaction ends, and finds the answer kept.
func Claim(ctx context.Context, tx Transaction, scope []byte) (*Answer, []byte, error) {
	_, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock(hashtextextended(encode($1::bytea, 'hex'), 2))`, scope)
	if choreo.SQLState(err) == "55P03" { // lock_timeout
		return nil, nil, ErrUnderWay
	}
	if err != nil {
		return nil, nil, fmt.Errorf("waiting for the same request: %w", err)
	}
	return Find(ctx, tx, scope)
}

// Keep stores the answer of a claimed scope, and removes some that are too old.
// accountID is whose data the answer may hold: of one that is erased meanwhile
// nothing is kept.
func Keep(ctx context.Context, tx Transaction, now time.Time, scope, request []byte, accountID string, a Answer) error {
	if accountID != "" {
		is, err := account.IsErased(ctx, tx, accountID)
		if err != nil || is {
			return err
		}
	}
	headers, err := json.Marshal(a.Headers)
	if err != nil {
		return fmt.Errorf("keeping an answer: %w", err)
	}
	_, err = tx.ExecContext(ctx, `insert into idempotency_keys as k (scope, request, account_id, status, headers, body, at)
		values ($1, $2, $3, $4, $5::jsonb, $6, $7)
		on conflict (scope) do update set request = excluded.request, account_id = excluded.account_id,
			status = excluded.status, headers = excluded.headers, body = excluded.body, at = excluded.at`,
		scope, request, accountID, a.Status, string(headers), a.Body, now)
	if err != nil {
		return fmt.Errorf("keeping an answer: %w", err)
	}
	_, err = tx.ExecContext(ctx, `delete from idempotency_keys where scope in (
		select scope from idempotency_keys where at < $1 order by at limit $2 for update skip locked)`,
		now.Add(-KeptFor), sweepAtOnce)
	if err != nil {
		return fmt.Errorf("removing old answers: %w", err)
	}
	return nil
}

// Forget removes the answers that may hold something of an erased account.
func Forget(ctx context.Context, tx *choreo.Tx, accountID string) error {
	if _, err := tx.ExecContext(ctx, `delete from idempotency_keys where account_id = $1`, accountID); err != nil {
		return fmt.Errorf("erasing the answers to account %s: %w", accountID, err)
	}
	return nil
}
