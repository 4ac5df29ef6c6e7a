package sandbox

import (
	"database/sql"
	"encoding/json"
	"net/http"
)

// plain answers a request of a provider that speaks plain HTTP: it reads the
// JSON body into T, waits, and attempts what was asked in a transaction that has
// a lock of the given name. The status of the attempt decides the answer.
func plain[T any](s *Sandbox, lock func(*http.Request, T) string,
	attempt func(tx *sql.Tx, r *http.Request, body T) (status string, err error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body T
		if json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&body) != nil {
			problem(w, http.StatusBadRequest, "the body is no JSON of the kind expected")
			return
		}
		if r.Header.Get("Idempotency-Key") == "" {
			problem(w, http.StatusBadRequest, "send an Idempotency-Key")
			return
		}
		var status string
		err := s.pause(s.opts.Delay)
		if err == nil {
			err = s.inTx(func(tx *sql.Tx) error {
				_, err := tx.ExecContext(s.ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 7))`, lock(r, body))
				if err == nil {
					status, err = attempt(tx, r, body)
				}
				return err
			})
		}
		switch {
		case s.ctx.Err() != nil:
			panic(http.ErrAbortHandler) // closing
		case err != nil:
			s.opts.Log.Error("the sandbox failed", "path", r.URL.Path, "error", err)
			problem(w, http.StatusInternalServerError, "the sandbox failed")
		case status == failed:
			w.Header().Set("Retry-After", "0")
			problem(w, http.StatusServiceUnavailable, "not just now")
		case status == stale:
			problem(w, http.StatusConflict, "something later is known already")
		case status == declined:
			problem(w, http.StatusUnprocessableEntity, "this will never be possible")
		default:
			writeJSON(w, http.StatusOK, "application/json", struct {
				Status string `json:"status"`
			}{status})
		}
	}
}

// find answers whether an attempt under the key in the query succeeded. The
// query takes the key and selects a row if it did.
func (s *Sandbox) find(query string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var there bool
		err := s.pause(s.opts.Delay)
		if err == nil {
			err = s.db.QueryRowContext(s.ctx, `SELECT EXISTS (`+query+`)`, r.URL.Query().Get("key")).Scan(&there)
		}
		switch {
		case s.ctx.Err() != nil:
			panic(http.ErrAbortHandler) // closing
		case err != nil:
			s.opts.Log.Error("the sandbox failed", "path", r.URL.Path, "error", err)
			problem(w, http.StatusInternalServerError, "the sandbox failed")
		case !there:
			problem(w, http.StatusNotFound, "nothing was done under this key")
		default:
			writeJSON(w, http.StatusOK, "application/json", struct {
				Status string `json:"status"`
			}{succeeded})
		}
	}
}
