package blog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain/post"
	"troupe/events"
	"troupe/handlers"
	"troupe/handlers/blog"
)

func TestCreateTags(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	b.When("create-tags", b.write(ana, []string{"go", "kafka"}).created, "")
	w := b.write(ana, []string{"zebra", "go", "kafka"})
	r := b.When("create-tags", w.created, w.saga)
	r.Emits(events.TagsCreated{PostID: w.id, Tags: []string{"zebra", "go", "kafka"}})
	b.isState(w, post.Processing, "zebra", "go", "kafka")
	if n := b.Count(`select count(*) from tags`); n != 3 {
		t.Errorf("%d tags, want 3", n)
	}
	b.Again(r).Emits(events.TagsCreated{PostID: w.id, Tags: []string{"zebra", "go", "kafka"}}) // the one from before
	if n := b.Count(`select count(*) from choreo.outbox where type = 'posts.TagsCreated.v1' and key = $1`, w.id); n != 1 {
		t.Errorf("%d facts, want 1", n)
	}
}

// A fact that somebody writes by hand for a post that is there.
func TestCreateTagsOfAPublishedPost(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), []string{"go"})
	b.When("create-tags", w.created, w.saga)
	b.When("publish-post", events.TagsCreated{PostID: w.id, Tags: []string{"go"}}, w.saga)
	b.isState(w, post.Published, "go")
	byHand := events.PostCreated{PostID: w.id, AuthorID: "anybody", TagNames: []string{" GO ", "Cafe\u0301", "go", "café"}}
	for range 2 {
		b.When("create-tags", byHand, "").Emits(events.TagsCreated{PostID: w.id, Tags: []string{"go", "café"}})
	}
	b.isState(w, post.Published, "go", "café")
	if n := b.Count(`select count(*) from tags`); n != 2 {
		t.Errorf("%d tags, want 2", n)
	}
	b.When("create-tags", events.PostCreated{PostID: w.id, AuthorID: "anybody", TagNames: []string{"forbidden"}}, "").
		Emits(events.TagsRejected{PostID: w.id, Reason: `the tag "forbidden" is not allowed`})
	b.isState(w, post.Published, "go", "café")
}

func TestCreateTagsRejects(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	for name, reason := range map[string]string{
		"FORBIDDEN": `the tag "forbidden" is not allowed`,
		"a\x00b":    "a tag has 1 to 64 characters, none of them a control character",
		" ":         "a tag has 1 to 64 characters, none of them a control character",
	} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			w := b.write(ana, nil)
			w.created.TagNames = []string{"new", name}
			b.When("create-tags", w.created, w.saga).Emits(events.TagsRejected{PostID: w.id, Reason: reason})
			if n := b.Count(`select count(*) from tags`); n != 0 {
				t.Errorf("%d tags were created", n)
			}
		})
	}
}

func TestCreateTagsDoesNothing(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	none := b.write(ana, nil)
	b.When("create-tags", none.created, none.saga).Emits()
	withdrawn, deleted := b.write(ana, []string{"go"}), b.write(ana, []string{"go"})
	b.withdraw(withdrawn)
	b.delete(deleted)
	b.When("create-tags", withdrawn.created, withdrawn.saga).Emits()
	b.When("create-tags", deleted.created, "another saga").Emits()
	b.When("create-tags", events.PostCreated{PostID: "nobody's", AuthorID: ana, TagNames: []string{"go"}}, "saga").Emits()
	if n := b.Count(`select count(*) from tags`); n != 0 {
		t.Errorf("%d tags were created", n)
	}
}

// An undo that came first: the fact that comes late does nothing.
func TestCreateTagsAfterItsUndo(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), []string{"go"})
	b.When("remove-tags", b.delete(w), w.saga).Emits(events.TagsRemoved{PostID: w.id})
	b.When("create-tags", w.created, w.saga).Emits()
	b.isState(w, post.Deleted)
}

func TestCreateTagsOfPostsThatRace(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	var names []string
	for i := range 10 {
		names = append(names, fmt.Sprintf("name %d", i))
	}
	var g errgroup.Group
	for i := range 50 {
		w := b.write(ana, append(names[i%10:len(names):len(names)], names[:i%10]...))
		g.Go(func() error { b.When("create-tags", w.created, w.saga); return nil })
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := b.Count(`select count(*) from tags`); n != 10 {
		t.Errorf("%d tags, want 10", n)
	}
	if n := b.Count(`select count(*) from blog_post_tags`); n != 500 {
		t.Errorf("%d mappings, want 500", n)
	}
}

// The original rule: post and tags in one transaction, by one word.
func TestCreateTagsInTransaction(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(
		choreo.Command("create-post").Emits(events.PostCreated{}),
		choreo.On("create-tags", blog.CreateTags([]string{"forbidden"})).InTransaction().
			Emits(events.TagsCreated{}).FailsWith(events.TagsRejected{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, handlers.Migrate)
	var id string
	write := func(tags ...string) error {
		_, err := choreo.Commit(t.Context(), s.DB, "create-post", func(ctx context.Context, tx *choreo.Tx) error {
			p, err := post.Create(tx, post.Draft{ID: tx.NewID(), AuthorID: "ana", Title: "t", TagNames: tags})
			if err != nil {
				return err
			}
			id = p.ID
			return p.Save(ctx, tx)
		})
		return err
	}
	var rejected *choreo.RejectedError
	if err := write("go", "forbidden"); !errors.As(err, &rejected) || choreo.Reason(rejected.Fact) != `the tag "forbidden" is not allowed` {
		t.Fatalf("a forbidden tag: %v", err)
	}
	for _, table := range []string{"blog_posts", "tags", "blog_post_tags", "choreo.outbox", "choreo.inbox"} {
		if n := s.Count(`select count(*) from ` + table); n != 0 {
			t.Errorf("%d rows in %s of a command that was rolled back", n, table)
		}
	}
	if err := write("go"); err != nil {
		t.Fatal(err)
	}
	if n := s.Count(`select count(*) from blog_post_tags where post_id = $1`, id); n != 1 {
		t.Errorf("%d tags are mapped, want 1", n)
	}
	if n := s.Count(`select count(*) from choreo.outbox where key = $1`, id); n != 2 {
		t.Errorf("%d facts, want PostCreated and TagsCreated", n)
	}
}
