package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"troupe/choreo"
	"troupe/domain/attachment"
	"troupe/providers/blobs"
)

// aroundFile is what a multipart body may have around its file, in bytes.
const aroundFile = 64 << 10

// files adds uploading files and serving them.
func (s *Server) files(tags []string) {
	form := &huma.MediaType{} // described below: the framework would read a body that it knows
	register(s, accountsOnly, huma.Operation{
		OperationID: "upload-attachment", Method: http.MethodPost, Path: "/attachments", Tags: tags,
		Summary: "Upload a file for a post", DefaultStatus: http.StatusCreated,
		Description: fmt.Sprintf("An image (PNG, JPEG, GIF, WebP, BMP, ICO), a PDF or plain text, by its content, of at most %d bytes. "+
			"Put its `url` into a post within 24 hours; it is deleted after 2 days otherwise.", s.MaxAttachment),
		MaxBodyBytes: s.MaxAttachment + aroundFile,
		RequestBody:  &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": form}},
	}, s.upload)
	form.Schema = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"file"},
		Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary"}},
	}
	register(s, anyone, huma.Operation{
		OperationID: "get-temporary-file", Method: http.MethodGet, Path: "/files/temp/{attachmentId}/{name}", Tags: tags,
		Summary: "Download an uploaded file",
	}, s.temporaryFile)
	register(s, anyone, huma.Operation{
		OperationID: "get-post-file", Method: http.MethodGet, Path: "/files/blog-post/{postId}/{attachmentId}/{name}", Tags: tags,
		Summary: "Download a file of a post",
	}, s.fileOfPost)
}

// uploadRequest reads its body as it comes: a file is never whole in memory.
type uploadRequest struct {
	parts *multipart.Reader
	err   error // there are none
}

// Resolve finds the parts of the body.
func (u *uploadRequest) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	u.parts, u.err = r.MultipartReader()
	return nil
}

type uploadAnswer struct {
	Receipt
	Body struct {
		AttachmentID string `json:"attachmentId"`
		URL          string `json:"url" doc:"Where it can be downloaded; to be put into a post"`
		Name         string `json:"name"`
		MimeType     string `json:"mimeType"`
		Size         int64  `json:"size" doc:"Bytes"`
	}
}

func (s *Server) upload(ctx context.Context, in *uploadRequest) (*uploadAnswer, error) {
	if in.err != nil {
		return nil, unreadable(in.err)
	}
	a, err := s.receive(ctx, in.parts)
	if err != nil {
		return nil, err
	}
	out, err := command(ctx, s, "upload-attachment", working(func(ctx context.Context, tx *choreo.Tx) error {
		return attachment.Upload(ctx, tx, a)
	}), func(_ context.Context, r choreo.Receipt) (*uploadAnswer, error) {
		out := &uploadAnswer{Receipt: settled(r)}
		out.Body.AttachmentID, out.Body.URL = a.ID, a.TempURL()
		out.Body.Name, out.Body.MimeType, out.Body.Size = a.Name, a.MimeType, a.Size
		return out, nil
	})
	if errors.Is(err, errRepeated) {
		err = errors.Join(err, s.Blobs.Delete(context.WithoutCancel(ctx), a.TempKey()))
	}
	return out, err // after another error the object stays, and expires as every temporary file does: the row may be there
}

// receive stores the one file of the form in its temporary place.
func (s *Server) receive(ctx context.Context, parts *multipart.Reader) (a attachment.Attachment, err error) {
	part, err := parts.NextPart()
	if err != nil {
		return a, unreadable(err)
	}
	if part.FormName() != "file" || part.FileName() == "" {
		return a, badPart(part.FormName(), "send one file, with its name, in the field `file`")
	}
	hashed := newFormHash(s.SessionKey)
	hashed.begin(part)
	file := &limitedFile{part: part, left: s.MaxAttachment}
	content := io.TeeReader(file, hashed)
	head, err := io.ReadAll(io.LimitReader(content, 512))
	if err != nil {
		return a, s.unfit(file, err)
	}
	// The object is there before its row, so the id is made before there is a
	// transaction to make it.
	id, err := s.DB.NewID(ctx)
	if err != nil {
		return a, err
	}
	a = attachment.Attachment{ID: id, OwnerID: caller(ctx).AccountID, Name: attachment.CleanName(part.FileName())}
	if a.MimeType, err = attachment.TypeOf(head); err != nil {
		return a, badPart("file", err.Error())
	}
	if err := s.Blobs.Put(ctx, a.TempKey(), a.MimeType, io.MultiReader(bytes.NewReader(head), content)); err != nil {
		return a, s.unfit(file, err)
	}
	a.Size = file.size
	if err := isLast(parts); err != nil {
		return a, errors.Join(err, s.Blobs.Delete(context.WithoutCancel(ctx), a.TempKey()))
	}
	if key := keyedOf(ctx); key != nil {
		key.request = hashed.Sum(nil)
	}
	return a, nil
}

func isLast(parts *multipart.Reader) error {
	more, err := parts.NextPart()
	switch {
	case err == nil:
		return badPart(more.FormName(), "send one file, in the field `file`, and nothing else")
	case errors.Is(err, io.EOF):
		return nil
	}
	return unreadable(err)
}

// limitedFile reads a file up to a limit and remembers why it could not.
type limitedFile struct {
	part *multipart.Part
	left int64
	size int64
	err  error
}

var errFileTooLarge = errors.New("the file is too large")

func (f *limitedFile) Read(b []byte) (int, error) {
	n, err := f.part.Read(b)
	f.size, f.left = f.size+int64(n), f.left-int64(n)
	if f.left < 0 {
		err = errFileTooLarge
	}
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// unfit is the answer where a file could not be stored: because of the file
// where that says so.
func (s *Server) unfit(f *limitedFile, err error) error {
	if errors.Is(f.err, errFileTooLarge) {
		return huma.NewError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the file is larger than %d bytes", s.MaxAttachment))
	}
	if f.err != nil {
		return unreadable(f.err)
	}
	return fmt.Errorf("storing an uploaded file: %w", err)
}

func unreadable(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return huma.NewError(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit))
	case errors.Is(err, io.EOF):
		return badPart("file", "send one file in the field `file`")
	}
	return huma.Error400BadRequest("the multipart form cannot be read; it may be cut off")
}

func badPart(name, message string) error {
	return huma.Error422UnprocessableEntity("the form breaks a rule", &huma.ErrorDetail{Location: "body." + name, Message: message})
}

type fileRequest struct {
	AttachmentID string `path:"attachmentId"`
	Name         string `path:"name"`
}

func (s *Server) temporaryFile(ctx context.Context, in *fileRequest) (*huma.StreamResponse, error) {
	a, err := attachment.Find(ctx, s.DB.Pool(), in.AttachmentID)
	if err != nil || a.Name != in.Name {
		return nil, errors.Join(attachment.ErrNotFound, err)
	}
	return s.serve(ctx, a, a.TempKey())
}

type postFileRequest struct {
	PostID       string `path:"postId"`
	AttachmentID string `path:"attachmentId"`
	Name         string `path:"name"`
}

func (s *Server) fileOfPost(ctx context.Context, in *postFileRequest) (*huma.StreamResponse, error) {
	a, err := attachment.Find(ctx, s.DB.Pool(), in.AttachmentID)
	if err != nil || a.Name != in.Name || a.PostID != in.PostID {
		return nil, errors.Join(attachment.ErrNotFound, err)
	}
	return s.serve(ctx, a, a.PostKey(in.PostID))
}

// serve answers with a file that a stranger may have made: a browser shows
// images only, runs nothing, and asks again each time whether it is still there.
func (s *Server) serve(ctx context.Context, a attachment.Attachment, key string) (*huma.StreamResponse, error) {
	file, err := s.Blobs.NewReader(ctx, key)
	if errors.Is(err, blobs.ErrNotFound) {
		return nil, attachment.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("opening attachment %s: %w", a.ID, err)
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer file.Close() //nolint:errcheck // it was only read
		disposition := "attachment"
		if strings.HasPrefix(a.MimeType, "image/") {
			disposition = "inline"
		}
		r, w := humago.Unwrap(ctx)
		h := w.Header()
		h.Set("Content-Type", a.MimeType)
		h.Set("Content-Disposition", mime.FormatMediaType(disposition, map[string]string{"filename": a.Name}))
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", `"`+a.ID+`"`)
		http.ServeContent(w, r, "", file.ModTime, file)
	}}, nil
}
