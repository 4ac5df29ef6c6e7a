package blog_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/domain/account"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/events"
	"troupe/handlers"
	"troupe/providers/blobs"
	"troupe/providers/mail"
	"troupe/sandbox/sandboxtest"
)

// troupe is the real flow over a database and a directory of the test's own, with
// a sandbox that takes its mail.
type troupe struct {
	*choreotest.Stage
	t       testing.TB
	blobs   *blobs.Store
	sandbox *sandboxtest.Sandbox
}

func open(t testing.TB) *troupe { return openFlow(t, handlers.Flow) }

func openFlow(t testing.TB, build func(handlers.Outside) (*choreo.Flow, error)) *troupe {
	t.Helper()
	b := &troupe{t: t, blobs: directory(t), sandbox: sandboxtest.Start(t)}
	mailer, err := mail.NewSMTP(b.sandbox.MailURL(), "blog@example.com")
	if err != nil {
		t.Fatal(err)
	}
	flow, err := build(handlers.Outside{
		Mail: mailer, Blobs: b.blobs, TokenKey: []byte("token key"), ForbiddenTags: []string{" Forbidden "},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Stage = choreotest.New(t, flow, handlers.Migrate)
	return b
}

func directory(t testing.TB) *blobs.Store {
	t.Helper()
	store, err := blobs.Open(t.Context(), "file://"+t.TempDir(), blobs.CreateBucket(), blobs.FailCorrupt())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// author signs up.
func (b *troupe) author(email string) (id string) {
	b.t.Helper()
	b.Given("sign-up", func(ctx context.Context, tx *choreo.Tx) error {
		a, err := account.SignUp(ctx, tx, account.Person{Email: email, Name: "Ana"}, []byte("hash"))
		if err == nil {
			id = a.ID
		}
		return err
	})
	return id
}

// upload puts a file, whose content is its name, in its temporary place.
func (b *troupe) upload(ownerID, name string) (a attachment.Attachment) {
	b.t.Helper()
	b.Given("upload-attachment", func(ctx context.Context, tx *choreo.Tx) error {
		a = attachment.Attachment{ID: tx.NewID(), OwnerID: ownerID, Name: name, MimeType: "text/plain", Size: int64(len(name))}
		if err := b.blobs.Put(ctx, a.TempKey(), a.MimeType, strings.NewReader(name)); err != nil {
			return err
		}
		return attachment.Upload(ctx, tx, a)
	})
	return a
}

// written is a post and what was said of it.
type written struct {
	id, saga string
	created  events.PostCreated
	files    []attachment.Attachment
}

// write writes a post that shows its files.
func (b *troupe) write(authorID string, tags []string, files ...attachment.Attachment) (w written) {
	b.t.Helper()
	w.files = files
	r := b.Given("create-post", func(ctx context.Context, tx *choreo.Tx) error {
		d := post.Draft{ID: tx.NewID(), AuthorID: authorID, Title: "A day out", TagNames: tags}
		w.id = d.ID
		for _, a := range files {
			d.Files, d.FileURLs = append(d.Files, a.ID), append(d.FileURLs, a.TempURL())
			d.Contents = append(d.Contents, json.RawMessage(`{"type": "image", "text":"![](`+a.TempURL()+`)"}`))
		}
		if _, err := attachment.Reserve(ctx, tx, d.ID, authorID, d.FileURLs); err != nil {
			return err
		}
		p, err := post.Create(tx, d)
		if err != nil {
			return err
		}
		return p.Save(ctx, tx)
	})
	w.saga = r.Saga
	var data []byte
	err := b.DB.Pool().QueryRowContext(b.t.Context(), `select data from choreo.outbox where event_id = $1`, r.EventID).Scan(&data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal(data, &w.created); err != nil {
		b.t.Fatal(err)
	}
	return w
}

// delete is what the author does.
func (b *troupe) delete(w written) events.PostDeleted {
	b.t.Helper()
	b.Given("delete-post", func(ctx context.Context, tx *choreo.Tx) error {
		p, err := post.Load(ctx, tx, w.id)
		if err != nil {
			return err
		}
		tx.JoinSaga(p.Saga)
		p.Delete()
		return p.Save(ctx, tx)
	})
	return events.PostDeleted{PostID: w.id}
}

// withdraw takes the post back, and gives the fact that comes of it.
func (b *troupe) withdraw(w written) (f events.PostWithdrawn) {
	b.t.Helper()
	b.When("withdraw-post", events.TagsRejected{PostID: w.id, Reason: "no such tag"}, w.saga).Read(&f)
	return f
}

func (b *troupe) exec(query string, args ...any) {
	b.t.Helper()
	if _, err := b.DB.Pool().ExecContext(b.t.Context(), query, args...); err != nil {
		b.t.Fatal(err)
	}
}

// due lets the wait of a step be over.
func (b *troupe) due(r *choreotest.Result) {
	b.t.Helper()
	b.exec(`update choreo.steps set due_at = due_at - interval '1 hour' where event_id = $1`, r.EventID())
}

// old makes a step older than any of them may become.
func (b *troupe) old(r *choreotest.Result) {
	b.t.Helper()
	b.due(r)
	b.exec(`update choreo.steps set begun_at = begun_at - interval '30 days' where event_id = $1`, r.EventID())
}

func (b *troupe) read(w written) *post.Reading {
	b.t.Helper()
	r, err := post.Find(b.t.Context(), b.DB.Pool(), w.id)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// isState checks the post and its tags.
func (b *troupe) isState(w written, state post.State, tags ...string) {
	b.t.Helper()
	if r := b.read(w); r.State != state || !slices.Equal(r.Tags, tags) {
		b.t.Errorf("the post is %s with tags %q, want %s with %q", r.State, r.Tags, state, tags)
	}
}

// isInPost checks that rows, URLs, mappings and copies of the files are those
// of the post, or all temporary.
func (b *troupe) isInPost(w written, want bool) {
	b.t.Helper()
	r := b.read(w)
	files, err := attachment.List(b.t.Context(), b.DB.Pool(), r.Files)
	if err != nil || len(files) != len(w.files) {
		b.t.Fatalf("%d attachments, want %d; %v", len(files), len(w.files), err)
	}
	for i, a := range files {
		url, postID := a.TempURL(), ""
		if want {
			url, postID = a.PostURL(w.id), w.id
		}
		if contents := `{"type": "image", "text":"![](` + url + `)"}`; string(r.Contents[i]) != contents {
			b.t.Errorf("contents %s, want %s", r.Contents[i], contents)
		}
		if a.PostID != postID {
			b.t.Errorf("attachment %s stands with post %q, want %q", a.Name, a.PostID, postID)
		}
		if b.object(a.PostKey(w.id)) != want {
			b.t.Errorf("a copy of %s: %v, want %v", a.Name, !want, want)
		}
		if !b.object(a.TempKey()) {
			b.t.Errorf("the temporary %s is gone", a.Name)
		}
	}
	mapped := b.Count(`select count(*) from blog_post_attachments where post_id = $1`, w.id)
	if wanted := map[bool]int{true: len(files)}[want]; mapped != wanted {
		b.t.Errorf("%d attachments are mapped, want %d", mapped, wanted)
	}
}

// isGone checks that nothing is left of the post's files.
func (b *troupe) isGone(w written) {
	b.t.Helper()
	for _, a := range w.files {
		if b.object(a.PostKey(w.id)) || b.object(a.TempKey()) {
			b.t.Errorf("%s is left", a.Name)
		}
	}
	for _, table := range []string{"attachments", "blog_post_attachments", "blog_post_files"} {
		if n := b.Count(`select count(*) from `+table+` where post_id = $1`, w.id); n != 0 {
			b.t.Errorf("%d rows are left in %s", n, table)
		}
	}
	if files, err := attachment.List(b.t.Context(), b.DB.Pool(), ids(w.files)); err != nil || len(files) != 0 {
		b.t.Errorf("%d attachments are left; %v", len(files), err)
	}
}

// object tells whether there is one, and checks that it is whole.
func (b *troupe) object(key string) bool {
	b.t.Helper()
	there, err := b.blobs.Exists(b.t.Context(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	if !there {
		return false
	}
	r, err := b.blobs.NewReader(b.t.Context(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil || !strings.HasSuffix(key, string(data)) {
		b.t.Errorf("%s holds %q, %v", key, data, err)
	}
	return true
}

func ids(files []attachment.Attachment) (all []string) {
	for _, a := range files {
		all = append(all, a.ID)
	}
	return all
}
