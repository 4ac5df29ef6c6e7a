package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/domain/tag"
)

// blog adds uploading files, and writing, reading and deleting posts.
func (s *Server) blog() {
	s.refuses(http.StatusNotFound, post.ErrNotFound, attachment.ErrNotFound)
	s.refuses(http.StatusRequestEntityTooLarge, post.ErrContents)

	tags := []string{"blog"}
	s.files(tags)
	register(s, accountsOnly, huma.Operation{
		OperationID: "create-post", Method: http.MethodPost, Path: "/posts", Tags: tags,
		Summary: "Write a post", DefaultStatus: http.StatusCreated,
		Description: "It can be read at once, with the temporary URLs of its files. Its tags are created and its files " +
			"moved afterwards: `state` tells what became of it.",
	}, s.createPost)
	register(s, anyone, huma.Operation{
		OperationID: "list-posts", Method: http.MethodGet, Path: "/posts", Tags: tags,
		Summary: "List posts, newest first",
		Description: "Published ones; with a token also your own that are processing or withdrawn; " +
			"for staff everyone's.",
		Security:    []map[string][]string{{}, {bearer: {}}},
		Middlewares: huma.Middlewares{s.recognise},
	}, s.listPosts)
	register(s, anyone, huma.Operation{
		OperationID: "get-post", Method: http.MethodGet, Path: "/posts/{id}", Tags: tags,
		Summary: "Read a post",
	}, s.getPost)
	register(s, accountsOnly, huma.Operation{
		OperationID: "delete-post", Method: http.MethodDelete, Path: "/posts/{id}", Tags: tags,
		Summary: "Delete a post of yours", DefaultStatus: http.StatusAccepted,
		Description: "Its tags and files go afterwards. Of one that is withdrawn or deleted already, the answer is the same.",
	}, s.deletePost)
}

// object is any JSON object, kept byte for byte.
type object json.RawMessage

// Schema describes it.
func (object) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// MarshalJSON gives what was read.
func (o object) MarshalJSON() ([]byte, error) { return o, nil }

// UnmarshalJSON keeps what is read.
func (o *object) UnmarshalJSON(data []byte) error {
	*o = append(object{}, data...)
	return nil
}

type createPostRequest struct {
	Body struct {
		Title    string   `json:"title" doc:"1 to 200 characters"`
		Contents []object `json:"contents" nullable:"false" doc:"Any JSON objects, 512 KiB together; URLs of its files may stand in any string"`
		TagNames []string `json:"tagNames,omitempty" maxItems:"32" doc:"Of 1 to 64 characters each; case does not matter"`
		FileURLs []string `json:"fileUrls,omitempty" maxItems:"64" doc:"As uploading answered them, within 24 hours"`
	}
}

func (s *Server) createPost(ctx context.Context, in *createPostRequest) (*postAnswer, error) {
	var p *post.Post
	var files []attachment.Attachment
	return command(ctx, s, "create-post", working(func(ctx context.Context, tx *choreo.Tx) error {
		draft := post.Draft{ID: tx.NewID(), AuthorID: caller(ctx).AccountID, Title: in.Body.Title}
		for _, o := range in.Body.Contents {
			draft.Contents = append(draft.Contents, json.RawMessage(o))
		}
		var tagErr, fileErr, postErr error
		draft.TagNames, tagErr = tag.FoldAll(in.Body.TagNames)
		files, fileErr = attachment.Reserve(ctx, tx, draft.ID, draft.AuthorID, in.Body.FileURLs)
		for _, a := range files {
			draft.Files, draft.FileURLs = append(draft.Files, a.ID), append(draft.FileURLs, a.TempURL())
		}
		p, postErr = post.Create(tx, draft)
		if err := errors.Join(postErr, tagErr, fileErr); err != nil {
			return err
		}
		return p.Save(ctx, tx)
	}), func(_ context.Context, r choreo.Receipt) (*postAnswer, error) {
		return answerPost(p.Reading(), files, ongoing(r)), nil
	})
}

type postRequest struct {
	ID string `path:"id"`
}

func (s *Server) deletePost(ctx context.Context, in *postRequest) (*postAnswer, error) {
	var saga string
	return command(ctx, s, "delete-post", working(func(ctx context.Context, tx *choreo.Tx) error {
		p, err := post.Load(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if p.AuthorID != caller(ctx).AccountID {
			return errNotFound
		}
		saga = p.Saga
		tx.JoinSaga(p.Saga)
		p.Delete()
		return p.Save(ctx, tx)
	}), func(ctx context.Context, r choreo.Receipt) (*postAnswer, error) {
		return s.readPost(ctx, in.ID, joined(r, saga))
	})
}
