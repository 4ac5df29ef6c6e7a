// Package attachment is the files that people upload for their posts. A file
// is temporary first; a post that uses it takes it into its own folder. The
// bytes stand in the blob store under Key, never in a row.
package attachment

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Usable is how long after its upload a temporary file can be put into a post.
const Usable = 24 * time.Hour

// ErrNotFound is an attachment that is not there.
var ErrNotFound = errors.New("no such attachment")

// Files that are not taken.
var (
	ErrType  = errors.New("the file is neither an image (PNG, JPEG, GIF, WebP, BMP, ICO), nor a PDF, nor plain text")
	ErrEmpty = errors.New("the file is empty")
)

// Attachment is an uploaded file.
type Attachment struct {
	ID         string
	OwnerID    string
	Name       string // as CleanName makes it
	MimeType   string // as TypeOf found it
	Size       int64  // bytes
	UploadedAt time.Time
	PostID     string // in whose folder it stands, empty while temporary
}

// TypeOf is the MIME type of a file that begins with head (512 bytes suffice),
// by its content: what a name or a client says is not believed. Types that a
// browser could run, such as HTML and SVG, are refused.
func TypeOf(head []byte) (string, error) {
	if len(head) == 0 {
		return "", ErrEmpty
	}
	mimeType, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if strings.HasPrefix(mimeType, "image/") || mimeType == "application/pdf" || mimeType == "text/plain" {
		return mimeType, nil
	}
	return "", ErrType
}

// The folders of the blob store, and of the URLs, which are "/" and the key.
const (
	tempFolder = "files/temp"
	postFolder = "files/blog-post"
)

// TempKey is where the file stands in the blob store after its upload. It may
// be gone once the file is older than Usable.
func (a Attachment) TempKey() string { return path.Join(tempFolder, a.ID, a.Name) }

// PostKey is where the file stands in the blob store for a post.
func (a Attachment) PostKey(postID string) string {
	return path.Join(postFolder, postID, a.ID, a.Name)
}

// TempURL is the absolute path of the temporary file's URL.
func (a Attachment) TempURL() string { return toURL(a.TempKey()) }

// PostURL is the absolute path of the URL that the file has in a post.
func (a Attachment) PostURL(postID string) string { return toURL(a.PostKey(postID)) }

// URL is where the file is served now, seen from a post: a file that another
// post has taken meanwhile is shown where it was before.
func (a Attachment) URL(postID string) string {
	if a.PostID == "" || a.PostID != postID {
		return a.TempURL()
	}
	return a.PostURL(postID)
}

func toURL(key string) string {
	segments := strings.Split(key, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return "/" + strings.Join(segments, "/")
}

// idOf is the id in a temporary URL, empty in any other text.
func idOf(rawURL string) string {
	rest, _ := strings.CutPrefix(rawURL, "/"+tempFolder+"/")
	id, _, _ := strings.Cut(rest, "/")
	if uuid.Validate(id) != nil {
		return ""
	}
	return id
}

var (
	errNotYours = errors.New("this is not the URL of a temporary file of yours: upload the file and send the URL from the answer")
	errTaken    = errors.New("another post uses this file: upload it again")
	errOld      = fmt.Errorf("this file was uploaded more than %d hours ago: upload it again", Usable/time.Hour)
)

// usableBy says why the file cannot be put into a post of the author now; kept
// are the files that are free for the post.
func (a Attachment) usableBy(authorID string, now time.Time, kept []string) error {
	switch {
	case a.OwnerID != authorID:
		return errNotYours
	case !slices.Contains(kept, a.ID):
		return errTaken
	case now.Sub(a.UploadedAt) > Usable:
		return errOld
	}
	return nil
}
