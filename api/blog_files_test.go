package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"

	"troupe/api"
	"troupe/choreo"
	"troupe/events"
	"troupe/providers/blobs"
)

type attachmentBody struct {
	AttachmentID, URL, Name, MimeType string
	Size                              int64
}

const pixel = "\x89PNG\r\n\x1a\n and what a picture holds"

// withBlobs gives the API a directory of the test's own.
func withBlobs(t *testing.T) func(*api.Options) {
	t.Helper()
	store, err := blobs.Open(t.Context(), "file://"+t.TempDir(), blobs.CreateBucket())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return func(o *api.Options) { o.Blobs = store }
}

// upload sends a multipart form with one file.
func (r *rig) upload(token, field, name, content string) *reply {
	r.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile(field, name)
	if err == nil {
		_, err = part.Write([]byte(content))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		r.t.Fatal(err)
	}
	return r.form(token, w.FormDataContentType(), body.String())
}

func (r *rig) form(token, contentType, body string) *reply {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/attachments", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return r.send(req)
}

func (r *rig) uploaded(token, name, content string) (a attachmentBody) {
	r.t.Helper()
	r.upload(token, "file", name, content).is(http.StatusCreated).into(&a)
	return a
}

// count runs a query for one number.
func (r *rig) count(query string, args ...any) (n int) {
	r.t.Helper()
	if err := r.db.Pool().QueryRowContext(r.t.Context(), query, args...).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestUploadAttachment(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	id, token := r.signedIn("ana@example.com")
	var a attachmentBody
	got := r.upload(token, "file", `C:\pictures\my "Über" cat.png`, pixel).is(http.StatusCreated).into(&a)
	want := attachmentBody{a.AttachmentID, a.URL, "my-Über-cat.png", "image/png", int64(len(pixel))}
	if a != want || a.URL != "/files/temp/"+a.AttachmentID+"/my-%C3%9Cber-cat.png" {
		t.Errorf("attachment %+v, want %+v", a, want)
	}
	if got.header.Get("Troupe-Event") == "" || got.header.Get("Troupe-Saga") != "" {
		t.Errorf("receipt: %v", got.header)
	}
	var fact events.AttachmentUploaded
	r.fact(a.AttachmentID, &fact)
	if fact != (events.AttachmentUploaded{AttachmentID: a.AttachmentID, AccountID: id, MimeType: "image/png", Size: a.Size}) {
		t.Errorf("fact %+v", fact)
	}

	file := r.do("GET", a.URL, "", nil).is(http.StatusOK)
	if string(file.body) != pixel {
		t.Errorf("the file came back as %q", file.body)
	}
	for name, want := range map[string]string{
		"Content-Type":            "image/png",
		"X-Content-Type-Options":  "nosniff",
		"Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
		"Content-Disposition":     "inline; filename*=utf-8''my-%C3%9Cber-cat.png",
		"Cache-Control":           "no-cache",
	} {
		if got := file.header.Get(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	text := r.uploaded(token, "notes.html", "only text")
	if got := r.do("GET", text.URL, "", nil).is(http.StatusOK).header; text.MimeType != "text/plain" ||
		got.Get("Content-Disposition") != "attachment; filename=notes.html" || got.Get("Content-Type") != "text/plain" {
		t.Errorf("%+v is served with %v", text, got)
	}
}

// fact reads the fact of its type with a key.
func (r *rig) fact(key string, into choreo.Fact) {
	r.t.Helper()
	var data []byte
	err := r.db.Pool().QueryRowContext(r.t.Context(), `select data from choreo.outbox where key = $1 and type = $2`,
		key, into.FactType()).Scan(&data)
	if err = errors.Join(err, json.Unmarshal(data, into)); err != nil {
		r.t.Fatalf("reading %s of %s: %v", into.FactType(), key, err)
	}
}

func TestServedFiles(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t))
	_, token := r.signedIn("ana@example.com")
	a := r.uploaded(token, "a.png", pixel)
	request := func(method, header, value string) *reply {
		req, err := http.NewRequestWithContext(t.Context(), method, r.url+a.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header, value)
		return r.send(req)
	}
	if got := request("GET", "Range", "bytes=1-3").is(http.StatusPartialContent); string(got.body) != "PNG" {
		t.Errorf("a range: %q", got.body)
	}
	if got := request("HEAD", "Accept", "*/*").is(http.StatusOK); got.header.Get("Content-Length") != fmt.Sprint(len(pixel)) {
		t.Errorf("HEAD: %v", got.header)
	}
	request("GET", "If-None-Match", `"`+a.AttachmentID+`"`).is(http.StatusNotModified)

	folder := "/files/temp/" + a.AttachmentID
	for _, path := range []string{
		folder + "/b.png", folder + "/..%2fa.png", folder + "/a.png%00", folder, folder + "/",
		"/files/temp/x/a.png", "/files/temp/%00/a.png", "/files/temp/../../etc/passwd",
		"/files/blog-post/x/" + a.AttachmentID + "/a.png", "/files/blog-post//" + a.AttachmentID + "/a.png",
	} {
		if got := r.do("GET", path, "", nil); got.status != http.StatusNotFound {
			t.Errorf("GET %s: %d", path, got.status)
		}
	}
}

func TestUploadRules(t *testing.T) {
	t.Parallel()
	r := start(t, withBlobs(t), func(o *api.Options) { o.MaxAttachment = 2000 })
	_, token := r.signedIn("ana@example.com")
	large := strings.Repeat("x", 2001)
	for name, c := range map[string]struct {
		got    *reply
		status int
		at     []string
	}{
		"without a session": {r.upload("", "file", "a.png", pixel), 401, nil},
		"by staff":          {r.upload(staffToken, "file", "a.png", pixel), 403, nil},
		"HTML":              {r.upload(token, "file", "a.png", "<html><script>alert(1)</script>"), 422, []string{"body.file"}},
		"SVG":               {r.upload(token, "file", "a.png", `<?xml version="1.0"?><svg onload="x"/>`), 422, []string{"body.file"}},
		"a program":         {r.upload(token, "file", "a.png", "\x7fELF\x02\x01\x01\x00\x00"), 422, []string{"body.file"}},
		"empty":             {r.upload(token, "file", "a.png", ""), 422, []string{"body.file"}},
		"too large":         {r.upload(token, "file", "a.txt", large), 413, nil},
		"far too large":     {r.upload(token, "file", "a.txt", strings.Repeat(large, 100)), 413, nil},
		"another field":     {r.upload(token, "photo", "a.png", pixel), 422, []string{"body.photo"}},
		"no name":           {r.upload(token, "file", "", pixel), 422, []string{"body.file"}},
		"no part":           {r.form(token, "multipart/form-data; boundary=x", "--x--\r\n"), 422, []string{"body.file"}},
		"two files": {r.form(token, "multipart/form-data; boundary=x", part("file", "a")+part("file", "b")+"--x--\r\n"),
			422, []string{"body.file"}},
		"an unknown field": {r.form(token, "multipart/form-data; boundary=x", part("file", "a")+part("more", "b")+"--x--\r\n"),
			422, []string{"body.more"}},
		"cut off":      {r.form(token, "multipart/form-data; boundary=x", part("file", "a")[:70]), 400, nil},
		"no boundary":  {r.form(token, "multipart/form-data", "x"), 400, nil},
		"no multipart": {r.form(token, "application/json", "{}"), 415, nil},
	} {
		c.got.is(c.status)
		if got := c.got.locations(); !slices.Equal(got, c.at) {
			t.Errorf("%s: at %q, want %q: %s", name, got, c.at, c.got.body)
		}
	}
	if n := r.count(`select count(*) from attachments`); n != 0 {
		t.Errorf("%d attachments of refused uploads", n)
	}
	r.upload(token, "file", "a.txt", large[:2000]).is(http.StatusCreated)
}

// part is one part of a form with the boundary x.
func part(field, content string) string {
	return "--x\r\nContent-Disposition: form-data; name=\"" + field + "\"; filename=\"a.txt\"\r\n\r\n" + content + "\r\n"
}
