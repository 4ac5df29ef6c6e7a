package mail

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"

	gomail "github.com/wneessen/go-mail"
)

// scrub says what happened in our own words: both go-mail and the server's
// answers quote the recipient.
func scrub(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("sending mail: %w", context.Cause(ctx))
	}
	if send, ok := errors.AsType[*gomail.SendError](err); ok {
		return scrubAnswer(send)
	}
	// Before MAIL FROM the server knows nothing of the message: what it
	// refuses here is us, by an outage or a setting of ours.
	if answer, ok := errors.AsType[*textproto.Error](err); ok {
		return fmt.Errorf("connecting to the mail server: it answered %d", answer.Code)
	}
	return fmt.Errorf("connecting to the mail server: %w", err)
}

func scrubAnswer(send *gomail.SendError) error {
	code := send.ErrorCode()
	if code == 0 {
		return fmt.Errorf("sending mail: the connection failed while %s", send.Reason)
	}
	answer := fmt.Sprintf("sending mail: %s: the server answered %d", send.Reason, code)
	if enhanced := send.EnhancedStatusCode(); enhanced != "" {
		answer += " " + enhanced
	}
	if final(code) {
		return fmt.Errorf("%s: %w", answer, ErrRefused)
	}
	return errors.New(answer)
}

// final tells whether the message itself was refused for good. 503 and 530 to
// 538 want another conversation (signing in, encrypting): that is a setting of
// ours, and no reason to give a message up.
func final(code int) bool {
	return code >= 500 && code != 503 && (code < 530 || code > 538)
}
