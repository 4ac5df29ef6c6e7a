package blog_test

import (
	"context"
	"testing"

	"troupe/choreo"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/events"
)

func TestReturnAttachmentsOfAWithdrawnPost(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"), b.upload(ana, "b.txt"))
	b.When("relocate-attachments", w.created, w.saga)
	b.isInPost(w, true)
	f := b.withdraw(w)
	b.When("return-attachments", f, w.saga).Emits(events.AttachmentsReturned{PostID: w.id})
	b.isInPost(w, false)

	// They can be used again, and the copy of the fact does not touch that.
	next := b.write(ana, nil, w.files...)
	b.When("relocate-attachments", next.created, next.saga)
	b.When("return-attachments", f, "another saga").Emits(events.AttachmentsReturned{PostID: w.id})
	b.isInPost(next, true)
}

// A file that cannot be copied leaves those that were: they are deleted too.
func TestReturnAttachmentsWhereSomeWereCopied(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"), b.upload(ana, "corrupt.txt"))
	var failed events.AttachmentRelocationFailed
	b.When("relocate-attachments", w.created, w.saga).Read(&failed)
	if !b.object(w.files[0].PostKey(w.id)) {
		t.Fatal("nothing was copied")
	}
	var f events.PostWithdrawn
	b.When("withdraw-post", failed, w.saga).Read(&f)
	b.When("return-attachments", f, w.saga).Emits(events.AttachmentsReturned{PostID: w.id})
	b.isInPost(w, false)
}

func TestReturnAttachmentsOfADeletedPost(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"), b.upload(ana, "b.txt"))
	b.When("relocate-attachments", w.created, w.saga)
	f := b.delete(w)
	r := b.When("return-attachments", f, w.saga)
	r.Emits(events.AttachmentsReturned{PostID: w.id})
	b.isGone(w)
	b.When("return-attachments", f, "another saga").Emits(events.AttachmentsReturned{PostID: w.id})
	// Relocating it late does nothing.
	b.When("relocate-attachments", w.created, w.saga).Emits()
	b.isGone(w)
}

func TestReturnAttachmentsWithoutAny(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), nil)
	b.When("return-attachments", b.delete(w), w.saga).Emits(events.AttachmentsReturned{PostID: w.id})
}

func TestReturnAttachmentsOnlyOfAPostThatIsOver(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"))
	b.When("relocate-attachments", w.created, w.saga)
	b.When("return-attachments", events.PostDeleted{PostID: w.id}, "by hand").Emits()
	b.When("return-attachments", events.PostDeleted{PostID: "nobody's"}, "").Emits()
	b.isInPost(w, true)
}

func TestReturnAttachmentsGivesUp(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"))
	f := b.delete(w)
	if err := b.blobs.Close(); err != nil {
		t.Fatal(err)
	}
	r := b.When("return-attachments", f, w.saga)
	r.Emits()
	b.old(r)
	b.Again(r).Emits(events.AttachmentsReturnFailed{PostID: w.id, Reason: "the copies could not be deleted in time"})
	b.isState(w, post.Deleted)
}

// Of posts that race for a file one gets it.
func TestAFileIsOfOnePost(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"))
	_, err := choreo.Commit(t.Context(), b.DB, "create-post", func(ctx context.Context, tx *choreo.Tx) error {
		_, err := attachment.Reserve(ctx, tx, tx.NewID(), ana, w.created.FileURLs)
		return err
	})
	if err == nil {
		t.Error("a second post got the file")
	}
}
