// Package blobs is the port to the object store: one adapter over
// gocloud.dev/blob, for a directory and for S3. It holds bytes by key and
// knows nothing of attachments. It imports nothing of the project.
package blobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"
)

var (
	// ErrNotFound is an object that is not there.
	ErrNotFound = errors.New("no such object")

	// ErrRefused is an operation that can never succeed, such as one on a
	// key that no store could hold.
	ErrRefused = errors.New("the object store refused")
)

// callTimeout bounds every operation but Put and Open, whose time depends on
// the size of the object: the caller's context bounds those.
const callTimeout = time.Minute

// Store is an object store. Every operation may be repeated. Errors other than
// ErrNotFound and ErrRefused are for now.
type Store struct {
	bucket *blob.Bucket
	// mapKey is how the driver spells a valid key.
	mapKey func(key string) string
	// there fails when the bucket itself is missing, which a driver does not
	// tell from a missing object.
	there       func(context.Context) error
	failCorrupt bool
	expires     bool // what Expire names goes by itself
}

// An Option changes what Open does.
type Option func(*options)

type options struct {
	createBucket, failCorrupt bool
	expire                    string // a prefix of keys
	after                     int    // days
}

// CreateBucket makes the directory or the bucket where there is none. Creating
// it twice, also at once, is fine.
func CreateBucket() Option { return func(o *options) { o.createBucket = true } }

// FailCorrupt is a hook for tests and the demo: copying an object with
// "corrupt" in its key is refused for good. Only embedded mode and the Compose
// file of the tests set it.
func FailCorrupt() Option { return func(o *options) { o.failCorrupt = true } }

// Expire has the objects below a prefix go so many days after they came, by a rule
// of the bucket, where the store has such rules; Expires tells.
func Expire(prefix string, days int) Option {
	return func(o *options) { o.expire, o.after = prefix, days }
}

// Expires tells whether the store itself lets go what Expire names. Elsewhere
// somebody has to sweep.
func (s *Store) Expires() bool { return s.expires }

// Open opens the store at url:
//
//   - file:///path/to/directory
//   - s3://bucket?region=eu-central-1, with credentials from the usual AWS_…
//     variables; &endpoint=http://host:port for another S3 than Amazon's,
//     which implies path-style addresses, and checksums only where required.
//
// Without CreateBucket it does not look whether the store is there.
func Open(ctx context.Context, url string, opts ...Option) (*Store, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	scheme, _, _ := strings.Cut(url, "://")
	var s *Store
	var err error
	switch scheme {
	case "file":
		s, err = openDirectory(url, o)
	case "s3":
		s, err = openS3(ctx, url, o)
	default:
		return nil, fmt.Errorf("the blob store's URL %q: write file:///directory or s3://bucket", url)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the blob store: %w", err)
	}
	s.failCorrupt = o.failCorrupt
	return s, nil
}

// Put stores what r gives under key, replacing what was there. The object is
// seen whole or not at all: an error from r leaves nothing behind.
func (s *Store) Put(ctx context.Context, key, contentType string, r io.Reader) error {
	if err := valid(key); err != nil {
		return fmt.Errorf("storing %q: %w", key, err)
	}
	// gocloud closes, and so completes, also what it could not read to the end,
	// unless its context has ended by then.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r = &tornReader{r, cancel}
	err := s.bucket.Upload(ctx, s.mapKey(key), r, &blob.WriterOptions{ContentType: contentType, DisableContentTypeDetection: true})
	if err != nil {
		return fmt.Errorf("storing %s: %w", key, err)
	}
	return nil
}

// tornReader cancels what it is read for when it breaks off.
type tornReader struct {
	io.Reader
	cancel context.CancelFunc
}

func (t *tornReader) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if err != nil && err != io.EOF {
		t.cancel()
	}
	return n, err
}

// Copy copies an object with its content type. When src is gone but dst is
// there, an earlier Copy did it. ErrNotFound: neither is there.
func (s *Store) Copy(ctx context.Context, dst, src string) error {
	if err := s.copy(ctx, dst, src); err != nil {
		return fmt.Errorf("copying %q to %q: %w", src, dst, err)
	}
	return nil
}

func (s *Store) copy(ctx context.Context, dst, src string) error {
	if err := errors.Join(valid(dst), valid(src)); err != nil {
		return err
	}
	if s.failCorrupt && strings.Contains(src, "corrupt") {
		return fmt.Errorf("the object is corrupt: %w", ErrRefused)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	same, err := s.same(ctx, dst, src)
	if err != nil || same {
		return err
	}
	err = s.bucket.Copy(ctx, s.mapKey(dst), s.mapKey(src), nil)
	if gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	if err := s.there(ctx); err != nil {
		return err
	}
	return ErrNotFound
}

// same tells whether dst is what a Copy of src would make. Copying onto an
// object that is being read is not atomic in a directory (its attributes are
// a file of their own), so a repeated Copy leaves it alone.
func (s *Store) same(ctx context.Context, dst, src string) (bool, error) {
	there, err := s.bucket.Attributes(ctx, s.mapKey(dst))
	if err != nil {
		return false, nil //nolint:nilerr // absent, or unreadable: to be written anew
	}
	here, err := s.bucket.Attributes(ctx, s.mapKey(src))
	if gcerrors.Code(err) == gcerrors.NotFound {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return here.Size == there.Size && here.ContentType == there.ContentType &&
		len(here.MD5) > 0 && bytes.Equal(here.MD5, there.MD5), nil
}

// Delete removes an object. One that is not there is fine.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := valid(key); err != nil {
		return fmt.Errorf("deleting %q: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.bucket.Delete(ctx, s.mapKey(key))
	if gcerrors.Code(err) == gcerrors.NotFound {
		err = s.there(ctx)
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}

// Sweep deletes the objects below a prefix that came before a time, but for those
// whose keys are to be spared, and tells how many. It is for stores that do not let
// them go by a rule: see Expires. Keys are given as the driver spells them.
func (s *Store) Sweep(ctx context.Context, prefix string, before time.Time, spare func(key string) (bool, error)) (n int, err error) {
	list := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		object, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("listing objects below %s: %w", prefix, err)
		}
		if !object.ModTime.Before(before) {
			continue
		}
		if spared, err := spare(object.Key); err != nil || spared {
			if err != nil {
				return n, err
			}
			continue
		}
		if err := s.bucket.Delete(ctx, object.Key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
			return n, fmt.Errorf("deleting %s: %w", object.Key, err)
		}
		n++
	}
}

// Exists tells whether there is an object. No object has an invalid key.
func (s *Store) Exists(ctx context.Context, key string) (bool, error) {
	if valid(key) != nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := s.bucket.Exists(ctx, s.mapKey(key))
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", key, err)
	}
	return found, nil
}

// Object is an object being read. It can be handed to http.ServeContent.
type Object struct {
	io.ReadSeekCloser
	ContentType string
	Size        int64 // bytes
	ModTime     time.Time
}

// NewReader opens an object for reading; the caller closes it. The context
// bounds the reading too. ErrNotFound also for a key that is not valid, so
// that a key may come straight from a URL.
func (s *Store) NewReader(ctx context.Context, key string) (*Object, error) {
	if valid(key) != nil {
		return nil, fmt.Errorf("reading %q: %w", key, ErrNotFound)
	}
	r, err := s.bucket.NewReader(ctx, s.mapKey(key), nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("reading %s: %w", key, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return &Object{ReadSeekCloser: r, ContentType: r.ContentType(), Size: r.Size(), ModTime: r.ModTime()}, nil
}

// Close releases the store. Readers still open are the caller's to close.
func (s *Store) Close() error { return s.bucket.Close() }
