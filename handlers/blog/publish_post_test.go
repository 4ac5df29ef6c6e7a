package blog_test

import (
	"testing"

	"troupe/choreo"
	"troupe/domain/post"
	"troupe/events"
)

func TestPublishPostWithNothingAskedFor(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), nil)
	b.When("publish-post", w.created, w.saga).Emits(events.PostPublished{PostID: w.id})
	b.isState(w, post.Published)
	b.When("publish-post", w.created, "another saga").Emits()
}

// What a post asked for joins, in whatever order its facts come.
func TestPublishPostJoins(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	for name, order := range map[string][]string{
		"tags first":       {"created", "tags", "files"},
		"files first":      {"created", "files", "tags"},
		"created last":     {"tags", "files", "created"},
		"created between":  {"files", "created", "tags"},
		"all done at once": {"all", "files", "created", "tags"},
	} {
		t.Run(name, func(t *testing.T) {
			w := b.write(ana, []string{"go"}, b.upload(ana, "a.txt"))
			published := false
			publish := func(fact choreo.Fact, ready bool) {
				t.Helper()
				r := b.When("publish-post", fact, w.saga)
				if ready && !published {
					published = true
					r.Emits(events.PostPublished{PostID: w.id})
				} else {
					r.Emits()
				}
			}
			var tags events.TagsCreated
			var files events.AttachmentsRelocated
			if order[0] == "all" {
				b.When("create-tags", w.created, w.saga).Read(&tags)
				b.When("relocate-attachments", w.created, w.saga).Read(&files)
			}
			for _, what := range order {
				switch what {
				case "created":
					publish(w.created, tags.PostID != "" && files.PostID != "")
				case "tags":
					if tags.PostID == "" {
						b.When("create-tags", w.created, w.saga).Read(&tags)
					}
					publish(tags, files.PostID != "")
				case "files":
					if files.PostID == "" {
						b.When("relocate-attachments", w.created, w.saga).Read(&files)
					}
					publish(files, tags.PostID != "")
				}
			}
			b.isState(w, post.Published, "go")
		})
	}
}

func TestPublishPostOnlyInProcessing(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	withdrawn, deleted := b.write(ana, nil), b.write(ana, nil)
	b.withdraw(withdrawn)
	b.delete(deleted)
	b.When("publish-post", withdrawn.created, withdrawn.saga).Emits()
	b.When("publish-post", deleted.created, deleted.saga).Emits()
	b.When("publish-post", events.TagsCreated{PostID: "nobody's"}, "").Emits()
	b.isState(withdrawn, post.Withdrawn)
	b.isState(deleted, post.Deleted)
}
