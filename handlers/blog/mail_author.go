package blog

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/post"
	"troupe/events"
	"troupe/providers/mail"
)

// MailAuthor on PostWithdrawn tells the author why, once per post. Emits
// AuthorMailed; fails with AuthorMailFailed, which changes nothing for the post.
// Irreversible: a mail that was sent cannot be called back.
type MailAuthor struct{ Mail mail.Mailer }

// mailed is the empty result of the call.
type mailed struct{}

const withdrawal = `Hello %s,

your post “%s” could not be published and was withdrawn:
%s.

You can write it again without that. Files that you uploaded can be used for
24 hours after their upload.
`

// Load takes the mail on and writes it.
func (MailAuthor) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostWithdrawn]) (mail.Message, error) {
	p, err := post.LoadIn(ctx, tx, e.Fact.PostID, post.Withdrawn)
	if err != nil || p == nil || !p.MailFor(e.ID) {
		return mail.Message{}, cmp.Or(err, choreo.Skip)
	}
	if err := p.Save(ctx, tx); err != nil {
		return mail.Message{}, err
	}
	address, name, err := account.Address(ctx, tx, p.AuthorID)
	err = choreo.RefusedIf(err, account.ErrNotFound)
	return mail.Message{
		To: address, Kind: "post-withdrawn", Subject: "Your post was withdrawn",
		Text: fmt.Sprintf(withdrawal, name, p.Title, p.Reason),
	}, err
}

// Call sends it.
func (m MailAuthor) Call(ctx context.Context, key string, _ choreo.Event[events.PostWithdrawn], letter mail.Message) (mailed, error) {
	err := m.Mail.Send(ctx, key, letter)
	return mailed{}, choreo.RefusedIf(err, mail.ErrRefused)
}

// Record says so.
func (MailAuthor) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[events.PostWithdrawn], _ mailed) error {
	tx.Emit(events.AuthorMailed{PostID: e.Fact.PostID})
	return nil
}

// AuthorMailGivenUp is the fact of MailAuthor giving up.
func AuthorMailGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.PostWithdrawn], cause error) (choreo.Fact, error) {
	reason := "unavailable"
	switch {
	case errors.Is(cause, account.ErrNotFound):
		reason = "erased"
	case errors.Is(cause, mail.ErrRefused):
		reason = "refused"
	}
	return events.AuthorMailFailed{PostID: e.Fact.PostID, Reason: reason}, nil
}
