package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// refund is Stripe's Refund, as far as it is needed.
type refund struct {
	ID            string            `json:"id"`
	Object        string            `json:"object"`
	PaymentIntent string            `json:"payment_intent"`
	Amount        int64             `json:"amount"`
	Currency      string            `json:"currency"`
	Status        string            `json:"status"`
	Metadata      map[string]string `json:"metadata"`
	Created       int64             `json:"created"`
}

const refundQuery = `SELECT r.id, r.intent, r.amount, i.currency, r.key, r.reference, r.created
	FROM sandbox.refund r JOIN sandbox.intent i ON i.id = r.intent `

func scanRefund(row interface{ Scan(...any) error }) (*refund, error) {
	r := &refund{Object: "refund", Status: "succeeded"}
	var key, reference string
	var created time.Time
	if err := row.Scan(&r.ID, &r.PaymentIntent, &r.Amount, &r.Currency, &key, &reference, &created); err != nil {
		return nil, err
	}
	r.Metadata = map[string]string{"key": key, "reference": reference}
	r.Created = created.Unix()
	return r, nil
}

// createRefund gives back what the form says, else all that is left.
func (s *Sandbox) createRefund(tx *sql.Tx, c call) (answer, error) {
	id := c.form.Get("payment_intent")
	i, err := s.lockIntent(tx, id)
	if errors.Is(err, sql.ErrNoRows) {
		return noSuchIntent(id), nil
	}
	if err != nil {
		return answer{}, err
	}
	var given int64
	if err := tx.QueryRowContext(s.ctx, `SELECT coalesce(sum(amount), 0) FROM sandbox.refund WHERE intent = $1`, i.ID).Scan(&given); err != nil {
		return answer{}, err
	}
	left := i.AmountReceived - given
	amount := left
	if c.form.Has("amount") {
		if amount, err = strconv.ParseInt(c.form.Get("amount"), 10, 64); err != nil || amount < 1 {
			return invalid("amount", "Invalid positive integer"), nil //nolint:nilerr // this is the answer to it
		}
	}
	item := i.item("refund", c.engineKey(), amount)
	switch {
	case i.Status != intentCharged:
		return refuseRefund(item, "", "This PaymentIntent does not have a successful charge to refund."), nil
	case i.card == "tok_refund_fails":
		item.Amount = i.AmountReceived
		return refuseRefund(item, "charge_not_refundable", "This charge cannot be refunded."), nil
	case left == 0:
		return refuseRefund(item, "charge_already_refunded", "This charge has already been refunded."), nil
	case amount > left:
		return refuseRefund(item, "", "Refund amount is greater than unrefunded amount on charge."), nil
	}
	made := newID("re_")
	_, err = tx.ExecContext(s.ctx, `
		INSERT INTO sandbox.refund (id, intent, key, reference, amount, created) VALUES ($1, $2, $3, $4, $5, $6)`,
		made, i.ID, c.form.Get("metadata[key]"), c.form.Get("metadata[reference]"), amount, s.now())
	if err != nil {
		return answer{}, err
	}
	r, err := scanRefund(tx.QueryRowContext(s.ctx, refundQuery+`WHERE r.id = $1`, made))
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: encode(r), item: item.as(succeeded), keep: true}, nil
}

func refuseRefund(item paymentItem, code, message string) answer {
	a := refuse(http.StatusBadRequest, stripeError{Type: "invalid_request_error", Code: code, Message: message})
	a.item, a.keep = item.as(declined), true
	return a
}

// listRefunds lists those of one intent, the newest first.
func (s *Sandbox) listRefunds(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("payment_intent")
	if id == "" {
		writeStripe(w, invalid("payment_intent", "The sandbox lists the refunds of one payment_intent only"))
		return
	}
	s.read(w, func() (answer, error) {
		rows, err := s.db.QueryContext(s.ctx, refundQuery+`WHERE r.intent = $1 ORDER BY r.seq DESC`, id)
		return page(rows, err, "list", "/v1/refunds", scanRefund)
	})
}

// paymentItem is one attempt to charge, refund or cancel, as staff sees it.
type paymentItem struct {
	Kind      string    `json:"kind"`
	Key       string    `json:"key"`
	Reference string    `json:"reference"`
	Amount    int64     `json:"amount"`
	Currency  string    `json:"currency"`
	At        time.Time `json:"at"`
	Status    string    `json:"status"`
}

func (i *intent) item(kind, key string, amount int64) paymentItem {
	return paymentItem{Kind: kind, Key: key, Reference: i.Metadata["reference"], Amount: amount, Currency: strings.ToUpper(i.Currency)}
}

func (p paymentItem) as(status string) *paymentItem {
	p.Status = status
	return &p
}

func (s *Sandbox) addPayment(tx *sql.Tx, p paymentItem) (id sql.NullInt64, err error) {
	err = tx.QueryRowContext(s.ctx, `
		INSERT INTO sandbox.payment (kind, key, reference, amount, currency, at, status)
		VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
		p.Kind, p.Key, p.Reference, p.Amount, p.Currency, s.now(), p.Status).Scan(&id)
	return id, err
}

// payments lists the attempts, oldest first; all of them when limit is null.
func (s *Sandbox) payments(ctx context.Context, limit sql.NullInt64) (items []paymentItem, err error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT kind, key, reference, amount, currency, at, status FROM sandbox.payment ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	items = []paymentItem{}
	for rows.Next() {
		var p paymentItem
		if err := rows.Scan(&p.Kind, &p.Key, &p.Reference, &p.Amount, &p.Currency, &p.At, &p.Status); err != nil {
			return nil, err
		}
		p.At = p.At.UTC()
		items = append(items, p)
	}
	return items, rows.Err()
}
