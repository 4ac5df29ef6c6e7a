package api

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"troupe/choreo"
	"troupe/choreo/saga"
	"troupe/domain/account"
	"troupe/domain/idempotency"
)

// do is what a command does in its transaction.
type do func(context.Context, *choreo.Tx) error

// command runs a command of the domain and makes its answer, in one transaction:
// what s.reader gives reads it. One that changed nothing is answered with the fact
// of the command that did it before. With an Idempotency-Key that answer is stored
// there too, and a request that comes again gets it and does nothing.
func command[O any](ctx context.Context, s *Server, name string, fn do,
	answer func(context.Context, choreo.Receipt) (*O, error)) (out *O, err error) {
	key := keyedOf(ctx)
	_, err = choreo.Commit(ctx, s.DB, name, func(ctx context.Context, tx *choreo.Tx) error {
		if key != nil {
			if err := key.claim(ctx, tx); err != nil {
				return err
			}
		}
		tx.Last(func(ctx context.Context, r choreo.Receipt) (err error) {
			if r.EventID == "" {
				if r.EventID, err = saga.Asked(ctx, tx, tx.Saga()); err != nil {
					return err
				}
			}
			if out, err = answer(context.WithValue(ctx, readerKey{}, reader(tx)), r); err != nil || key == nil {
				return err
			}
			return key.keep(ctx, tx, out)
		})
		return fn(ctx, tx)
	})
	if err != nil {
		if key != nil && !errors.Is(err, errRepeated) {
			key.answer = nil // it was not committed
		}
		return nil, err
	}
	return out, nil
}

// working is a command that makes something to be done for the caller's account,
// which stays until it is committed.
func working(fn do) do {
	return func(ctx context.Context, tx *choreo.Tx) error {
		if err := account.Work(ctx, tx, caller(ctx).AccountID); err != nil {
			return err
		}
		return fn(ctx, tx)
	}
}

// reader is a transaction or a pool.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

type readerKey struct{}

// reader reads the state that is to be answered: inside the transaction of a
// command what that did, else what is committed.
func (s *Server) reader(ctx context.Context) reader {
	if tx, ok := ctx.Value(readerKey{}).(reader); ok {
		return tx
	}
	return s.DB.Pool()
}

// errRepeated rolls back a request that was answered before.
var errRepeated = errors.New("this request was answered before")

// claim lets one request of the key go on at a time. errRepeated where its
// answer is there by then.
func (k *keyed) claim(ctx context.Context, tx *choreo.Tx) error {
	answer, request, err := idempotency.Claim(ctx, tx, k.scope)
	if err != nil {
		return err
	}
	return k.found(answer, request)
}

// found takes an answer of before for this request's, if there is one.
func (k *keyed) found(answer *idempotency.Answer, request []byte) error {
	switch {
	case answer == nil:
		return nil
	case !bytes.Equal(request, k.request):
		return idempotency.ErrOtherRequest
	}
	k.answer = answer
	return errRepeated
}

// keep stores the answer to a command as it goes over the wire.
func (k *keyed) keep(ctx context.Context, tx *choreo.Tx, out any) error {
	a := idempotency.Answer{Status: k.status, Headers: map[string]string{"Content-Type": "application/json"}}
	v := reflect.ValueOf(out).Elem()
	receipt, ok := reflect.TypeAssert[Receipt](v.FieldByName("Receipt"))
	if !ok {
		return fmt.Errorf("%T has no receipt: it is no answer to a command", out)
	}
	for name, value := range map[string]string{"Troupe-Event": receipt.Event, "Troupe-Saga": receipt.Saga, "Location": receipt.Location} {
		if value != "" {
			a.Headers[name] = value
		}
	}
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v.FieldByName("Body").Interface()); err != nil {
		return fmt.Errorf("writing an answer: %w", err)
	}
	a.Body = body.Bytes()
	if err := idempotency.Keep(ctx, tx, tx.Now(), k.scope, k.request, k.about, a); err != nil {
		return err
	}
	k.answer = &a
	return nil
}
