// Package sms is the port to the gateway that texts people: an interface and its
// one adapter, plain HTTP. It imports nothing of the project's other rooms.
package sms

import (
	"context"
	"errors"
)

// ErrRefused is a message that the gateway will never send.
var ErrRefused = errors.New("the gateway refused the message")

// Message is a text to a phone.
type Message struct {
	To   string `json:"to"` // in E.164, as +491711234567
	Text string `json:"text"`
}

// Gateway texts people.
//
// ErrRefused is final. Any other error is for now: the message may or may not
// have been sent, and may be sent again under the same key. Where the gateway
// asked for patience, the error has a method RetryAfter() time.Duration. No
// error holds a number or a text.
type Gateway interface {
	// Send sends one message, at most once per key.
	Send(ctx context.Context, key string, m Message) error

	// Find asks whether the message under the key was sent.
	Find(ctx context.Context, key string) (sent bool, err error)
}
