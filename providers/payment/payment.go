// Package payment is the port to the payment provider: an interface and its
// one adapter, Stripe. Its operations are made to be repeated, raced and
// interrupted at any point; why they stay safe stands in stripe.go. It imports
// nothing of the project.
package payment

import (
	"context"
	"errors"
)

var (
	// ErrDeclined is a capture that took nothing and never will under its
	// key: the card was declined, or the provider will not have the request.
	ErrDeclined = errors.New("the payment was declined")

	// ErrCanceled is a capture that took nothing because Reverse came first:
	// under its key nothing can be taken any more.
	ErrCanceled = errors.New("the payment was canceled")

	// ErrRefused is a refund that the provider will not make. The money is
	// still taken, and owed.
	ErrRefused = errors.New("the refund was refused")
)

// Money is an amount in minor units (cents) of an ISO 4217 currency.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// Request names one capture. Capture and Reverse of the same payment must be
// given the same Request, to the letter: it is how the provider knows that it
// is being asked about the same thing.
type Request struct {
	Key       string // the capture's idempotency key
	Reference string // what is paid for (an order, a rental), for people and lists
	Amount    Money
}

// Charge is money taken.
type Charge struct {
	PaymentID string `json:"paymentId"`
	Amount    Money  `json:"amount"`
}

// Reversal is what Reverse found and did. After it, nothing can be taken under
// the capture's key, and what was taken is given back.
type Reversal struct {
	PaymentID string `json:"paymentId"` // of the charge; empty when nothing was taken
	Captured  Money  `json:"captured"`  // what had been taken; 0 when nothing
	RefundID  string `json:"refundId"`  // empty when nothing was taken
	Refunded  Money  `json:"refunded"`  // equals Captured
}

// Taken tells whether there was anything to give back.
func (r Reversal) Taken() bool { return r.Captured.Amount > 0 }

// Payments takes money and gives it back.
//
// ErrDeclined, ErrCanceled and ErrRefused are final. Any other error is for
// now: the call may or may not have had its effect, and may be repeated with
// the same arguments. Where the provider asked for patience, the error has a
// method RetryAfter() time.Duration. No error holds a card or a token.
type Payments interface {
	// Capture takes the amount from the card, at most once per key within the
	// provider's idempotency window (24 h). Past it, call Find first.
	Capture(ctx context.Context, r Request, cardToken string) (Charge, error)

	// Find asks whether the capture under key took anything; false means that
	// it did not, as far as the provider's search knows: an intent is found a
	// minute after its creation, and its state is then the present one. So
	// false is no proof while a capture is younger than that; Reverse needs
	// no such proof.
	Find(ctx context.Context, key string) (Charge, bool, error)

	// Reverse makes sure that the capture can take nothing from now on and
	// gives back what it has taken, whether or not anyone ever learned of it,
	// and whatever of it is still under way. It trusts nobody's memory of the
	// capture: it asks the provider by the capture's own key. Repeated, also
	// under another refundKey, it gives the same refund back.
	Reverse(ctx context.Context, r Request, refundKey string) (Reversal, error)

	// FindReversal asks whether everything that was begun for a reference has
	// come to its end with nothing left taken; false means that it has not. What
	// was begun within the last minute may not be found yet.
	FindReversal(ctx context.Context, reference string) (Reversal, bool, error)
}
