package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/idempotency"
)

// refusal says which status an error of the domain is answered with.
type refusal struct {
	err    error
	status int
}

// refuses says with which status the given errors of the domain are answered.
// What the caller reads is the text of the sentinel, without what wraps it.
func (s *Server) refuses(status int, errs ...error) {
	for _, err := range errs {
		s.refusals = append(s.refusals, refusal{err, status})
	}
}

// invalid is met by errors of the domain that say which field of the body
// breaks a rule, such as "lines[0].quantity". Several come joined
// (errors.Join).
type invalid interface {
	error
	Field() string
}

// Problems that handlers of several contexts answer with.
var (
	errNotFound  = errors.New("there is no such thing here, or it is not yours")
	errForbidden = errors.New("this is not yours to do")
	errSignIn    = errors.New("sign in first: send the token of POST /sessions as `Authorization: Bearer …`")
)

// problemOf is the one place where errors become status codes.
func (s *Server) problemOf(ctx context.Context, err error) error {
	if _, known := errors.AsType[huma.StatusError](err); known {
		return err
	}
	if details := broken(err); len(details) > 0 {
		return huma.Error422UnprocessableEntity("a field breaks a rule", details...)
	}
	for _, r := range s.refusals {
		if !errors.Is(err, r.err) {
			continue
		}
		problem := huma.NewError(r.status, r.err.Error())
		if r.status == http.StatusUnauthorized {
			return huma.ErrorWithHeaders(problem, http.Header{"WWW-Authenticate": {challenge}})
		}
		return problem
	}
	var rejected *choreo.RejectedError
	switch {
	case errors.Is(err, errNotFound):
		return huma.Error404NotFound(errNotFound.Error())
	case errors.Is(err, errForbidden):
		return huma.Error403Forbidden(errForbidden.Error())
	case errors.As(err, &rejected):
		return huma.Error422UnprocessableEntity(choreo.Reason(rejected.Fact))
	case errors.Is(err, errRepeated):
		return huma.NewError(http.StatusConflict, errRepeated.Error()) // the answer of before goes out in its place
	case errors.Is(err, idempotency.ErrOtherRequest):
		return huma.Error422UnprocessableEntity(idempotency.ErrOtherRequest.Error())
	case errors.Is(err, idempotency.ErrUnderWay):
		return huma.ErrorWithHeaders(huma.Error409Conflict(idempotency.ErrUnderWay.Error()), http.Header{"Retry-After": {"1"}})
	case errors.Is(err, choreo.ErrCommitUnknown):
		s.Log.ErrorContext(ctx, "a request has an unknown outcome", "error", err)
		return huma.Error503ServiceUnavailable("it is not known whether this was done: look before you repeat it, or repeat it with its Idempotency-Key")
	case errors.Is(err, choreo.ErrTooLarge):
		return huma.NewError(http.StatusRequestEntityTooLarge, "this is more than one event can hold; send less")
	case choreo.SQLState(err) == "22021" || choreo.SQLState(err) == "22P05":
		return huma.Error422UnprocessableEntity("text holds a character that cannot be stored (U+0000 or broken UTF-8)")
	case ctx.Err() != nil:
		return huma.Error503ServiceUnavailable("the request was given up before it was done")
	case choreo.IsInfrastructure(err):
		s.Log.ErrorContext(ctx, "a request failed for now", "error", err)
		return huma.ErrorWithHeaders(huma.Error503ServiceUnavailable("this cannot be done right now; try again"),
			http.Header{"Retry-After": {"1"}})
	}
	s.Log.ErrorContext(ctx, "a request failed", "error", err)
	return huma.Error500InternalServerError(internalDetail)
}

const internalDetail = "something went wrong on our side; it has been logged"

// broken lists the fields that break a rule, in the form of the framework.
func broken(err error) (details []error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range several.Unwrap() {
			details = append(details, broken(e)...)
		}
		return details
	}
	if one, ok := errors.AsType[invalid](err); ok {
		details = append(details, &huma.ErrorDetail{Message: one.Error(), Location: "body." + one.Field()})
	}
	return details
}

// discreet keeps what a client sent out of the problem that answers it:
// passwords, tokens and cards would end up in the logs of clients.
func discreet(_ huma.Context, _ string, body any) (any, error) {
	if p, ok := body.(*huma.ErrorModel); ok {
		for _, e := range p.Errors {
			e.Value = nil
			if name, missing := missingField(e.Message); missing {
				e.Location += "." + name
			}
		}
		if p.Status == http.StatusInternalServerError {
			p.Detail, p.Errors = internalDetail, nil
		}
	}
	return body, nil
}

// missingField reads the framework's message of a required field that is not
// there, which it locates at the object that lacks it.
func missingField(message string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(message, "expected required property ")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, " to be present")
}

// writeError answers with the problem of an error outside the framework.
func (s *Server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	if problem, ok := errors.AsType[huma.StatusError](s.problemOf(r.Context(), err)); ok {
		s.writeProblem(w, problem.GetStatus(), problem.Error())
	}
}

// writeProblem answers with a problem outside the framework: in raw handlers
// and middleware.
func (s *Server) writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Del("Content-Length")
	w.WriteHeader(status)
	err := json.NewEncoder(w).Encode(huma.ErrorModel{Title: http.StatusText(status), Status: status, Detail: detail})
	if err != nil {
		s.Log.Debug("the client left before its problem was written", "error", err)
	}
}
