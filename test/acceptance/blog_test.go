package acceptance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
)

// postIn waits until the post is in the state and its saga settled.
func (s *system) postIn(t *testing.T, id, state string) (p postBody) {
	t.Helper()
	eventually(t, 30*time.Second, func() error {
		if p = get[postBody](t, s, "/posts/"+id); p.State != state {
			return fmt.Errorf("post %s is %s (%s); want %s", id, p.State, p.Reason, state)
		}
		return nil
	})
	return p
}

// count counts rows.
func (s shared) count(t *testing.T, query string, args ...any) (n int) {
	t.Helper()
	if err := s.db.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// filesOf lists what the blob store holds in the post's folder.
func (s *system) filesOf(t *testing.T, postID string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(s.data, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, postID) {
			files = append(files, path)
		}
		return nil // what goes while we walk is gone
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func (s shared) postIsPublished(t *testing.T) {
	t.Parallel()
	author, other, mark := s.join(t, "author"), s.join(t, "other"), token()
	tags := []string{"old-" + mark, "größe-" + mark, "new-" + mark}
	first, _ := s.write(t, other, tags[:2])
	s.postIn(t, first, "published")

	one, two := picture(31), picture(47)
	a, b := s.upload(t, author, "one.png", one), s.upload(t, author, "zwei ü.png", two)
	made := s.call(t, http.StatusCreated, http.MethodPost, "/posts", author.token,
		postRequest([]string{strings.ToUpper(tags[0]), "  GRÖSSE-" + mark + " ", tags[2], tags[2]}, []string{a, b}))
	if body := as[postBody](t, made); !strings.Contains(string(made.body), a) || len(body.Attachments) != 2 {
		t.Errorf("right after posting its temporary URLs are not there: %s", made)
	}
	p := s.postIn(t, as[postBody](t, made).PostID, "published")

	want := slices.Clone(p.Tags)
	for _, tag := range tags {
		n := s.count(t, `select count(*) from tags where name = $1`, tag)
		if tag == tags[1] && n == 0 { // as case folding spells it
			n = s.count(t, `select count(*) from tags where name = $1`, "grösse-"+mark)
		}
		if n != 1 {
			t.Errorf("there are %d tags %s; want one", n, tag)
		}
	}
	if slices.Sort(want); len(slices.Compact(want)) != 3 || len(p.Tags) != 3 {
		t.Errorf("the post has the tags %q; want three", p.Tags)
	}
	if n := s.count(t, `select count(*) from tags where name like '%' || $1`, mark); n != 3 {
		t.Errorf("two posts made %d tags; want three", n)
	}
	contents, _ := json.Marshal(p.Contents)
	if strings.Contains(string(contents), "/temp/") || strings.Count(string(contents), "/blog-post/") != 4 {
		t.Errorf("the URLs in its contents are not rewritten: %s", contents)
	}
	var served [][]byte
	for _, file := range p.Attachments {
		if !strings.Contains(file.URL, "/blog-post/") || !strings.Contains(string(contents), file.URL) {
			t.Errorf("attachment %s is not the one in the contents", file.URL)
		}
		served = append(served, s.call(t, http.StatusOK, http.MethodGet, file.URL, "", nil).body)
	}
	if len(served) != 2 || !bytes.Equal(served[0], one) || !bytes.Equal(served[1], two) {
		t.Errorf("%d files are served, or not those that were uploaded", len(served))
	}
	if g := s.settled(t, made.header.Get("Troupe-Saga")); g.Outcome != "completed" || g.has("posts.PostPublished") != 1 {
		t.Errorf("the saga is %+v", g)
	}
}

// tookBack checks that nothing is left of a post that was withdrawn.
func (s shared) tookBack(t *testing.T, author person, id, saga, mark string, temp []string) {
	t.Helper()
	s.postIn(t, id, "withdrawn")
	g := s.settled(t, saga)
	if g.Outcome != "undone" || len(g.Owed) > 0 {
		t.Errorf("the saga came out %s, owed %v", g.Outcome, g.Owed)
	}
	for _, fact := range []string{"posts.PostWithdrawn", "posts.TagsRemoved", "posts.AttachmentsReturned", "posts.AuthorMailed"} {
		if n := g.has(fact); n != 1 {
			t.Errorf("%d facts %s; want one: %+v", n, fact, g.Steps)
		}
	}
	p := s.postIn(t, id, "withdrawn")
	if len(p.Tags) > 0 || s.count(t, `select count(*) from tags where name like '%' || $1`, mark) > 0 {
		t.Errorf("tags are left: %q", p.Tags)
	}
	if files := s.filesOf(t, id); len(files) > 0 {
		t.Errorf("copies are left: %q", files)
	}
	contents, _ := json.Marshal(p.Contents)
	if strings.Contains(string(contents), "/blog-post/") || p.Reason == "" {
		t.Errorf("reason %q, contents %s", p.Reason, contents)
	}
	for _, u := range temp {
		s.call(t, http.StatusOK, http.MethodGet, u, "", nil)
		final := strings.Replace(u, "/temp/", "/blog-post/"+id+"/", 1)
		s.call(t, http.StatusNotFound, http.MethodGet, final, "", nil)
		if !strings.Contains(string(contents), u) {
			t.Errorf("%s is not back in its contents: %s", u, contents)
		}
	}
	if m := s.mails(t, author.email, "post-withdrawn", "succeeded"); len(m) != 1 {
		t.Errorf("the author got %d mails; want one", len(m))
	}
	if n := s.count(t, `select count(*) from blog_post_tags where post_id = $1`, id) +
		s.count(t, `select count(*) from blog_post_attachments where post_id = $1`, id); n > 0 {
		t.Errorf("%d rows map tags or attachments to it", n)
	}
}

func (s shared) corruptFile(t *testing.T) {
	t.Parallel()
	author, mark := s.join(t, "author"), token()
	good, bad := s.upload(t, author, "good.png", picture(33)), s.upload(t, author, "corrupt.png", picture(34))
	id, saga := s.write(t, author, []string{"a-" + mark, "b-" + mark, "c-" + mark}, good, bad)
	s.tookBack(t, author, id, saga, mark, []string{good, bad})
}

func (s shared) forbiddenTag(t *testing.T) {
	t.Parallel()
	author, mark := s.join(t, "author"), token()
	files := []string{s.upload(t, author, "one.png", picture(35)), s.upload(t, author, "two.png", picture(36))}
	id, saga := s.write(t, author, []string{"a-" + mark, " Forbidden ", "b-" + mark}, files...)
	s.tookBack(t, author, id, saga, mark, files)
	// What it asked for is free for the next post.
	again, _ := s.write(t, author, nil, files...)
	s.postIn(t, again, "published")
}

func (s shared) postIsDeleted(t *testing.T) {
	t.Parallel()
	author, mark := s.join(t, "author"), token()
	shares, _ := s.write(t, author, []string{"both-" + mark})
	file := s.upload(t, author, "one.png", picture(37))
	id, saga := s.write(t, author, []string{"both-" + mark, "own-" + mark}, file)
	s.postIn(t, id, "published")
	s.postIn(t, shares, "published")
	for range 2 { // the second time changes nothing
		a := s.call(t, http.StatusAccepted, http.MethodDelete, "/posts/"+id, author.token, nil)
		if got := a.header.Get("Troupe-Saga"); got != saga {
			t.Errorf("deleting answers saga %s; want that of the post, %s", got, saga)
		}
	}
	g := s.settled(t, saga)
	for _, fact := range []string{"posts.PostDeleted", "posts.TagsRemoved", "posts.AttachmentsReturned"} {
		if n := g.has(fact); n != 1 {
			t.Errorf("%d facts %s; want one", n, fact)
		}
	}
	left := []string{}
	if err := s.db.QueryRow(`select array(select name::text from tags where name like '%' || $1)`, mark).Scan(pq.Array(&left)); err != nil {
		t.Fatal(err)
	}
	if len(left) != 1 || left[0] != "both-"+mark {
		t.Errorf("tags %q are left; want the one that the other post uses", left)
	}
	if files := s.filesOf(t, id); len(files) > 0 {
		t.Errorf("copies are left: %q", files)
	}
	if p := s.postIn(t, shares, "published"); len(p.Tags) != 1 {
		t.Errorf("the other post has the tags %q", p.Tags)
	}
}
