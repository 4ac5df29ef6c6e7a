package api_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"troupe/api"
	"troupe/providers/blobs"
)

func TestTemporaryFilesExpire(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	_, token := r.signedIn("ana@example.com")
	old, young := r.uploaded(token, "old.png", pixel), r.uploaded(token, "young.png", pixel)
	used := r.uploaded(token, "used.png", pixel)
	r.do(http.MethodPost, "/posts", token, map[string]any{ // it is in processing: nobody relocates its file here
		"title": "A title", "contents": []any{}, "tagNames": []string{}, "fileUrls": []string{used.URL},
	}).is(http.StatusCreated)
	if _, err := r.db.Pool().Exec(`update attachments set uploaded_at = uploaded_at - interval '49 hours' where attachment_id <> $1`,
		young.AttachmentID); err != nil {
		t.Fatal(err)
	}
	n, err := r.api.ExpireAttachments(t.Context())
	if err != nil || n != 1 {
		t.Fatalf("%d attachments expired, %v; want one", n, err)
	}
	for a, status := range map[attachmentBody]int{old: http.StatusNotFound, young: http.StatusOK, used: http.StatusOK} {
		r.do(http.MethodGet, a.URL, token, nil).is(status)
	}
	const said = `select count(*) from choreo.outbox where type = 'attachments.AttachmentExpired.v1'`
	if r.count(said) != 1 || r.count(said+` and key = $1`, old.AttachmentID) != 1 {
		t.Error("what expired is said, and nothing else")
	}
	if n, err := r.api.ExpireAttachments(t.Context()); err != nil || n != 0 {
		t.Errorf("a second sweep: %d, %v", n, err)
	}
	if n := r.count(`select count(*) from attachments where attachment_id = any (string_to_array($1, ','))`,
		strings.Join([]string{young.AttachmentID, used.AttachmentID}, ",")); n != 2 {
		t.Errorf("%d rows are left, want two", n)
	}
}

// Where the store has no rule, the temporary objects go too that no file needs: of
// files that stand in a post, and of uploads that never ended.
func TestTemporaryObjectsThatNobodyNeedsAreSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, err := blobs.Open(t.Context(), "file://"+dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	r := start(t, func(o *api.Options) { o.Blobs = store })
	_, token := r.signedIn("ana@example.com")
	moved, recent, temporary := r.uploaded(token, "moved.png", pixel), r.uploaded(token, "recent.png", pixel), r.uploaded(token, "temporary.png", pixel)
	if _, err := r.db.Pool().Exec(`update attachments set post_id = 'p' where attachment_id in ($1, $2)`, moved.AttachmentID, recent.AttachmentID); err != nil {
		t.Fatal(err)
	}
	key := func(a attachmentBody) string { return strings.TrimPrefix(a.URL, "/") }
	const orphan = "files/temp/01890000-0000-7000-8000-000000000000/orphan.png"
	if err := store.Put(t.Context(), orphan, "image/png", strings.NewReader(pixel)); err != nil {
		t.Fatal(err)
	}
	then := time.Now().Add(-49 * time.Hour)
	for _, k := range []string{key(moved), key(temporary), orphan} {
		if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(k)), then, then); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.api.ExpireAttachments(t.Context()); err != nil || n != 0 {
		t.Fatalf("%d attachments expired, %v; want none", n, err)
	}
	for k, want := range map[string]bool{key(moved): false, key(recent): true, key(temporary): true, orphan: false} {
		if there, err := store.Exists(t.Context(), k); err != nil || there != want {
			t.Errorf("%s is there: %t, %v; want %t", k, there, err, want)
		}
	}
}

func TestOneOfAllProcessesHasTheTurn(t *testing.T) {
	t.Parallel()
	r := start(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	turns := 0
	for range 8 {
		wg.Go(func() {
			ours, err := r.db.Turn(t.Context(), "sweep", time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if ours {
				turns++
			}
		})
	}
	wg.Wait()
	if turns != 1 {
		t.Errorf("%d processes have the turn", turns)
	}
	if _, err := r.db.Pool().Exec(`update choreo.leases set until = until - interval '1 hour' where name = 'sweep'`); err != nil {
		t.Fatal(err)
	}
	if ours, err := r.db.Turn(t.Context(), "sweep", time.Hour); err != nil || !ours {
		t.Errorf("an hour later it is somebody's turn again: %t, %v", ours, err)
	}
}
