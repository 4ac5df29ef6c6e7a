package sandbox

import (
	"database/sql"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// intent is Stripe's PaymentIntent, as far as it is needed.
type intent struct {
	ID             string            `json:"id"`
	Object         string            `json:"object"`
	Amount         int64             `json:"amount"`
	AmountReceived int64             `json:"amount_received"`
	Currency       string            `json:"currency"`
	Status         string            `json:"status"`
	Metadata       map[string]string `json:"metadata"`
	Created        int64             `json:"created"`
	Methods        []string          `json:"payment_method_types"`

	card     string
	failures int
}

// The states of an intent here. The last two are ends: no statement leaves them.
const (
	unconfirmed    = "requires_payment_method"
	intentCanceled = "canceled"
	intentCharged  = "succeeded"
)

const intentColumns = `id, key, reference, amount, currency, status, card, failures, created`

func scanIntent(row interface{ Scan(...any) error }) (*intent, error) {
	i := &intent{Object: "payment_intent", Methods: []string{"card"}}
	var key, reference string
	var created time.Time
	if err := row.Scan(&i.ID, &key, &reference, &i.Amount, &i.Currency, &i.Status, &i.card, &i.failures, &created); err != nil {
		return nil, err
	}
	i.Metadata = map[string]string{"key": key, "reference": reference}
	i.Created = created.Unix()
	if i.Status == intentCharged {
		i.AmountReceived = i.Amount
	}
	return i, nil
}

// lockIntent makes confirm, cancel and refund of one intent take turns.
func (s *Sandbox) lockIntent(tx *sql.Tx, id string) (*intent, error) {
	return scanIntent(tx.QueryRowContext(s.ctx, `SELECT `+intentColumns+` FROM sandbox.intent WHERE id = $1 FOR UPDATE`, id))
}

var currencyCode = regexp.MustCompile(`^[a-z]{3}$`)

func (s *Sandbox) createIntent(tx *sql.Tx, c call) (answer, error) {
	amount, err := strconv.ParseInt(c.form.Get("amount"), 10, 64)
	if err != nil || amount < 1 || amount > 99_999_999 {
		return invalid("amount", "Invalid positive integer"), nil //nolint:nilerr // this is the answer to it
	}
	currency := strings.ToLower(c.form.Get("currency"))
	if !currencyCode.MatchString(currency) {
		return invalid("currency", "Invalid currency"), nil
	}
	made, err := scanIntent(tx.QueryRowContext(s.ctx, `
		INSERT INTO sandbox.intent (id, key, reference, amount, currency, created)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING `+intentColumns,
		newID("pi_"), c.form.Get("metadata[key]"), c.form.Get("metadata[reference]"), amount, currency, s.now()))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: encode(made), keep: true}, nil
}

// card is the token that a confirm names, in either of Stripe's two forms.
func card(form url.Values) string {
	if token := form.Get("payment_method_data[card][token]"); token != "" {
		return token
	}
	return form.Get("payment_method")
}

func (s *Sandbox) confirmIntent(tx *sql.Tx, c call) (answer, error) {
	token := card(c.form)
	if token == "" {
		return invalid("payment_method", "A payment method is needed to confirm"), nil
	}
	i, err := s.lockIntent(tx, c.id)
	if errors.Is(err, sql.ErrNoRows) {
		return noSuchIntent(c.id), nil
	}
	if err != nil {
		return answer{}, err
	}
	item := i.item("charge", c.engineKey(), i.Amount)
	switch {
	case i.Status != unconfirmed:
		return i.unexpectedState("confirm", item), nil
	case token == "tok_declined":
		a := refuse(http.StatusPaymentRequired, stripeError{Type: "card_error", Code: "card_declined",
			DeclineCode: "generic_decline", Message: "Your card was declined.", PaymentIntent: i})
		a.item, a.keep = item.as(declined), true
		return a, nil
	case token == "tok_flaky" && i.failures < flakyFailures:
		_, err := tx.ExecContext(s.ctx, `UPDATE sandbox.intent SET failures = failures + 1 WHERE id = $1`, i.ID)
		a := refuse(http.StatusServiceUnavailable, stripeError{Type: "api_error", Message: "The card network does not answer."})
		a.item = item.as(failed)
		return a, err
	}
	i, err = scanIntent(tx.QueryRowContext(s.ctx, `
		UPDATE sandbox.intent SET status = $2, card = $3 WHERE id = $1 RETURNING `+intentColumns, i.ID, intentCharged, token))
	if err != nil {
		return answer{}, err
	}
	a := answer{status: http.StatusOK, body: encode(i), item: item.as(succeeded), keep: true}
	if token == "tok_timeout_after_charge" { //nolint:gosec // a test card, and no secret
		a.hang = s.opts.Timing.Hang
	}
	return a, nil
}

func (s *Sandbox) cancelIntent(tx *sql.Tx, c call) (answer, error) {
	i, err := s.lockIntent(tx, c.id)
	if errors.Is(err, sql.ErrNoRows) {
		return noSuchIntent(c.id), nil
	}
	if err != nil {
		return answer{}, err
	}
	item := i.item("cancel", c.engineKey(), i.Amount)
	if i.Status != unconfirmed {
		return i.unexpectedState("cancel", item), nil
	}
	i, err = scanIntent(tx.QueryRowContext(s.ctx, `
		UPDATE sandbox.intent SET status = $2 WHERE id = $1 RETURNING `+intentColumns, i.ID, intentCanceled))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: encode(i), item: item.as(succeeded), keep: true}, nil
}

// unexpectedState refuses for good what comes too late.
func (i *intent) unexpectedState(what string, item paymentItem) answer {
	a := refuse(http.StatusBadRequest, stripeError{Type: "invalid_request_error", Code: "payment_intent_unexpected_state",
		Message: "You cannot " + what + " this PaymentIntent because it has a status of " + i.Status + ".", PaymentIntent: i})
	a.item, a.keep = item.as(declined), true
	return a
}

func (s *Sandbox) retrieveIntent(w http.ResponseWriter, r *http.Request) {
	s.read(w, func() (answer, error) {
		i, err := scanIntent(s.db.QueryRowContext(s.ctx, `SELECT `+intentColumns+` FROM sandbox.intent WHERE id = $1`, r.PathValue("id")))
		if errors.Is(err, sql.ErrNoRows) {
			return noSuchIntent(r.PathValue("id")), nil
		}
		return answer{status: http.StatusOK, body: encode(i)}, err
	})
}

// byMetadata is the part of Stripe's query language that is understood.
var byMetadata = regexp.MustCompile(`^metadata\['(key|reference)'\]:'((?:[^'\\]|\\.)*)'$`)

var unescape = strings.NewReplacer(`\\`, `\`, `\'`, `'`)

func (s *Sandbox) searchIntents(w http.ResponseWriter, r *http.Request) {
	query := byMetadata.FindStringSubmatch(r.URL.Query().Get("query"))
	if query == nil {
		writeStripe(w, invalid("query", "The sandbox searches for metadata['key']:'…' and metadata['reference']:'…' only"))
		return
	}
	s.read(w, func() (answer, error) {
		//nolint:gosec // the column is one of the pattern's two
		rows, err := s.db.QueryContext(s.ctx, `SELECT `+intentColumns+` FROM sandbox.intent
			WHERE `+query[1]+` = $1 AND created <= $2 ORDER BY created DESC, id`,
			unescape.Replace(query[2]), s.now().Add(-s.opts.SearchLag))
		return page(rows, err, "search_result", "/v1/payment_intents/search", scanIntent)
	})
}

// read answers a call that changes nothing.
func (s *Sandbox) read(w http.ResponseWriter, get func() (answer, error)) {
	err := s.pause(s.opts.Delay)
	var a answer
	if err == nil {
		a, err = get()
	}
	if err != nil {
		s.opts.Log.Debug("the sandbox failed", "error", err)
		a = refuse(http.StatusInternalServerError, stripeError{Type: "api_error", Message: "The sandbox failed"})
	}
	writeStripe(w, a)
}

// page answers all rows at once, in the shape of Stripe's lists.
func page[T any](rows *sql.Rows, err error, object, url string, scan func(interface{ Scan(...any) error }) (T, error)) (answer, error) {
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = rows.Close() }()
	data := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return answer{}, err
		}
		data = append(data, item)
	}
	return answer{status: http.StatusOK, body: encode(map[string]any{
		"object": object, "url": url, "has_more": false, "data": data,
	})}, rows.Err()
}
