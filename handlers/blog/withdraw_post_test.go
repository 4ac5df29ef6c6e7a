package blog_test

import (
	"testing"

	"troupe/domain/post"
	"troupe/events"
)

func TestWithdrawPost(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	w := b.write(ana, []string{"forbidden"})
	b.When("withdraw-post", events.TagsRejected{PostID: w.id, Reason: "why"}, w.saga).
		Emits(events.PostWithdrawn{PostID: w.id, AuthorID: ana, Reason: "why"})
	b.When("withdraw-post", events.AttachmentRelocationFailed{PostID: w.id, Reason: "too"}, w.saga).Emits()
	if r := b.read(w); r.State != post.Withdrawn || r.Reason != "why" {
		t.Errorf("%s, %q", r.State, r.Reason)
	}
}

func TestWithdrawPostOnlyInProcessing(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	published, deleted := b.write(ana, nil), b.write(ana, nil)
	b.When("publish-post", published.created, published.saga)
	b.delete(deleted)
	for _, w := range []written{published, deleted} {
		b.When("withdraw-post", events.TagsRejected{PostID: w.id, Reason: "why"}, w.saga).Emits()
	}
	b.When("withdraw-post", events.TagsRejected{PostID: "nobody's", Reason: "why"}, "").Emits()
	b.isState(published, post.Published)
	b.isState(deleted, post.Deleted)
}
