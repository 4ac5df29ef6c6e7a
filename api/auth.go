package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"troupe/domain/account"
)

// access says who may call an operation.
type access int

const (
	anyone           access = iota
	accountsOnly            // a session; staff gets 403
	accountsAndStaff        // a session, or staff
	staffOnly               // staff; a session gets 403
)

// challenge is the WWW-Authenticate of a 401.
const challenge = `Bearer realm="troupe"`

const (
	bearer    = "bearer" // the security scheme in the description
	accessKey = "access" // in the metadata of an operation
)

// Caller is who sent a request. The zero value is nobody.
type Caller struct {
	AccountID string // empty for staff
	Staff     bool
	closing   bool                // the account is being deleted
	session   account.SessionHash // of the session used
}

type callerKey struct{}

// caller is who sent the request of an operation that anyone may not call.
func caller(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// mayRead tells whether the caller may know of what belongs to the account.
func (c Caller) mayRead(accountID string) bool {
	return c.Staff || (c.AccountID != "" && c.AccountID == accountID)
}

// whileClosing are the commands that the owner of an account may give while it
// is being deleted, beside all reading.
var whileClosing = []string{
	"DELETE /accounts/{id}", "POST /orders/{id}/cancellation", "DELETE /rentals/{id}",
}

// admit lets in who may call the operation.
func (s *Server) admit(ctx huma.Context, next func(huma.Context)) {
	who, _ := ctx.Operation().Metadata[accessKey].(access)
	if who == anyone {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	c, ok := s.authenticate(w, r, who)
	if !ok {
		return
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if c.closing && !reads && !slices.Contains(whileClosing, r.Method+" "+ctx.Operation().Path) {
		s.writeProblem(w, http.StatusForbidden, account.ErrClosing.Error())
		return
	}
	next(huma.WithValue(ctx, callerKey{}, c))
}

// staffOnly guards a handler outside the framework.
func (s *Server) staffOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := s.authenticate(w, r, staffOnly); ok {
			next.ServeHTTP(w, r)
		}
	})
}

// authenticate finds out who calls; where that one may not, it answers.
func (s *Server) authenticate(w http.ResponseWriter, r *http.Request, who access) (Caller, bool) {
	c, err := s.callerOf(r)
	var problem huma.StatusError
	switch {
	case errors.Is(err, errSignIn):
		w.Header().Set("WWW-Authenticate", challenge)
		s.writeProblem(w, http.StatusUnauthorized, errSignIn.Error())
	case err != nil && errors.As(s.problemOf(r.Context(), err), &problem):
		s.writeProblem(w, problem.GetStatus(), problem.Error())
	case c.Staff && who == accountsOnly:
		s.writeProblem(w, http.StatusForbidden, "this is for the owner of an account, not for staff")
	case !c.Staff && who == staffOnly:
		s.writeProblem(w, http.StatusForbidden, "this is for staff")
	default:
		return c, true
	}
	return Caller{}, false
}

func (s *Server) callerOf(r *http.Request) (Caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return Caller{}, errSignIn
	}
	given, staff := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.StaffToken))
	if s.StaffToken != "" && subtle.ConstantTimeCompare(given[:], staff[:]) == 1 {
		return Caller{Staff: true}, nil
	}
	session := account.HashSession(s.SessionKey, token)
	id, closing, err := account.BySession(r.Context(), s.DB, session)
	if errors.Is(err, account.ErrNoSession) {
		return Caller{}, errSignIn
	}
	return Caller{AccountID: id, closing: closing, session: session}, err
}
