package blog_test

import (
	"testing"

	"troupe/choreo/choreotest"
	"troupe/domain/post"
)

// The whole process over a broker: a post that gets all it asked for, two that
// do not, and one that is deleted at once.
func TestThePerformance(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.Perform()
	ana := b.author("ana@example.com")
	good := b.write(ana, []string{"go", "kafka"}, b.upload(ana, "a.txt"), b.upload(ana, "b.txt"))
	corrupt := b.write(ana, []string{"go", "corrupted"}, b.upload(ana, "c.txt"), b.upload(ana, "corrupt.txt"))
	forbidden := b.write(ana, []string{"go", "forbidden"}, b.upload(ana, "d.txt"))
	deleted := b.write(ana, []string{"go", "deleted"}, b.upload(ana, "e.txt"))
	b.delete(deleted)

	came := func(w written, fact string) bool {
		return b.Count(`select count(*) from choreo.event_log where key = $1 and type = $2`, w.id, "posts."+fact+".v1") == 1
	}
	choreotest.Eventually(t, "all that was to be done or undone is", func() bool {
		for _, w := range []written{corrupt, forbidden} {
			if !came(w, "TagsRemoved") || !came(w, "AttachmentsReturned") || !came(w, "AuthorMailed") {
				return false
			}
		}
		return came(good, "PostPublished") && came(deleted, "TagsRemoved") && came(deleted, "AttachmentsReturned")
	})
	b.isState(good, post.Published, "go", "kafka")
	b.isInPost(good, true)
	for _, w := range []written{corrupt, forbidden} {
		b.isState(w, post.Withdrawn)
		b.isInPost(w, false)
	}
	b.isState(deleted, post.Deleted)
	b.isGone(deleted)
	if n := b.Count(`select count(*) from tags`); n != 2 {
		t.Errorf("%d tags, want those of the published post", n)
	}
	kinds := map[string]int{}
	for _, m := range b.sandbox.Mail() {
		kinds[m.Kind]++
	}
	if kinds["post-withdrawn"] != 2 {
		t.Errorf("mails: %v", kinds)
	}
}
