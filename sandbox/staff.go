package sandbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// staffRoutes serves what the sandbox received: one list for each part.
func (s *Sandbox) staffRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /sandbox/mail", list(s, s.mails))
	mux.Handle("GET /sandbox/payments", list(s, s.payments))
	mux.Handle("GET /sandbox/carrier", list(s, s.updates))
	mux.Handle("GET /sandbox/sms", list(s, s.texts))
	mux.HandleFunc("/sandbox/", func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusNotFound, "the sandbox has GET /sandbox/mail, /sandbox/payments, /sandbox/carrier and /sandbox/sms")
	})
	return s.staffOnly(mux)
}

func (s *Sandbox) staffOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case !found:
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(w, http.StatusUnauthorized, "this is for staff: send the staff token as a bearer token")
		case s.opts.StaffToken == "" || !sameSecret(token, s.opts.StaffToken):
			problem(w, http.StatusForbidden, "this is for staff")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// sameSecret takes the same time wherever the two differ.
func sameSecret(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// list answers all items, or the oldest of them when limit is given.
func list[T any](s *Sandbox, read func(context.Context, sql.NullInt64) ([]T, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var limit sql.NullInt64
		if given := r.URL.Query().Get("limit"); given != "" {
			n, err := strconv.ParseInt(given, 10, 32)
			if err != nil || n < 1 {
				problem(w, http.StatusUnprocessableEntity, "limit is a number of items, 1 or more")
				return
			}
			limit = sql.NullInt64{Int64: n, Valid: true}
		}
		items, err := read(r.Context(), limit)
		if err != nil {
			s.opts.Log.Error("the sandbox could not read its list", "path", r.URL.Path, "error", err)
			problem(w, http.StatusInternalServerError, "the sandbox could not read its list")
			return
		}
		writeJSON(w, http.StatusOK, "application/json", struct {
			Items []T `json:"items"`
		}{items})
	})
}

// problem answers as RFC 9457 has it.
func problem(w http.ResponseWriter, status int, detail string) {
	writeJSON(w, status, "application/problem+json", struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, body any) {
	text := encode(body) + "\n"
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // fails only when the reader has gone
}
