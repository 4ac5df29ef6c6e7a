package api

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/views/postlist"
)

type postFile struct {
	AttachmentID string `json:"attachmentId"`
	URL          string `json:"url"`
}

type postBody struct {
	PostID      string     `json:"postId"`
	AuthorID    *string    `json:"authorId" doc:"null where the author's account is erased"`
	Title       string     `json:"title"`
	Contents    []object   `json:"contents" nullable:"false"`
	Tags        []string   `json:"tags" nullable:"false" doc:"Of a post in processing, those it asked for"`
	Attachments []postFile `json:"attachments" nullable:"false" doc:"With the URLs they have now"`
	State       post.State `json:"state" enum:"processing,published,withdrawn,deleted"`
	Reason      string     `json:"reason" doc:"Why it was withdrawn, empty where it was not"`
}

type postAnswer struct {
	Receipt
	Body postBody
}

func answerPost(r *post.Reading, files []attachment.Attachment, receipt Receipt) *postAnswer {
	body := postBody{
		PostID: r.ID, AuthorID: orNull(r.AuthorID), Title: r.Title, Contents: []object{}, Tags: r.Tags,
		Attachments: []postFile{}, State: r.State, Reason: r.Reason,
	}
	for _, o := range r.Contents {
		body.Contents = append(body.Contents, object(o))
	}
	for _, a := range files {
		body.Attachments = append(body.Attachments, postFile{a.ID, a.URL(r.ID)})
	}
	return &postAnswer{receipt, body}
}

// orNull is the text, null in JSON where it is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (s *Server) getPost(ctx context.Context, in *postRequest) (*postAnswer, error) {
	return s.readPost(ctx, in.ID, Receipt{})
}

func (s *Server) readPost(ctx context.Context, id string, receipt Receipt) (*postAnswer, error) {
	r, err := post.Find(ctx, s.reader(ctx), id)
	if err != nil {
		return nil, err
	}
	files, err := attachment.List(ctx, s.reader(ctx), r.Files)
	if err != nil {
		return nil, err
	}
	return answerPost(r, files, receipt), nil
}

type postsRequest struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"The next of the answer before"`
	ViewRequest
}

// Resolve refuses a cursor that no answer gave.
func (r *postsRequest) Resolve(huma.Context) []error {
	if r.Cursor != "" && uuid.Validate(r.Cursor) != nil {
		return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "expected the next of an answer"}}
	}
	return nil
}

type postItem struct {
	PostID    string     `json:"postId"`
	Title     string     `json:"title"`
	AuthorID  *string    `json:"authorId" doc:"null where the author's account is erased"`
	Tags      []string   `json:"tags" nullable:"false"`
	State     post.State `json:"state" enum:"processing,published,withdrawn"`
	CreatedAt time.Time  `json:"createdAt"`
}

type postsAnswer struct {
	Status int
	Body   struct {
		Items []postItem `json:"items" nullable:"false"`
		Next  *string    `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

func (s *Server) listPosts(ctx context.Context, in *postsRequest) (*postsAnswer, error) {
	who := caller(ctx)
	status, err := s.seen(ctx, postlist.Name, "", in.ViewRequest)
	if err != nil {
		return nil, err
	}
	list, err := postlist.List(ctx, s.DB.ViewsHome().Pool(), postlist.Listing{
		Author: who.AccountID, All: who.Staff, Before: in.Cursor, Limit: in.Limit + 1,
	})
	if err != nil {
		return nil, err
	}
	out := &postsAnswer{Status: status}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		out.Body.Next = &list[in.Limit-1].PostID
	}
	out.Body.Items = []postItem{}
	for _, r := range list {
		out.Body.Items = append(out.Body.Items, postItem{r.PostID, r.Title, orNull(r.AuthorID), r.Tags, post.State(r.State), r.CreatedAt})
	}
	return out, nil
}

// recognise finds out who calls an operation that needs no token, where there
// is one.
func (s *Server) recognise(ctx huma.Context, next func(huma.Context)) {
	if ctx.Header("Authorization") == "" {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	if c, ok := s.authenticate(w, r, accountsAndStaff); ok {
		next(huma.WithValue(ctx, callerKey{}, c))
	}
}
