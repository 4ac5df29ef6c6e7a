package blog

import (
	"cmp"
	"context"
	"fmt"

	"troupe/choreo"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/events"
	"troupe/providers/blobs"
)

// ReturnAttachments on PostWithdrawn and PostDeleted deletes the copies of all
// files that the post asked for, however many were made. Rows and URLs of a
// withdrawn post are as before it; of a deleted one rows, mappings and the
// temporary files go too. Emits AttachmentsReturned, also where there was none,
// or AttachmentsReturnFailed. It is the undoing of RelocateAttachments.
type ReturnAttachments[F choreo.Fact] struct{ Blobs *blobs.Store }

// returned is the empty result of the call: the rows say which files it was.
type returned struct{}

// Load reads the keys of the objects to delete.
func (ReturnAttachments[F]) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) (keys []string, err error) {
	p, err := post.LoadIn(ctx, tx, e.Fact.Key(), post.Withdrawn, post.Deleted)
	if err != nil || p == nil {
		return nil, cmp.Or(err, choreo.Skip)
	}
	files, err := attachment.List(ctx, tx, p.Files)
	for _, a := range files {
		keys = append(keys, a.PostKey(p.ID))
		if p.State == post.Deleted {
			keys = append(keys, a.TempKey())
		}
	}
	return keys, err
}

// Call deletes them; one that is not there is fine.
func (r ReturnAttachments[F]) Call(ctx context.Context, _ string, e choreo.Event[F], keys []string) (returned, error) {
	for _, key := range keys {
		err := r.Blobs.Delete(ctx, key)
		err = choreo.RefusedIf(err, blobs.ErrRefused)
		if err != nil {
			return returned{}, fmt.Errorf("returning the attachments of post %s: %w", e.Fact.Key(), err)
		}
	}
	return returned{}, nil
}

// Record puts rows, URLs and mappings back.
func (ReturnAttachments[F]) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[F], _ returned) error {
	p, err := post.LoadIn(ctx, tx, e.Fact.Key(), post.Withdrawn, post.Deleted)
	if err != nil || p == nil {
		return err
	}
	files, err := attachment.List(ctx, tx, p.Files)
	if err != nil {
		return err
	}
	putBack := attachment.ReturnFromPost
	if p.State == post.Deleted {
		putBack = attachment.Remove
	}
	if err := putBack(ctx, tx, p.ID, p.Files); err != nil {
		return err
	}
	urls := map[string]string{}
	for _, a := range files {
		urls[a.PostURL(p.ID)] = a.TempURL()
	}
	p.ReturnFiles(urls)
	return p.Save(ctx, tx)
}

// ReturnGivenUp is the fact of ReturnAttachments giving up.
func ReturnGivenUp[F choreo.Fact](_ context.Context, _ *choreo.Tx, e choreo.Event[F], cause error) (choreo.Fact, error) {
	reason := "the copies could not be deleted in time"
	if choreo.IsRefused(cause) {
		reason = "a copy cannot be deleted"
	}
	return events.AttachmentsReturnFailed{PostID: e.Fact.Key(), Reason: reason}, nil
}
