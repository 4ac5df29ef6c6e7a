package sandbox

import (
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// stripeRoutes plays Stripe: the calls that a payment by card and its refund
// need, with Stripe's idempotency keys and errors.
func (s *Sandbox) stripeRoutes() http.Handler {
	busy := &keysInUse{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/payment_intents", s.once(busy, s.createIntent))
	mux.HandleFunc("POST /v1/payment_intents/{id}/confirm", s.once(busy, s.confirmIntent))
	mux.HandleFunc("POST /v1/payment_intents/{id}/cancel", s.once(busy, s.cancelIntent))
	mux.HandleFunc("GET /v1/payment_intents/search", s.searchIntents)
	mux.HandleFunc("GET /v1/payment_intents/{id}", s.retrieveIntent)
	mux.HandleFunc("POST /v1/refunds", s.once(busy, s.createRefund))
	mux.HandleFunc("GET /v1/refunds", s.listRefunds)
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) {
		writeStripe(w, refuse(http.StatusNotFound, stripeError{Type: "invalid_request_error", Message: "Unrecognized request URL: the sandbox knows payment intents and refunds only"}))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Request-Id", newID("req_"))
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if s.opts.PaymentKey != "" && !sameSecret(key, s.opts.PaymentKey) {
			writeStripe(w, refuse(http.StatusUnauthorized, stripeError{Type: "invalid_request_error", Message: "Invalid API Key provided"}))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// call is a request that changes something.
type call struct {
	id   string // of the intent in the path
	key  string // the Idempotency-Key, empty when none was sent
	form url.Values
}

// engineKey is the key of the operation that a call is part of: an adapter
// names the single calls of one operation key#name.
func (c call) engineKey() string {
	if i := strings.LastIndexByte(c.key, '#'); i > 0 {
		return c.key[:i]
	}
	return c.key
}

// answer is what a call is answered with.
type answer struct {
	status int
	body   string
	item   *paymentItem  // the attempt to list; nil when the call is none
	keep   bool          // give it again to a repeat: the call was carried out
	hang   time.Duration // then drop the connection without an answer
}

// an operation carries a call out in tx.
type operation func(tx *sql.Tx, c call) (answer, error)

// once answers a call: the first with a key carries it out, a repeat gets the
// same answer, a repeat while the first is under way a 409, and another call
// with the same key a 400. The answer is committed with the effect, so a kill
// loses both or neither.
func (s *Sandbox) once(busy *keysInUse, do operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			writeStripe(w, invalid("", "The request body could not be read"))
			return
		}
		c := call{id: r.PathValue("id"), key: r.Header.Get("Idempotency-Key"), form: r.PostForm}
		if !busy.take(c.key) {
			writeStripe(w, keyInUse())
			return
		}
		defer busy.give(c.key)
		a, repeated, err := s.answer(r.URL.Path, c, do)
		switch {
		case s.ctx.Err() != nil:
			panic(http.ErrAbortHandler) // closing
		case err != nil:
			s.opts.Log.Error("the sandbox failed", "path", r.URL.Path, "error", err)
			writeStripe(w, refuse(http.StatusInternalServerError, stripeError{Type: "api_error", Message: "The sandbox failed"}))
		case a.hang > 0 && !repeated:
			_ = s.pause(a.hang)
			panic(http.ErrAbortHandler)
		default:
			if c.key != "" {
				w.Header().Set("Idempotency-Key", c.key)
			}
			if repeated {
				w.Header().Set("Idempotent-Replayed", "true")
			}
			writeStripe(w, a)
		}
	}
}

// answer gives the answer that was kept for the call's key, else carries the
// call out. Delays come before any lock is taken: meanwhile a cancel may win.
func (s *Sandbox) answer(path string, c call, do operation) (a answer, repeated bool, err error) {
	if err := s.pause(s.opts.Delay); err != nil {
		return a, false, err
	}
	sum := sha256.Sum256([]byte(path + "\n" + c.form.Encode()))
	request := hex.EncodeToString(sum[:])
	if c.key != "" {
		if a, err = s.kept(c.key, request); !errors.Is(err, sql.ErrNoRows) {
			return a, true, err
		}
	}
	if strings.HasSuffix(path, "/confirm") && card(c.form) == "tok_slow" {
		if err := s.pause(s.opts.Timing.SlowCard); err != nil {
			return a, false, err
		}
	}
	return a, false, s.inTx(func(tx *sql.Tx) error {
		if a, err = do(tx, c); err != nil {
			return err
		}
		var item sql.NullInt64
		if a.item != nil {
			if item, err = s.addPayment(tx, *a.item); err != nil {
				return err
			}
		}
		if !a.keep || c.key == "" {
			return nil
		}
		_, err := tx.ExecContext(s.ctx, `
			INSERT INTO sandbox.answer (key, request, status, body, item, created) VALUES ($1, $2, $3, $4, $5, $6)`,
			c.key, request, a.status, a.body, item, s.now())
		return err
	})
}

// kept is the answer of an earlier call with the same key, listed as replayed;
// sql.ErrNoRows when there was none.
func (s *Sandbox) kept(key, request string) (a answer, err error) {
	var was string
	var item sql.NullInt64
	err = s.db.QueryRowContext(s.ctx, `SELECT request, status, body, item FROM sandbox.answer WHERE key = $1`, key).
		Scan(&was, &a.status, &a.body, &item)
	if err != nil {
		return a, err
	}
	if was != request {
		return refuse(http.StatusBadRequest, stripeError{Type: "idempotency_error",
			Message: "Keys for idempotent requests can only be used with the same parameters they were first used with."}), nil
	}
	_, err = s.db.ExecContext(s.ctx, `
		INSERT INTO sandbox.payment (kind, key, reference, amount, currency, at, status)
		SELECT kind, key, reference, amount, currency, $2, 'replayed' FROM sandbox.payment WHERE id = $1`, item, s.now())
	return a, err
}

// keysInUse are the keys of the calls under way. They are held in memory: a
// key held in the database would outlive a kill.
type keysInUse struct{ keys sync.Map }

func (k *keysInUse) take(key string) bool {
	if key == "" {
		return true
	}
	_, taken := k.keys.LoadOrStore(key, true)
	return !taken
}

func (k *keysInUse) give(key string) { k.keys.Delete(key) }

// stripeError is Stripe's error object.
type stripeError struct {
	Type          string  `json:"type"`
	Code          string  `json:"code,omitempty"`
	DeclineCode   string  `json:"decline_code,omitempty"`
	Message       string  `json:"message"`
	Param         string  `json:"param,omitempty"`
	PaymentIntent *intent `json:"payment_intent,omitempty"`
}

func refuse(status int, e stripeError) answer {
	return answer{status: status, body: encode(map[string]stripeError{"error": e})}
}

// invalid refuses parameters before anything was carried out: it is not kept.
func invalid(param, message string) answer {
	return refuse(http.StatusBadRequest, stripeError{Type: "invalid_request_error", Code: "parameter_invalid", Param: param, Message: message})
}

func keyInUse() answer {
	return refuse(http.StatusConflict, stripeError{Type: "idempotency_error", Code: "idempotency_key_in_use",
		Message: "There is currently another in-progress request using this Idempotency-Key."})
}

func noSuchIntent(id string) answer {
	return refuse(http.StatusNotFound, stripeError{Type: "invalid_request_error", Code: "resource_missing", Param: "intent",
		Message: "No such payment_intent: '" + id + "'"})
}

func encode(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // only types of ours come here
	}
	return string(body)
}

func writeStripe(w http.ResponseWriter, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

func newID(prefix string) string { return prefix + rand.Text() }
