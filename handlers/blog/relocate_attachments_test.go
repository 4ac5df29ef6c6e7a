package blog_test

import (
	"context"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/events"
	"troupe/handlers"
	"troupe/handlers/blog"
)

func TestRelocateAttachments(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"), b.upload(ana, "Über.attrs"))
	b.isInPost(w, false)
	b.When("relocate-attachments", w.created, w.saga).
		Emits(events.AttachmentsRelocated{PostID: w.id, AttachmentIDs: ids(w.files)})
	b.isInPost(w, true)
	// A copy of the fact finds everything where it belongs.
	b.When("relocate-attachments", w.created, "another saga")
	b.isInPost(w, true)
	b.When("publish-post", events.AttachmentsRelocated{PostID: w.id}, w.saga).Emits(events.PostPublished{PostID: w.id})
	b.When("relocate-attachments", w.created, "a third saga").Emits()
	b.isInPost(w, true)
}

func TestRelocateAttachmentsFails(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	corrupt := b.write(ana, nil, b.upload(ana, "a.txt"), b.upload(ana, "corrupt.txt"))
	gone := b.write(ana, nil, b.upload(ana, "b.txt"))
	if err := b.blobs.Delete(t.Context(), gone.files[0].TempKey()); err != nil {
		t.Fatal(err)
	}
	expired := b.write(ana, nil, b.upload(ana, "c.txt"))
	b.exec(`delete from attachments where attachment_id = $1`, expired.files[0].ID)
	for name, w := range map[string]written{"corrupt": corrupt, "object gone": gone, "row gone": expired} {
		t.Run(name, func(t *testing.T) {
			r := b.When("relocate-attachments", w.created, w.saga)
			r.Emits(events.AttachmentRelocationFailed{PostID: w.id, Reason: "a file cannot be copied"})
			if r.State != "gave-up" {
				t.Errorf("the step is %s", r.State)
			}
			b.isState(w, post.Processing)
		})
	}
}

// A store that is down is tried again, until the time is up.
func TestRelocateAttachmentsGivesUp(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, nil, b.upload(ana, "a.txt"))
	if err := b.blobs.Close(); err != nil {
		t.Fatal(err)
	}
	r := b.When("relocate-attachments", w.created, w.saga)
	r.Emits()
	if r.State != "waiting" {
		t.Fatalf("the step is %s", r.State)
	}
	b.old(r)
	b.Again(r).Emits(events.AttachmentRelocationFailed{PostID: w.id, Reason: "the files could not be copied in time"})
}

func TestRelocateAttachmentsDoesNothing(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	none := b.write(ana, []string{"go"})
	b.When("relocate-attachments", none.created, none.saga).Emits()
	withdrawn := b.write(ana, nil, b.upload(ana, "a.txt"))
	b.withdraw(withdrawn)
	b.When("relocate-attachments", withdrawn.created, withdrawn.saga).Emits()
	b.isInPost(withdrawn, false)
	b.When("relocate-attachments", events.PostCreated{PostID: "nobody's", AuthorID: ana}, "").Emits()
}

// interrupted is a relocation during which something else happens.
type interrupted struct {
	blog.RelocateAttachments
	what func()
}

func (i interrupted) Call(ctx context.Context, key string, e choreo.Event[events.PostCreated], files []attachment.Attachment) (out []string, err error) {
	i.what()
	return i.RelocateAttachments.Call(ctx, key, e, files)
}

func (i interrupted) Record(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostCreated], done []string) error {
	return i.RelocateAttachments.Record(ctx, tx, e, done)
}

// A post that ends while its files are being copied: the copies are made, the
// undoing waits for that, and then deletes them.
func TestPostEndsWhileItsFilesAreCopied(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*troupe, written) choreo.Fact{
		"withdrawn": func(b *troupe, w written) choreo.Fact { return b.withdraw(w) },
		"deleted":   func(b *troupe, w written) choreo.Fact { return b.delete(w) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b *troupe
			var w written
			var undo *choreotest.Result
			b = openFlow(t, func(out handlers.Outside) (*choreo.Flow, error) {
				return choreo.NewFlow(
					choreo.Command("sign-up").Emits(events.AccountRegistered{}),
					choreo.Command("upload-attachment").Emits(events.AttachmentUploaded{}),
					choreo.Command("create-post").Emits(events.PostCreated{}),
					choreo.Command("delete-post").Emits(events.PostDeleted{}),
					choreo.On("withdraw-post", blog.WithdrawPost[events.TagsRejected]).Emits(events.PostWithdrawn{}),
					choreo.OnEffect("relocate-attachments", interrupted{blog.RelocateAttachments{Blobs: out.Blobs}, func() {
						undo = b.When("return-attachments", end(b, w), w.saga)
						undo.Emits()
					}}).Emits(events.AttachmentsRelocated{}),
					choreo.OnEffect("return-attachments", blog.ReturnAttachments[events.PostWithdrawn]{Blobs: out.Blobs}).
						Undoes("relocate-attachments").Emits(events.AttachmentsReturned{}),
					choreo.OnEffect("return-attachments", blog.ReturnAttachments[events.PostDeleted]{Blobs: out.Blobs}).
						Undoes("relocate-attachments").Emits(events.AttachmentsReturned{}),
				)
			})
			ana := b.author("ana@example.com")
			w = b.write(ana, nil, b.upload(ana, "a.txt"), b.upload(ana, "b.txt"))
			b.When("relocate-attachments", w.created, w.saga).Emits()
			if undo.State != "waiting" {
				t.Fatalf("the undo did not wait: it is %s", undo.State)
			}
			for _, a := range w.files {
				if !b.object(a.PostKey(w.id)) {
					t.Error("a copy was not made")
				}
			}
			b.due(undo)
			b.Again(undo).Emits(events.AttachmentsReturned{PostID: w.id})
			if name == "withdrawn" {
				b.isInPost(w, false)
			} else {
				b.isGone(w)
			}
		})
	}
}
