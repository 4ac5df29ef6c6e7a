package blog

import (
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/account"
	"troupe/domain/post"
	"troupe/events"
	"troupe/providers/mail"
)

// MailAuthor on PostWithdrawn tells the author why. Emits AuthorMailed, or
// AuthorMailFailed, with the reason "erased" where the author is gone. Nothing
// undoes it: a mail that was sent cannot be called back.
type MailAuthor struct{ Mail mail.Mailer }

// mailed is the empty result of the call.
type mailed struct{}

// Load writes the mail.
func (MailAuthor) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostWithdrawn]) (mail.Message, error) {
	p, err := post.LoadIn(ctx, tx, e.Fact.PostID, post.Withdrawn)
	if err != nil {
		return mail.Message{}, err
	}
	if p == nil {
		return mail.Message{}, choreo.Skip
	}
	address, name, err := account.Address(ctx, tx, p.AuthorID)
	if errors.Is(err, account.ErrNotFound) {
		tx.Emit(events.AuthorMailFailed{PostID: p.ID, Reason: "erased"})
		return mail.Message{}, choreo.Skip
	}
	if err != nil {
		return mail.Message{}, fmt.Errorf("finding the author of post %s: %w", p.ID, err)
	}
	return mail.Message{
		To: address, Kind: "post-withdrawn", Subject: "Your post was withdrawn",
		Text: fmt.Sprintf("Hello %s,\n\nyour post “%s” could not be published and was withdrawn: %s.\n\n"+
			"You can change it and send it again; your files are kept for a day after you uploaded them.\n", name, p.Title, p.Reason),
	}, nil
}

// Call sends it.
func (m MailAuthor) Call(ctx context.Context, key string, _ choreo.Event[events.PostWithdrawn], letter mail.Message) (mailed, error) {
	err := m.Mail.Send(ctx, key, letter)
	if errors.Is(err, mail.ErrRefused) {
		err = choreo.Refused(err)
	}
	return mailed{}, err
}

// Record says so.
func (MailAuthor) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[events.PostWithdrawn], _ mailed) error {
	tx.Emit(events.AuthorMailed{PostID: e.Fact.PostID})
	return nil
}

// AuthorMailGivenUp is the fact of MailAuthor giving up.
func AuthorMailGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.PostWithdrawn], cause error) (choreo.Fact, error) {
	reason := "the mail could not be sent in time"
	if choreo.IsRefused(cause) {
		reason = "the mail server refused the mail"
	}
	return events.AuthorMailFailed{PostID: e.Fact.PostID, Reason: reason}, nil
}
