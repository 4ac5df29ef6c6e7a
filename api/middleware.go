package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"troupe/choreo"
)

// maxBody bounds a JSON body, in bytes, where an operation says nothing else.
const maxBody = 1 << 20

// bodyTimeout bounds reading a JSON body.
const bodyTimeout = 10 * time.Second

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// outermost goes around everything: headers that keep browsers from harm, the
// trace context, a line in the log, and a problem instead of a panic.
func (s *Server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, out := time.Now(), &answer{ResponseWriter: w}
		h := out.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cache-Control", "no-store")
		if trace := r.Header.Get("traceparent"); traceparent.MatchString(trace) {
			r = r.WithContext(choreo.WithTraceParent(r.Context(), trace))
		}
		defer func() {
			if p := recover(); p != nil {
				s.panicked(out, r, p)
			}
			s.Log.DebugContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path,
				"status", out.status, "took", time.Since(began))
		}()
		next.ServeHTTP(out, r)
	})
}

func (s *Server) panicked(out *answer, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.Log.ErrorContext(r.Context(), "a request panicked", "method", r.Method, "path", r.URL.Path,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if out.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out: end the connection
	}
	s.writeProblem(out, http.StatusInternalServerError, internalDetail)
}

// answer remembers the status that was written.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController find deadlines and flushing.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// takeBody reads a JSON body whole, within its limits of size and time, before
// the framework sees it. Multipart bodies pass, bounded in size.
func (s *Server) takeBody(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	if op.RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	limit := op.MaxBodyBytes
	if limit <= 0 {
		limit = maxBody
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" && op.RequestBody.Content[kind] != nil {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		next(ctx)
		return
	}
	if op.RequestBody.Content["application/json"] == nil {
		s.writeProblem(w, http.StatusUnsupportedMediaType, "send this as multipart/form-data")
		return
	}
	_ = ctx.SetReadDeadline(time.Now().Add(bodyTimeout)) // a test's recorder has none
	body, readErr := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	_ = ctx.SetReadDeadline(time.Time{})
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(readErr, &tooLarge):
		s.writeProblem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit))
	case errors.Is(readErr, os.ErrDeadlineExceeded):
		s.writeProblem(w, http.StatusRequestTimeout, "the body did not come in time")
	case readErr != nil:
		s.writeProblem(w, http.StatusBadRequest, "the body could not be read")
	case len(body) > 0 && r.Header.Get("Content-Type") != "" && (err != nil || kind != "application/json"):
		s.writeProblem(w, http.StatusUnsupportedMediaType, "send JSON, as `Content-Type: application/json`")
	default:
		r.Header.Set("Content-Type", "application/json")
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(ctx)
	}
}
