package api_test

import (
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"troupe/api"
	"troupe/choreo"
	"troupe/choreo/embedded/embeddedtest"
	"troupe/events"
	"troupe/handlers"
	"troupe/handlers/blog"
)

type postBody struct {
	PostID, AuthorID, Title string
	Contents                []map[string]any
	Tags                    []string
	Attachments             []struct{ AttachmentID, URL string }
	State, Reason           string
}

func TestCreatePost(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	id, token := r.signedIn("ana@example.com")
	a, b := r.uploaded(token, "a.png", pixel), r.uploaded(token, "b.png", pixel)
	raw := `{"title": " A day out ", "contents": [{"b":1.50,"a":"<p>\u00e9 ` + a.URL + `</p>"}, {}],
		"tagNames": [" Go ", "go", "Kafka"], "fileUrls": ["` + a.URL + `", "` + b.URL + `", "` + a.URL + `"]}`
	var p postBody
	got := r.do("POST", "/posts", token, raw).is(http.StatusCreated).into(&p)
	saga := got.header.Get("Troupe-Saga")
	if got.header.Get("Troupe-Event") == "" || saga == "" || got.header.Get("Location") != "/sagas/"+saga {
		t.Errorf("receipt: %v", got.header)
	}
	if p.PostID == "" || p.AuthorID != id || p.Title != "A day out" || p.State != "processing" || p.Reason != "" ||
		!slices.Equal(p.Tags, []string{"go", "kafka"}) || len(p.Attachments) != 2 ||
		p.Attachments[0].AttachmentID != a.AttachmentID || p.Attachments[0].URL != a.URL || p.Attachments[1].URL != b.URL {
		t.Errorf("post %+v", p)
	}
	if !strings.Contains(string(got.body), `[{"b":1.50,"a":"<p>\u00e9 `+a.URL+`</p>"},{}]`) {
		t.Errorf("the contents are changed: %s", got.body)
	}
	var read postBody
	r.do("GET", "/posts/"+p.PostID, "", nil).is(http.StatusOK).into(&read)
	if !reflect.DeepEqual(read, p) {
		t.Errorf("read %+v, wrote %+v", read, p)
	}
	var fact events.PostCreated
	r.fact(p.PostID, &fact)
	if fact.AuthorID != id || fact.Title != "A day out" || !slices.Equal(fact.TagNames, []string{"go", "kafka"}) ||
		!slices.Equal(fact.FileURLs, []string{a.URL, b.URL}) || len(fact.Contents) != 2 {
		t.Errorf("fact %+v", fact)
	}

	// The least there can be; lists of nothing are lists.
	got = r.do("POST", "/posts", token, `{"title":"t","contents":[]}`).is(http.StatusCreated)
	for _, empty := range []string{`"contents":[]`, `"tags":[]`, `"attachments":[]`} {
		if !strings.Contains(string(got.body), empty) {
			t.Errorf("no %s: %s", empty, got.body)
		}
	}
}

func TestCreatePostRules(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	_, ana := r.signedIn("ana@example.com")
	_, ben := r.signedIn("ben@example.com")
	bens, old, taken, free := r.uploaded(ben, "a.png", pixel), r.uploaded(ana, "a.png", pixel),
		r.uploaded(ana, "a.png", pixel), r.uploaded(ana, "a.png", pixel)
	type m = map[string]any
	body := func(change m) m {
		b := m{"title": "t", "contents": []m{{"a": 1}}}
		maps.Copy(b, change)
		return b
	}
	if _, err := r.db.Pool().ExecContext(t.Context(), `update attachments set uploaded_at = uploaded_at - interval '24 hours 1 second'
		where attachment_id = $1`, old.AttachmentID); err != nil {
		t.Fatal(err)
	}
	r.do("POST", "/posts", ana, body(m{"fileUrls": []string{taken.URL}})).is(http.StatusCreated)
	posts := r.count(`select count(*) from blog_posts`)

	many := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint("tag ", i))
		}
		return all
	}
	for name, c := range map[string]struct {
		token  string
		body   any
		status int
		at     []string
	}{
		"without a session":   {"", body(nil), 401, nil},
		"by staff":            {staffToken, body(nil), 403, nil},
		"malformed":           {ana, `{"title":`, 400, []string{"body"}},
		"no title":            {ana, `{"contents":[]}`, 422, []string{"body.title"}},
		"no contents":         {ana, `{"title":"t"}`, 422, []string{"body.contents"}},
		"contents null":       {ana, body(m{"contents": nil}), 422, []string{"body.contents"}},
		"contents no array":   {ana, body(m{"contents": m{}}), 422, []string{"body.contents"}},
		"contents no objects": {ana, body(m{"contents": []any{m{}, "x"}}), 422, []string{"body.contents[1]"}},
		"an unknown field":    {ana, body(m{"slug": "x"}), 422, []string{"body.slug"}},
		"an empty title":      {ana, body(m{"title": "  "}), 422, []string{"body.title"}},
		"a long title":        {ana, body(m{"title": strings.Repeat("é", 201)}), 422, []string{"body.title"}},
		"a title with NUL":    {ana, body(m{"title": "a\x00b"}), 422, []string{"body.title"}},
		"a wrong type":        {ana, body(m{"title": 1}), 422, []string{"body.title"}},
		"an empty tag":        {ana, body(m{"tagNames": []string{"go", " "}}), 422, []string{"body.tagNames[1]"}},
		"a tag with NUL":      {ana, body(m{"tagNames": []string{"a\x00b"}}), 422, []string{"body.tagNames[0]"}},
		"a long tag":          {ana, body(m{"tagNames": []string{strings.Repeat("x", 65)}}), 422, []string{"body.tagNames[0]"}},
		"many tags":           {ana, body(m{"tagNames": many(33)}), 422, []string{"body.tagNames"}},
		"another's file":      {ana, body(m{"fileUrls": []string{bens.URL}}), 422, []string{"body.fileUrls[0]"}},
		"an old file":         {ana, body(m{"fileUrls": []string{free.URL, old.URL}}), 422, []string{"body.fileUrls[1]"}},
		"another post's file": {ana, body(m{"fileUrls": []string{taken.URL}}), 422, []string{"body.fileUrls[0]"}},
		"no file":             {ana, body(m{"fileUrls": []string{"/files/temp/x/a.png", "", "\x00"}}), 422, []string{"body.fileUrls[0]", "body.fileUrls[1]", "body.fileUrls[2]"}},
		"another name of it":  {ana, body(m{"fileUrls": []string{strings.Replace(free.URL, "a.png", "b.png", 1)}}), 422, []string{"body.fileUrls[0]"}},
		"several things":      {ana, body(m{"title": "", "tagNames": []string{""}, "fileUrls": []string{"x"}}), 422, []string{"body.title", "body.tagNames[0]", "body.fileUrls[0]"}},
		"more than 512 KiB":   {ana, `{"title":"t","contents":[{"a":"` + strings.Repeat("x", 512<<10) + `"}]}`, 413, nil},
		"more than one body":  {ana, body(m{"contents": []m{{"a": strings.Repeat("x", 1<<20)}}}), 413, nil},
		"broken UTF-8":        {ana, `{"title":"t","contents":[{"a":"` + "\xff" + `"}]}`, 422, nil},
	} {
		got := r.do("POST", "/posts", c.token, c.body).is(c.status)
		if at := got.locations(); !slices.Equal(at, c.at) {
			t.Errorf("%s: at %q, want %q: %s", name, at, c.at, got.body)
		}
	}
	if n := r.count(`select count(*) from blog_posts`); n != posts {
		t.Errorf("%d posts of refused commands", n-posts)
	}
	// Of what was refused nothing is kept.
	r.do("POST", "/posts", ana, body(m{"fileUrls": []string{free.URL}})).is(http.StatusCreated)
	exactly := strings.Repeat("x", 512<<10-len(`[{"a":""}]`))
	r.do("POST", "/posts", ana, body(m{"contents": []m{{"a": exactly}}})).is(http.StatusCreated)
}

func TestPostsRaceForAFile(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	_, token := r.signedIn("ana@example.com")
	a, b := r.uploaded(token, "a.png", pixel), r.uploaded(token, "b.png", pixel)
	got := r.atOnce(8, func(i int) *reply {
		urls := []string{a.URL, b.URL}
		if i%2 == 0 {
			slices.Reverse(urls)
		}
		return r.do("POST", "/posts", token, map[string]any{"title": "t", "contents": []any{}, "fileUrls": urls})
	})
	if got[http.StatusCreated] != 1 || got[http.StatusUnprocessableEntity] != 7 {
		t.Errorf("answers: %v", got)
	}
}

func TestDeletePost(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	_, ana := r.signedIn("ana@example.com")
	_, ben := r.signedIn("ben@example.com")
	var p postBody
	created := r.do("POST", "/posts", ana, map[string]any{"title": "t", "contents": []any{map[string]any{"a": 1}}}).
		is(http.StatusCreated).into(&p)
	path := "/posts/" + p.PostID
	r.do("DELETE", path, "", nil).is(http.StatusUnauthorized)
	r.do("DELETE", path, ben, nil).is(http.StatusNotFound)
	r.do("DELETE", path, staffToken, nil).is(http.StatusForbidden)
	r.do("DELETE", "/posts/0192aaaa-0000-7000-8000-000000000000", ana, nil).is(http.StatusNotFound)
	r.do("DELETE", "/posts/%00", ana, nil).is(http.StatusNotFound)

	got := r.do("DELETE", path, ana, nil).is(http.StatusAccepted)
	saga := created.header.Get("Troupe-Saga")
	if got.header.Get("Troupe-Saga") != saga || got.header.Get("Troupe-Event") == "" || got.header.Get("Location") != "/sagas/"+saga {
		t.Errorf("receipt: %v", got.header)
	}
	again := r.do("DELETE", path, ana, nil).is(http.StatusAccepted)
	if again.header.Get("Troupe-Saga") != saga || again.header.Get("Troupe-Event") != got.header.Get("Troupe-Event") {
		t.Errorf("receipt of the second: %v", again.header)
	}
	if n := r.count(`select count(*) from choreo.outbox where key = $1 and saga = $2`, p.PostID, saga); n != 2 {
		t.Errorf("%d facts, want PostCreated and PostDeleted", n)
	}
	var read postBody
	r.do("GET", path, "", nil).is(http.StatusOK).into(&read)
	if read.State != "deleted" || read.Title != "" || len(read.Contents) != 0 {
		t.Errorf("left: %+v", read)
	}
}

// The original rule, by one word in the flow: post and tags in one transaction,
// a tag error rolls the post back and the command answers 422.
func TestCreatePostWithTagsInTransaction(t *testing.T) {
	t.Parallel()
	flow, err := choreo.NewFlow(
		choreo.Command("sign-up").Emits(events.AccountRegistered{}),
		choreo.Command("create-post").Emits(events.PostCreated{}),
		choreo.On("create-tags", blog.CreateTags([]string{"forbidden"})).InTransaction().
			Emits(events.TagsCreated{}).FailsWith(events.TagsRejected{}),
	)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("postgres", embeddedtest.Database(t, handlers.Migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	r := &rig{t: t}
	if r.db, err = choreo.Open(t.Context(), pool, flow, choreo.Options{}); err != nil {
		t.Fatal(err)
	}
	if r.api, err = api.New(api.Options{DB: r.db, TokenKey: []byte("t"), SessionKey: sessionKey, CardKey: make([]byte, 32)}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.api)
	t.Cleanup(server.Close)
	r.url = server.URL
	_, token := r.signedIn("ana@example.com")
	facts := r.count(`select count(*) from choreo.outbox`)

	body := map[string]any{"title": "t", "contents": []any{}, "tagNames": []string{"go", "Forbidden"}}
	got := r.do("POST", "/posts", token, body).is(http.StatusUnprocessableEntity)
	if !strings.Contains(string(got.body), `the tag \"forbidden\" is not allowed`) {
		t.Errorf("the problem does not say why: %s", got.body)
	}
	if n := r.count(`select (select count(*) from blog_posts) + (select count(*) from tags)`); n != 0 {
		t.Errorf("%d rows of a command that was rolled back", n)
	}
	if n := r.count(`select count(*) from choreo.outbox`); n != facts {
		t.Errorf("%d facts of a command that was rolled back", n-facts)
	}
	body["tagNames"] = []string{"go"}
	r.do("POST", "/posts", token, body).is(http.StatusCreated)
	if n := r.count(`select count(*) from blog_post_tags where tag_name = 'go'`); n != 1 {
		t.Errorf("%d mappings, want 1", n)
	}
}
