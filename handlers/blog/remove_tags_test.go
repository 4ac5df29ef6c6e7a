package blog_test

import (
	"testing"

	"troupe/domain/post"
	"troupe/events"
)

func TestRemoveTags(t *testing.T) {
	t.Parallel()
	b := open(t)
	ana := b.author("ana@example.com")
	stays := b.write(ana, []string{"shared"})
	b.When("create-tags", stays.created, stays.saga)
	for name, end := range map[string]func(written) func(){
		"withdrawn": func(w written) func() {
			f := b.withdraw(w)
			return func() { b.When("remove-tags", f, w.saga).Emits(events.TagsRemoved{PostID: w.id}) }
		},
		"deleted": func(w written) func() {
			f := b.delete(w)
			return func() { b.When("remove-tags", f, w.saga).Emits(events.TagsRemoved{PostID: w.id}) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := b.write(ana, []string{"shared", "own " + name})
			b.When("create-tags", w.created, w.saga)
			remove := end(w)
			remove()
			if r := b.read(w); len(r.Tags) != 0 {
				t.Errorf("tags are left: %q", r.Tags)
			}
			if n := b.Count(`select count(*) from tags`); n != 1 {
				t.Errorf("%d tags, want the shared one alone", n)
			}
			remove() // for a copy of the fact
		})
	}
	b.isState(stays, post.Processing, "shared")
}

func TestRemoveTagsOnlyOfAPostThatIsOver(t *testing.T) {
	t.Parallel()
	b := open(t)
	w := b.write(b.author("ana@example.com"), []string{"go"})
	b.When("create-tags", w.created, w.saga)
	b.When("remove-tags", events.PostDeleted{PostID: w.id}, "by hand").Emits()
	b.When("remove-tags", events.PostDeleted{PostID: "nobody's"}, "").Emits()
	b.isState(w, post.Processing, "go")
}
