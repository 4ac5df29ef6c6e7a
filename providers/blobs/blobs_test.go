package blobs_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"troupe/providers/blobs"
)

// s3URL is the bucket that the S3 driver is tested on, such as
// s3://troupe-test?endpoint=http://127.0.0.1:7070, with the credentials in
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
const s3URL = "TROUPE_TEST_S3_URL"

// eachStore runs a test on a directory, and on S3 where there is one.
func eachStore(t *testing.T, test func(t *testing.T, s *blobs.Store, prefix string), opts ...blobs.Option) {
	t.Helper()
	open := func(t *testing.T, url string) *blobs.Store {
		t.Helper()
		s, err := blobs.Open(t.Context(), url, append(opts, blobs.CreateBucket())...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		test(t, open(t, "file://"+filepath.Join(t.TempDir(), "a", "b")), "")
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv(s3URL)
		if url == "" {
			t.Skip("no S3 to test on: set " + s3URL)
		}
		test(t, open(t, url), filepath.Base(t.TempDir())+strings.ReplaceAll(t.Name(), "/", "-")+"/")
	})
}

func put(t *testing.T, s *blobs.Store, key, contentType, content string) {
	t.Helper()
	if err := s.Put(t.Context(), key, contentType, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

// content is what a key holds, "absent" when nothing, with its content type.
func content(t *testing.T, s *blobs.Store, key string) string {
	t.Helper()
	o, err := s.NewReader(t.Context(), key)
	found, existsErr := s.Exists(t.Context(), key)
	if existsErr != nil || found != (err == nil) {
		t.Errorf("%s: reading says %v, Exists says %v, %v", key, err, found, existsErr)
	}
	if errors.Is(err, blobs.ErrNotFound) {
		return "absent"
	}
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	all, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != o.Size || o.ModTime.IsZero() {
		t.Errorf("%s: read %d bytes of %d, changed at %s", key, len(all), o.Size, o.ModTime)
	}
	return o.ContentType + " " + string(all)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		for name, want := range map[string]string{
			"attachments/temp/1/photo.png":  "image/png a photo",
			"attachments/temp/2/empty":      "text/plain ",
			"attachments/temp/3/Grüße ☃%.a": "text/plain; charset=utf-8 hello",
			"x.attrs":                       "text/plain a",
			"x.attrs_":                      "text/plain b",
			"x":                             "text/plain c",
			"d.attrs/e.attrs__":             "text/plain d",
			"large":                         "application/octet-stream " + strings.Repeat("0123456789abcdef", 1<<16),
		} {
			key := prefix + name
			contentType, body, _ := strings.Cut(want, " ")
			if strings.HasPrefix(body, "charset") {
				contentType, body = "text/plain; charset=utf-8", "hello"
			}
			if got := content(t, s, key); got != "absent" {
				t.Errorf("%s before it was put: %q", key, got)
			}
			put(t, s, key, contentType, "replaced")
			put(t, s, key, contentType, body)
			if got := content(t, s, key); got != want {
				t.Errorf("%s: %.60q, want %.60q", key, got, want)
			}
			if err := s.Copy(t.Context(), prefix+"copy/"+name, key); err != nil {
				t.Error(err)
			}
			for range 2 {
				if err := s.Delete(t.Context(), key); err != nil {
					t.Error(err)
				}
			}
			if got := content(t, s, key); got != "absent" {
				t.Errorf("%s after it was deleted: %q", key, got)
			}
			if got := content(t, s, prefix+"copy/"+name); got != want {
				t.Errorf("the copy of %s: %.60q, want %.60q", key, got, want)
			}
		}
	})
}

func TestCopyAgain(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		src, dst := prefix+"temp/a", prefix+"final/a"
		put(t, s, src, "text/plain", "one")
		copyOnce := func(step, want string) {
			t.Helper()
			if err := s.Copy(t.Context(), dst, src); err != nil {
				t.Errorf("%s: %v", step, err)
			}
			if got := content(t, s, dst); got != want {
				t.Errorf("%s: %q, want %q", step, got, want)
			}
		}
		copyOnce("first", "text/plain one")
		copyOnce("again", "text/plain one")
		put(t, s, src, "text/html", "one")
		copyOnce("of another type", "text/html one")
		put(t, s, src, "text/html", "two")
		copyOnce("of another content", "text/html two")
		if err := s.Delete(t.Context(), src); err != nil {
			t.Fatal(err)
		}
		copyOnce("with the source gone", "text/html two")
		if err := s.Delete(t.Context(), dst); err != nil {
			t.Fatal(err)
		}
		if err := s.Copy(t.Context(), dst, src); !errors.Is(err, blobs.ErrNotFound) || errors.Is(err, blobs.ErrRefused) {
			t.Errorf("with both gone: %v", err)
		}
	})
}

func TestCorruptFails(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		src := prefix + "temp/1/corrupt-photo.png"
		put(t, s, src, "image/png", "x")
		if err := s.Copy(t.Context(), prefix+"final/1", src); !errors.Is(err, blobs.ErrRefused) {
			t.Errorf("got %v", err)
		}
		if got := content(t, s, prefix+"final/1"); got != "absent" {
			t.Errorf("it was copied: %q", got)
		}
	}, blobs.FailCorrupt())
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		put(t, s, prefix+"corrupt", "image/png", "x")
		if err := s.Copy(t.Context(), prefix+"final", prefix+"corrupt"); err != nil {
			t.Errorf("without the hook: %v", err)
		}
	})
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		put(t, s, prefix+"good", "text/plain", "x")
		for _, key := range []string{
			"", "/", "/etc/passwd", "..", "../a", "a/../../b", "a/..", "a/./b", "./a", "a//b", "a/", "a\\..\\b", "a\x00b", "a\nb",
			"a\xffb", strings.Repeat("a", 201), strings.Repeat("a/", 600) + "a",
		} {
			for what, err := range map[string]error{
				"put":         s.Put(t.Context(), key, "text/plain", strings.NewReader("x")),
				"copied to":   s.Copy(t.Context(), key, prefix+"good"),
				"copied from": s.Copy(t.Context(), prefix+"bad", key),
				"deleted":     s.Delete(t.Context(), key),
			} {
				if !errors.Is(err, blobs.ErrRefused) {
					t.Errorf("%q was %s: %v", key, what, err)
				}
			}
			if got := content(t, s, key); got != "absent" {
				t.Errorf("%q was read: %q", key, got)
			}
		}
	})
}

func TestPutIsAllOrNothing(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		torn := errors.New("the upload broke")
		err := s.Put(t.Context(), prefix+"a", "text/plain", io.MultiReader(strings.NewReader("half"), iotest.ErrReader(torn)))
		if !errors.Is(err, torn) {
			t.Errorf("got %v", err)
		}
		if got := content(t, s, prefix+"a"); got != "absent" {
			t.Errorf("it left %q", got)
		}
	})
}

// TestCopyWhileRead repeats a copy under the eyes of readers.
func TestCopyWhileRead(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		src, dst := prefix+"src", prefix+"dst"
		put(t, s, src, "image/png", "x")
		if err := s.Copy(t.Context(), dst, src); err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 25 {
					if err := s.Copy(t.Context(), dst, src); err != nil {
						t.Error(err)
					}
				}
			})
			all.Go(func() {
				for range 25 {
					if got := content(t, s, dst); got != "image/png x" {
						t.Errorf("read %q", got)
					}
				}
			})
		}
		all.Wait()
	})
}

func TestSweep(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		for _, key := range []string{"old/1/a", "old/2/b.attrs", "old/3/spared", "other/4"} {
			put(t, s, prefix+key, "text/plain", key)
		}
		none := func(string) (bool, error) { return false, nil }
		if n, err := s.Sweep(t.Context(), prefix+"old/", time.Now().Add(-time.Hour), none); n != 0 || err != nil {
			t.Errorf("of objects that are young %d were swept, %v", n, err)
		}
		failing := errors.New("cannot say")
		if n, err := s.Sweep(t.Context(), prefix+"old/", time.Now().Add(time.Hour), func(string) (bool, error) { return false, failing }); n != 0 || !errors.Is(err, failing) {
			t.Errorf("where nobody can say what to spare %d were swept, %v", n, err)
		}
		n, err := s.Sweep(t.Context(), prefix+"old/", time.Now().Add(time.Hour), func(key string) (bool, error) {
			return strings.HasSuffix(key, "spared"), nil
		})
		if n != 2 || err != nil {
			t.Errorf("%d were swept, %v; want two", n, err)
		}
		for key, want := range map[string]string{
			"old/1/a": "absent", "old/2/b.attrs": "absent", "old/3/spared": "text/plain old/3/spared", "other/4": "text/plain other/4",
		} {
			if got := content(t, s, prefix+key); got != want {
				t.Errorf("%s is %s; want %s", key, got, want)
			}
		}
	})
}

func TestServeContent(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, s *blobs.Store, prefix string) {
		put(t, s, prefix+"a", "text/plain", "0123456789")
		o, err := s.NewReader(t.Context(), prefix+"a")
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", "bytes=2-4")
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", o.ContentType)
		http.ServeContent(w, r, "", o.ModTime, o)
		if w.Code != http.StatusPartialContent || w.Body.String() != "234" {
			t.Errorf("served %d %q", w.Code, w.Body)
		}
	})
}

// TestAStoreThatIsNotThere must not look like objects that are not there: a
// caller gives those up for good.
func TestAStoreThatIsNotThere(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, s *blobs.Store) {
		t.Helper()
		for what, err := range map[string]error{
			"copying": s.Copy(t.Context(), "a", "b"), "deleting": s.Delete(t.Context(), "a"),
		} {
			if err == nil || errors.Is(err, blobs.ErrNotFound) || errors.Is(err, blobs.ErrRefused) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "volume")
		if _, err := blobs.Open(t.Context(), "file://"+dir); err == nil {
			t.Error("opened a directory that is not there")
		}
		s, err := blobs.Open(t.Context(), "file://"+dir, blobs.CreateBucket())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		check(t, s)
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		url := os.Getenv(s3URL)
		if url == "" {
			t.Skip("no S3 to test on: set " + s3URL)
		}
		bucket, _, _ := strings.Cut(strings.TrimPrefix(url, "s3://"), "?")
		s, err := blobs.Open(t.Context(), strings.Replace(url, bucket, bucket+"-not-there", 1))
		if err != nil {
			t.Fatal(err)
		}
		check(t, s)
	})
}

func TestCreateBucketAtOnce(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"file://" + filepath.Join(t.TempDir(), "x", "y"), os.Getenv(s3URL)} {
		if url == "" {
			t.Log("not on S3: set " + s3URL)
			continue
		}
		url = strings.Replace(url, "?", "-at-once?", 1)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				s, err := blobs.Open(t.Context(), url, blobs.CreateBucket())
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Put(t.Context(), "a", "text/plain", bytes.NewReader(nil)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "mem://", "/path", "file://", "file:///", "file://host/path", "file:///path?x=y", "s3://", "s3://b?nonsense=1", "s3://b?use_path_style=maybe"} {
		if _, err := blobs.Open(t.Context(), url); err == nil {
			t.Errorf("opened %q", url)
		}
	}
}
