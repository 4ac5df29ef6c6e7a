package payment

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"troupe/providers/plainhttp"

	"github.com/stripe/stripe-go/v82"
)

// Error is an answer of the provider other than yes. It says only what Stripe
// documents as codes: the library's own error quotes the whole answer, card
// details included.
type Error struct {
	doing      string
	status     int
	code       string
	requestID  string
	retryAfter time.Duration
	final      error // ErrDeclined or ErrRefused; nil when it may go better later
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: the provider answered %d", e.doing, e.status)
	if e.code != "" {
		text += " " + e.code
	}
	if e.requestID != "" {
		text += " (request " + e.requestID + ")"
	}
	if e.final != nil {
		text += ": " + e.final.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.final }

// Code is the provider's word for the reason of an error, such as
// "insufficient_funds" or "card_declined": the decline code of the bank where
// there is one; empty where it said nothing. It may stand in a fact.
func Code(err error) string {
	answer, ok := errors.AsType[*Error](err)
	if !ok {
		return ""
	}
	return answer.code
}

// RetryAfter is how long the provider asked to wait, 0 when it did not say.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// wrap turns an error of the Stripe client into one of ours. A refusal for
// good becomes final, where that is given.
func wrap(doing string, err, final error) error {
	answer, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		// A *url.Error quotes the whole URL. What is neither that nor an
		// answer is one that could not be read, and quotes it.
		if transport, ok := errors.AsType[*url.Error](err); ok {
			return fmt.Errorf("%s: %w", doing, transport.Err)
		}
		return fmt.Errorf("%s: the provider's answer could not be read", doing)
	}
	e := &Error{doing: doing, status: answer.HTTPStatusCode, code: string(answer.Code), requestID: answer.RequestID}
	if answer.DeclineCode != "" {
		e.code = string(answer.DeclineCode)
	}
	if answer.LastResponse != nil {
		e.retryAfter = plainhttp.RetryAfter(answer.LastResponse.Header.Get("Retry-After"))
	}
	if isForGood(err) {
		e.final = final
	}
	return e
}

// isForGood tells whether the same request can never succeed. 401, 403 and 404
// mean a wrong key or account, a setting of ours; an idempotency error means
// that the key belongs to another request, so nobody can say what became of
// this one.
func isForGood(err error) bool {
	answer, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		return false
	}
	switch answer.HTTPStatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestTimeout,
		http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return answer.HTTPStatusCode >= 400 && answer.HTTPStatusCode < 500 && answer.Type != stripe.ErrorTypeIdempotency
}

// asksIntent tells whether a refused confirm leaves open what the intent has
// come to: it was not in a state to be confirmed, or the answer is an outage
// kept from an earlier attempt.
func asksIntent(err error) bool {
	answer, ok := errors.AsType[*stripe.Error](err)
	if !ok {
		return false
	}
	if answer.HTTPStatusCode >= 500 {
		return answer.LastResponse != nil && answer.LastResponse.Header.Get("Idempotent-Replayed") == "true"
	}
	return isForGood(err) && answer.HTTPStatusCode != http.StatusPaymentRequired
}

func is(err error, code stripe.ErrorCode) bool {
	answer, ok := errors.AsType[*stripe.Error](err)
	return ok && answer.Code == code
}
