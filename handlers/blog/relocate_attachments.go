package blog

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/events"
	"troupe/providers/blobs"
)

// RelocateAttachments on PostCreated copies the files that a post in processing
// asked for into the post's folder, and rewrites their URLs in its contents.
// Emits AttachmentsRelocated, or AttachmentRelocationFailed; neither where no
// file was asked for. Undone by ReturnAttachments.
type RelocateAttachments struct{ Blobs *blobs.Store }

// relocated are the ids of the attachments that were copied.
type relocated []string

// Load reads which files there are to copy.
func (RelocateAttachments) Load(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostCreated]) ([]attachment.Attachment, error) {
	p, err := post.LoadIn(ctx, tx, e.Fact.PostID, post.Processing)
	if err != nil || p == nil {
		return nil, cmp.Or(err, choreo.Skip)
	}
	done, err := attachment.Mapped(ctx, tx, p.ID, p.Files)
	if err != nil || done {
		return nil, cmp.Or(err, choreo.Skip)
	}
	files, err := attachment.List(ctx, tx, p.Files)
	if err == nil && len(files) < len(p.Files) {
		err = choreo.Refused(errors.New("a file is gone"))
	}
	return files, err
}

// Call copies them; a copy that is there already is left as it is.
func (r RelocateAttachments) Call(ctx context.Context, _ string, e choreo.Event[events.PostCreated], files []attachment.Attachment) (relocated, error) {
	var done relocated
	for _, a := range files {
		err := r.Blobs.Copy(ctx, a.PostKey(e.Fact.PostID), a.TempKey())
		err = choreo.RefusedIf(err, blobs.ErrRefused, blobs.ErrNotFound)
		if err != nil {
			return nil, fmt.Errorf("relocating attachment %s: %w", a.ID, err)
		}
		done = append(done, a.ID)
	}
	return done, nil
}

// Record moves the rows and the URLs. Where the post was withdrawn or deleted
// meanwhile it leaves both: ReturnAttachments, which waited for this step,
// deletes the copies of all that was asked for.
func (RelocateAttachments) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostCreated], done relocated) error {
	p, err := post.LoadIn(ctx, tx, e.Fact.PostID, post.Processing)
	if err != nil || p == nil {
		return err
	}
	files, err := attachment.List(ctx, tx, done)
	if err != nil {
		return err
	}
	if err := attachment.MoveToPost(ctx, tx, p.ID, done); err != nil {
		return err
	}
	urls := map[string]string{}
	for _, a := range files {
		urls[a.TempURL()] = a.PostURL(p.ID)
	}
	p.TakeFiles(done, urls)
	return p.Save(ctx, tx)
}

// RelocationGivenUp is the fact of RelocateAttachments giving up.
func RelocationGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[events.PostCreated], cause error) (choreo.Fact, error) {
	reason := "the files could not be copied in time"
	if choreo.IsRefused(cause) {
		reason = "a file cannot be copied"
	}
	return events.AttachmentRelocationFailed{PostID: e.Fact.PostID, Reason: reason}, nil
}
