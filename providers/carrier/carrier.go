// Package carrier is the port to the carrier that brings orders to people: an
// interface and its one adapter, plain HTTP. It imports nothing of the project's
// other rooms.
package carrier

import (
	"context"
	"errors"
)

// ErrRefused is an update that the carrier will never take.
var ErrRefused = errors.New("the carrier refused the shipping info")

// Address is where an order goes.
type Address struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

// Update tells where an order goes from now on. Of two updates of an order the
// one with the higher sequence counts, whichever arrives last.
type Update struct {
	OrderID  string
	ChangeID string // the change that brought it about
	Sequence int    // from 1
	To       Address
}

// Answer is what the carrier did with an update.
type Answer struct {
	// Taken is false where the carrier has heard a later sequence already, and
	// did nothing.
	Taken bool `json:"taken"`
}

// Carrier is told where orders go.
//
// ErrRefused is final. Any other error is for now: the carrier may or may not
// have taken the update, which may be told again under the same key. Where it
// asked for patience, the error has a method RetryAfter() time.Duration. No
// error holds an address.
type Carrier interface {
	// Tell tells one update, at most once per key.
	Tell(ctx context.Context, key string, u Update) (Answer, error)

	// Find asks what became of the update under the key; false means that the
	// carrier has never taken it.
	Find(ctx context.Context, key string) (Answer, bool, error)
}
