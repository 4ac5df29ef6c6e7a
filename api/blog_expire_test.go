package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
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
