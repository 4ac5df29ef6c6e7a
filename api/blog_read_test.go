package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"troupe/choreo"
	"troupe/events"
)

func TestGetPostThatIsNone(t *testing.T) {
	t.Parallel()
	r := start(t)
	for _, id := range []string{"x", "%00", "%ff", "0192aaaa-0000-7000-8000-000000000000"} {
		r.do("GET", "/posts/"+id, "", nil).is(http.StatusNotFound)
	}
}

func TestListPosts(t *testing.T) {
	t.Parallel()
	r := start(t)
	_, ana := r.signedIn("ana@example.com")
	_, ben := r.signedIn("ben@example.com")
	write := func(token, title string, became func(id string) []choreo.Fact, tags ...string) (id string) {
		var p postBody
		r.do("POST", "/posts", token, map[string]any{"title": title, "contents": []any{}, "tagNames": tags}).
			is(http.StatusCreated).into(&p)
		r.happened(became(p.PostID)...)
		return p.PostID
	}
	published := func(id string) []choreo.Fact { return []choreo.Fact{events.PostPublished{PostID: id}} }
	withdrawn := func(id string) []choreo.Fact {
		return []choreo.Fact{events.PostWithdrawn{PostID: id, AuthorID: "a", Reason: "why"}, events.TagsRemoved{PostID: id}}
	}
	deleted := func(id string) []choreo.Fact { return []choreo.Fact{events.PostDeleted{PostID: id}} }
	first := write(ana, "first", func(id string) []choreo.Fact {
		return append([]choreo.Fact{events.TagsCreated{PostID: id, Tags: []string{"zebra", "go"}}}, published(id)...)
	}, "go")
	write(ana, "withdrawn", withdrawn)
	write(ana, "deleted", deleted)
	write(ben, "processing", func(string) []choreo.Fact { return nil }, "kafka")
	write(ben, "last", published)

	type page struct {
		Items []struct {
			PostID, Title, AuthorID, State, CreatedAt string
			Tags                                      []string
		}
		Next *string
	}
	titles := func(token string, limit int) (all []string) {
		t.Helper()
		path := fmt.Sprint("/posts?limit=", limit)
		for next := path; next != ""; {
			var p page
			r.do("GET", next, token, nil).is(http.StatusOK).into(&p)
			if len(p.Items) > limit {
				t.Errorf("%d items on a page of %d", len(p.Items), limit)
			}
			for _, i := range p.Items {
				all = append(all, i.Title)
				if i.PostID == first && (!slices.Equal(i.Tags, []string{"go", "zebra"}) || i.State != "published" || i.CreatedAt == "") {
					t.Errorf("item %+v", i)
				}
			}
			next = ""
			if p.Next != nil {
				next = path + "&cursor=" + *p.Next
			}
		}
		return all
	}
	for who, c := range map[string]struct {
		token string
		want  []string
	}{
		"anybody": {"", []string{"last", "first"}},
		"ana":     {ana, []string{"last", "withdrawn", "first"}},
		"ben":     {ben, []string{"last", "processing", "first"}},
		"staff":   {staffToken, []string{"last", "processing", "withdrawn", "first"}},
	} {
		for _, limit := range []int{1, 2, 50} {
			if got := titles(c.token, limit); !slices.Equal(got, c.want) {
				t.Errorf("%s, by %d: %q, want %q", who, limit, got, c.want)
			}
		}
	}
	r.do("GET", "/posts", "no-such-token", nil).is(http.StatusUnauthorized)
	for _, query := range []string{"limit=0", "limit=201", "limit=x", "cursor=x", "cursor=%00"} {
		r.do("GET", "/posts?"+query, "", nil).is(http.StatusUnprocessableEntity)
	}
}
