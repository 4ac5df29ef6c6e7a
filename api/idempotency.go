package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"troupe/choreo"
	"troupe/domain/idempotency"
)

// keyHeader is what a client sends with a command that it may repeat.
const keyHeader = "Idempotency-Key"

// notKeyed are the operations whose answers are secrets or depend on nothing but
// secrets: they take no key.
var notKeyed = []string{"/sessions", "/verifications"}

// keyed is a request with an Idempotency-Key.
type keyed struct {
	scope   []byte // of caller, method, path and key; nil: not this operation
	request []byte // of its body; nil while a multipart body is not read
	status  int    // of success
	about   string // the account whose data the answer may hold
	refused bool   // its handler refused it

	answer *idempotency.Answer // to be given, once there is one
}

type keyedKey struct{}

// keyedOf is the key of the request, nil where it has none.
func keyedOf(ctx context.Context) *keyed {
	if k, _ := ctx.Value(keyedKey{}).(*keyed); k != nil && k.scope != nil {
		return k
	}
	return nil
}

// answerAbout says whose data the answer to a command holds, where that is not
// the caller's.
func answerAbout(ctx context.Context, accountID string) {
	if k := keyedOf(ctx); k != nil {
		k.about = accountID
	}
}

// repeatable goes around requests with a key. What they are answered is held
// back until it is known whether it is the first answer.
func (s *Server) repeatable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		commands := []string{http.MethodPost, http.MethodPut, http.MethodDelete}
		if r.Header.Get(keyHeader) == "" || !slices.Contains(commands, r.Method) {
			next.ServeHTTP(w, r)
			return
		}
		k := &keyed{}
		held := &heldBack{ResponseWriter: w, header: http.Header{}}
		next.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), keyedKey{}, k)))
		if k.refused && k.answer == nil && k.request != nil && isKept(held.status) {
			if err := s.keepRefusal(r.Context(), k, held); err != nil {
				s.Log.ErrorContext(r.Context(), "the refusal of a request is not kept", "error", err)
			}
		}
		if k.answer != nil {
			held.replace(k.answer)
		}
		held.release()
	})
}

// isKept tells whether a refusal is the answer to the same request for ever: not
// where it says that it may be otherwise the next time.
func isKept(status int) bool {
	return status >= 400 && status < 500 && status != http.StatusUnauthorized &&
		status != http.StatusRequestTimeout && status != http.StatusTooManyRequests
}

// keepRefusal stores the refusal of a request, unless the same request has been
// answered meanwhile: then that is the answer.
func (s *Server) keepRefusal(ctx context.Context, k *keyed, held *heldBack) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.DB.InUnit(ctx, func(ctx context.Context, u *choreo.Unit) error {
		answer, request, err := idempotency.Claim(ctx, u.SQL(), k.scope)
		if err != nil {
			return err
		}
		if err := k.found(answer, request); err != nil || answer != nil {
			if errors.Is(err, errRepeated) {
				err = nil
			}
			return err
		}
		a := idempotency.Answer{Status: held.status, Headers: map[string]string{}, Body: held.body.Bytes()}
		for name := range held.header {
			a.Headers[name] = held.header.Get(name)
		}
		return idempotency.Keep(ctx, u.SQL(), u.Clock(), k.scope, k.request, k.about, a)
	})
}

// keyedOperation finds the key of a command once its caller is known and its
// body read, and answers with the first answer where there is one.
func (s *Server) keyedOperation(ctx huma.Context, next func(huma.Context)) {
	k, _ := ctx.Context().Value(keyedKey{}).(*keyed)
	op := ctx.Operation()
	if k == nil || slices.Contains(notKeyed, op.Path) {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	value := r.Header.Get(keyHeader)
	if len(value) > 255 {
		_ = huma.WriteErr(s.huma, ctx, http.StatusUnprocessableEntity, "a header breaks a rule",
			&huma.ErrorDetail{Location: "header." + keyHeader, Message: "it is longer than 255 bytes"})
		return
	}
	who := caller(ctx.Context())
	k.scope = idempotency.Hash(s.SessionKey, "request", who.name(), r.Method, r.URL.Path, value)
	k.about, k.status = who.AccountID, op.DefaultStatus
	if k.status == 0 {
		k.status = http.StatusOK
	}
	form := op.RequestBody != nil && op.RequestBody.Content["multipart/form-data"] != nil
	if !form {
		body, err := io.ReadAll(r.Body) // takeBody has it in memory, and bounded
		if err != nil {
			s.writeProblem(w, http.StatusBadRequest, "the body could not be read")
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		k.request = idempotency.Hash(s.SessionKey, "body", string(body))
	}
	answer, request, err := idempotency.Find(r.Context(), s.DB.Pool(), k.scope)
	if err == nil && answer != nil && form {
		k.request, err = s.hashForm(r)
	}
	if err == nil {
		err = k.found(answer, request)
	}
	switch {
	case err == nil:
		next(ctx)
	case !errors.Is(err, errRepeated):
		s.writeError(w, r, err)
	}
}

// name is who calls, as the scope of keys knows it.
func (c Caller) name() string {
	if c.Staff {
		return "staff"
	}
	return "account " + c.AccountID
}

// hashForm reads a multipart form to its end and hashes what stands in it.
func (s *Server) hashForm(r *http.Request) ([]byte, error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return nil, unreadable(err)
	}
	h := newFormHash(s.SessionKey)
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return h.Sum(nil), nil
		}
		if err != nil {
			return nil, unreadable(err)
		}
		h.begin(part)
		if _, err := io.Copy(h, part); err != nil {
			return nil, unreadable(err)
		}
	}
}

// formHash hashes the parts of a multipart form: the boundaries between them
// differ each time that a form is sent.
type formHash struct{ hash.Hash }

func newFormHash(key []byte) formHash { return formHash{hmac.New(sha256.New, key)} }

func (h formHash) begin(p *multipart.Part) { fmt.Fprintf(h, "%q %q\n", p.FormName(), p.FileName()) }

// heldBack is an answer that is not sent yet.
type heldBack struct {
	http.ResponseWriter

	header http.Header
	status int
	body   bytes.Buffer
}

// Header are those of the answer held back.
func (h *heldBack) Header() http.Header { return h.header }

// WriteHeader takes the status.
func (h *heldBack) WriteHeader(status int) {
	if h.status == 0 && status >= 200 {
		h.status = status
	}
}

func (h *heldBack) Write(b []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(b)
}

// Unwrap lets http.ResponseController find deadlines.
func (h *heldBack) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// replace puts another answer in its place.
func (h *heldBack) replace(a *idempotency.Answer) {
	h.header, h.status = http.Header{}, a.Status
	for name, value := range a.Headers {
		h.header.Set(name, value)
	}
	h.body.Reset()
	h.body.Write(a.Body)
}

// release sends it.
func (h *heldBack) release() {
	maps.Copy(h.ResponseWriter.Header(), h.header)
	h.ResponseWriter.WriteHeader(max(h.status, http.StatusOK))
	_, _ = h.ResponseWriter.Write(h.body.Bytes()) // to a client that may have gone
}
