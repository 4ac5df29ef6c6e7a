// Package post is a blog post: what its author asked for, and what became of
// it. It knows its tags and files by name and id; both are aggregates of their
// own, and no row of theirs is written here.
package post

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"troupe/choreo"
	"troupe/events"
)

// Limits of a post.
const (
	MaxContents = 512 << 10 // bytes of the JSON array
	MaxTitle    = 200       // characters
	MaxTags     = 32
	MaxFiles    = 64
)

// State of a post.
type State string

// A post is processing until all it asked for is done. Withdrawn and deleted
// are for ever.
const (
	Processing State = "processing"
	Published  State = "published"
	Withdrawn  State = "withdrawn" // what it asked for could not be done
	Deleted    State = "deleted"   // by its author
)

var (
	// ErrNotFound is a post that is not there.
	ErrNotFound = errors.New("no such post")

	// ErrContents is more than a post may hold.
	ErrContents = fmt.Errorf("contents is larger than %d KiB", MaxContents>>10)
)

// titleError is a title that breaks the rule. It names its field.
type titleError struct{}

func (titleError) Field() string { return "title" }
func (titleError) Error() string {
	return fmt.Sprintf("a title has 1 to %d characters, none of them a control character", MaxTitle)
}

// Draft is what an author asks for.
type Draft struct {
	ID       string // of the post that it becomes
	AuthorID string
	Title    string
	Contents []json.RawMessage // any JSON objects
	TagNames []string          // folded, each once
	Files    []string          // attachment ids
	FileURLs []string          // where they stand, in the same order
}

// Post is the aggregate.
type Post struct {
	ID        string
	AuthorID  string
	Title     string
	Contents  []json.RawMessage
	TagNames  []string // asked for, folded
	Files     []string // asked for: attachment ids
	State     State
	Reason    string // of the withdrawal
	Saga      string // that created it
	CreatedAt time.Time

	mailEvent string // that the mail to the author answers, empty before it
	stored    string // the contents as they are in the row, empty before it
	raised    []choreo.Fact
}

// Create makes a post out of a draft. It is processing, and readable as it is.
func Create(tx *choreo.Tx, d Draft) (*Post, error) {
	title := strings.TrimSpace(d.Title)
	if n := utf8.RuneCountInString(title); n == 0 || n > MaxTitle || strings.ContainsFunc(title, unicode.IsControl) {
		return nil, titleError{}
	}
	if len(array(d.Contents)) > MaxContents {
		return nil, ErrContents
	}
	// Empty lists, not missing ones, in the row and in the fact.
	d.Contents, d.TagNames = append([]json.RawMessage{}, d.Contents...), append([]string{}, d.TagNames...)
	d.Files, d.FileURLs = append([]string{}, d.Files...), append([]string{}, d.FileURLs...)
	p := &Post{
		ID: d.ID, AuthorID: d.AuthorID, Title: title, Contents: d.Contents, TagNames: d.TagNames, Files: d.Files,
		State: Processing, Saga: tx.Saga(), CreatedAt: tx.Now(),
	}
	p.raise(events.PostCreated{
		PostID: p.ID, AuthorID: p.AuthorID, Title: p.Title, Contents: p.Contents, TagNames: p.TagNames, FileURLs: d.FileURLs,
	})
	return p, nil
}

func (p *Post) raise(f choreo.Fact) { p.raised = append(p.raised, f) }

// Publish ends the processing of a post that has all it asked for.
func (p *Post) Publish() {
	if p.State == Processing {
		p.State = Published
		p.raise(events.PostPublished{PostID: p.ID})
	}
}

// Withdraw ends the processing of a post that cannot have what it asked for.
func (p *Post) Withdraw(reason string) {
	if p.State == Processing {
		p.State, p.Reason = Withdrawn, reason
		p.raise(events.PostWithdrawn{PostID: p.ID, AuthorID: p.AuthorID, Reason: reason})
	}
}

// Delete takes back a post that is processing or published, for its author.
// Nothing is left of what it said.
func (p *Post) Delete() {
	if p.IsOver() {
		return
	}
	p.State, p.Title, p.Contents = Deleted, "", nil
	p.raise(events.PostDeleted{PostID: p.ID})
}

// MailFor takes on the mail to the author of a withdrawn post for the event
// that asks for it: once, whatever other event asks later.
func (p *Post) MailFor(eventID string) bool {
	if p.State != Withdrawn || p.mailEvent != "" && p.mailEvent != eventID {
		return false
	}
	p.mailEvent = eventID
	return true
}

// IsOver tells whether the post is withdrawn or deleted.
func (p *Post) IsOver() bool { return p.State == Withdrawn || p.State == Deleted }

// TakeFiles notes that the files stand in the post's folder: urls are their
// temporary URLs and the final ones. Only a post in processing does.
func (p *Post) TakeFiles(ids []string, urls map[string]string) {
	if p.State == Processing {
		p.Contents = replaceURLs(p.Contents, urls)
		p.raise(events.AttachmentsRelocated{PostID: p.ID, AttachmentIDs: ids})
	}
}

// ReturnFiles notes that nothing stands in the post's folder any more: urls
// are the final URLs of its files and the temporary ones. Only a post that is
// over does.
func (p *Post) ReturnFiles(urls map[string]string) {
	if p.IsOver() {
		p.Contents = replaceURLs(p.Contents, urls)
		p.raise(events.AttachmentsReturned{PostID: p.ID})
	}
}
