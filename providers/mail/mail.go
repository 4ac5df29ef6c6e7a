// Package mail is the port to the mail server: an interface and its one
// adapter, SMTP. It knows no template and no recipient's reason; what a mail
// says is decided where it is asked for. It imports nothing of the project.
package mail

import (
	"context"
	"errors"
)

// ErrRefused is a message that the server will never take: a 5xx answer, or
// an address that no server could take. Repeating it is useless.
var ErrRefused = errors.New("the mail server refused the message")

// KindHeader carries Message.Kind, so that filters and tests need not guess
// it from the subject.
const KindHeader = "X-Troupe-Kind"

// Message is one mail to one person, as plain text in UTF-8.
type Message struct {
	To      string // a bare address, without a display name
	Subject string
	Text    string
	Kind    string // such as "verification"; sent as KindHeader, may be empty
}

// Mailer sends mail.
type Mailer interface {
	// Send hands m to the mail server and returns when it was taken. It may
	// be repeated with the same key after an error or a crash: the key alone
	// determines the Message-ID, by which the receiving side knows a repeat.
	//
	// ErrRefused is final. Any other error is for now, and the message may
	// have been taken all the same. No error holds the recipient's address or
	// the text: errors end up in logs and facts.
	Send(ctx context.Context, key string, m Message) error
}
