package postlist_test

import (
	"slices"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/events"
	"troupe/handlers"
	"troupe/views/postlist"
)

func TestPostList(t *testing.T) {
	t.Parallel()
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	s := choreotest.New(t, flow, handlers.Migrate)
	created := events.PostCreated{PostID: "p", AuthorID: "a", Title: "A title", TagNames: []string{"go", "kafka"}}
	bare := events.PostCreated{PostID: "p", AuthorID: "a", Title: "A title"}
	tags := events.TagsCreated{PostID: "p", Tags: []string{"kafka", "new"}}
	published, withdrawn := events.PostPublished{PostID: "p"}, events.PostWithdrawn{PostID: "p", AuthorID: "a", Reason: "why"}
	deleted, removed := events.PostDeleted{PostID: "p"}, events.TagsRemoved{PostID: "p"}
	var erased choreo.Fact = events.AccountErased{AccountID: "a"}
	for name, c := range map[string]struct {
		facts []choreo.Fact
		state string // empty: not listed
		tags  []string
	}{
		"created":                     {[]choreo.Fact{created}, "processing", []string{"go", "kafka"}},
		"without a tag":               {[]choreo.Fact{bare}, "processing", []string{}},
		"published":                   {[]choreo.Fact{created, tags, published}, "published", []string{"go", "kafka", "new"}},
		"withdrawn":                   {[]choreo.Fact{created, withdrawn, removed}, "withdrawn", []string{}},
		"withdrawn, then published":   {[]choreo.Fact{created, withdrawn, published}, "withdrawn", []string{"go", "kafka"}},
		"published, then withdrawn":   {[]choreo.Fact{created, published, withdrawn}, "published", []string{"go", "kafka"}},
		"deleted":                     {[]choreo.Fact{created, tags, published, deleted, removed}, "", nil},
		"deleted, then created again": {[]choreo.Fact{created, deleted, created}, "", nil},
		"its author is erased":        {[]choreo.Fact{created, published, erased}, "published", []string{"go", "kafka"}},
		"its author was erased":       {[]choreo.Fact{erased, created}, "processing", []string{"go", "kafka"}},
		"published before it is":      {[]choreo.Fact{published}, "", nil},
	} {
		author := "a"
		if slices.ContainsFunc(c.facts, func(f choreo.Fact) bool { return f.FactType() == erased.FactType() }) {
			author = ""
		}
		for range 2 { // all of it comes again, as other events
			for _, f := range c.facts {
				r := s.When(postlist.Name, f, "")
				s.Again(r)
				r.Emits()
			}
		}
		list, err := postlist.List(t.Context(), s.DB.Pool(), postlist.Listing{All: true, Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case c.state == "" && len(list) > 0:
			t.Errorf("%s: listed as %+v", name, list)
		case c.state != "" && (len(list) != 1 || list[0].State != c.state || !slices.Equal(list[0].Tags, c.tags) ||
			list[0].Title != "A title" || list[0].AuthorID != author || list[0].CreatedAt.IsZero()):
			t.Errorf("%s: listed as %+v, want %s %q", name, list, c.state, c.tags)
		}
		if _, err := s.DB.Pool().ExecContext(t.Context(), `truncate post_list.posts, post_list.erased`); err != nil {
			t.Fatal(err)
		}
	}
}
