package events

import "encoding/json"

// PostCreated: An author wrote a post. It can be read at once, with its temporary URLs.
type PostCreated struct {
	PostID   string            `json:"postId"`
	AuthorID string            `json:"authorId"`
	Title    string            `json:"title"`
	Contents []json.RawMessage `json:"contents"`
	TagNames []string          `json:"tagNames"`
	FileURLs []string          `json:"fileUrls"`
}

func (PostCreated) FactType() string  { return "posts.PostCreated.v1" }
func (f PostCreated) Key() string     { return f.PostID }
func (f PostCreated) Validate() error { return ids("postId", f.PostID, "authorId", f.AuthorID) }

// TagsCreated: Every tag of the post exists and is mapped to it.
type TagsCreated struct {
	PostID string   `json:"postId"`
	Tags   []string `json:"tags"`
}

func (TagsCreated) FactType() string  { return "posts.TagsCreated.v1" }
func (f TagsCreated) Key() string     { return f.PostID }
func (f TagsCreated) Validate() error { return ids("postId", f.PostID) }

// TagsRejected: A tag of the post is not allowed; none was created.
type TagsRejected struct {
	PostID string `json:"postId"`
	Reason string `json:"reason"`
}

func (TagsRejected) FactType() string        { return "posts.TagsRejected.v1" }
func (f TagsRejected) Key() string           { return f.PostID }
func (f TagsRejected) Validate() error       { return ids("postId", f.PostID) }
func (f TagsRejected) FailureReason() string { return f.Reason }

// AttachmentsRelocated: Every file of the post stands at its final place.
type AttachmentsRelocated struct {
	PostID        string   `json:"postId"`
	AttachmentIDs []string `json:"attachmentIds"`
}

func (AttachmentsRelocated) FactType() string  { return "posts.AttachmentsRelocated.v1" }
func (f AttachmentsRelocated) Key() string     { return f.PostID }
func (f AttachmentsRelocated) Validate() error { return ids("postId", f.PostID) }

// AttachmentRelocationFailed: A file of the post could not be copied.
type AttachmentRelocationFailed struct {
	PostID string `json:"postId"`
	Reason string `json:"reason"`
}

func (AttachmentRelocationFailed) FactType() string        { return "posts.AttachmentRelocationFailed.v1" }
func (f AttachmentRelocationFailed) Key() string           { return f.PostID }
func (f AttachmentRelocationFailed) Validate() error       { return ids("postId", f.PostID) }
func (f AttachmentRelocationFailed) FailureReason() string { return f.Reason }

// PostPublished: All that the post asked for is done.
type PostPublished struct {
	PostID string `json:"postId"`
}

func (PostPublished) FactType() string  { return "posts.PostPublished.v1" }
func (f PostPublished) Key() string     { return f.PostID }
func (f PostPublished) Validate() error { return ids("postId", f.PostID) }

// PostWithdrawn: The post could not be published and is taken back.
type PostWithdrawn struct {
	PostID   string `json:"postId"`
	AuthorID string `json:"authorId"`
	Reason   string `json:"reason"`
}

func (PostWithdrawn) FactType() string        { return "posts.PostWithdrawn.v1" }
func (f PostWithdrawn) Key() string           { return f.PostID }
func (f PostWithdrawn) Validate() error       { return ids("postId", f.PostID, "authorId", f.AuthorID) }
func (f PostWithdrawn) FailureReason() string { return f.Reason }

// PostDeleted: The author deleted the post.
type PostDeleted struct {
	PostID string `json:"postId"`
}

func (PostDeleted) FactType() string  { return "posts.PostDeleted.v1" }
func (f PostDeleted) Key() string     { return f.PostID }
func (f PostDeleted) Validate() error { return ids("postId", f.PostID) }

// TagsRemoved: The post maps no tag any more; tags that no post uses are gone.
type TagsRemoved struct {
	PostID string `json:"postId"`
}

func (TagsRemoved) FactType() string  { return "posts.TagsRemoved.v1" }
func (f TagsRemoved) Key() string     { return f.PostID }
func (f TagsRemoved) Validate() error { return ids("postId", f.PostID) }

// AttachmentsReturned: The copies of the files are deleted.
type AttachmentsReturned struct {
	PostID string `json:"postId"`
}

func (AttachmentsReturned) FactType() string  { return "posts.AttachmentsReturned.v1" }
func (f AttachmentsReturned) Key() string     { return f.PostID }
func (f AttachmentsReturned) Validate() error { return ids("postId", f.PostID) }

// AttachmentsReturnFailed: Copies of the files are left: owed.
type AttachmentsReturnFailed struct {
	PostID string `json:"postId"`
	Reason string `json:"reason"`
}

func (AttachmentsReturnFailed) FactType() string        { return "posts.AttachmentsReturnFailed.v1" }
func (f AttachmentsReturnFailed) Key() string           { return f.PostID }
func (f AttachmentsReturnFailed) Validate() error       { return ids("postId", f.PostID) }
func (f AttachmentsReturnFailed) FailureReason() string { return f.Reason }

// AuthorMailed: The author was told of the withdrawal.
type AuthorMailed struct {
	PostID string `json:"postId"`
}

func (AuthorMailed) FactType() string  { return "posts.AuthorMailed.v1" }
func (f AuthorMailed) Key() string     { return f.PostID }
func (f AuthorMailed) Validate() error { return ids("postId", f.PostID) }

// AuthorMailFailed: The author could not be told of the withdrawal.
type AuthorMailFailed struct {
	PostID string `json:"postId"`
	Reason string `json:"reason"`
}

func (AuthorMailFailed) FactType() string        { return "posts.AuthorMailFailed.v1" }
func (f AuthorMailFailed) Key() string           { return f.PostID }
func (f AuthorMailFailed) Validate() error       { return ids("postId", f.PostID) }
func (f AuthorMailFailed) FailureReason() string { return f.Reason }
