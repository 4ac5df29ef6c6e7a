package sandbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// stale is an update that comes after a later one: it is listed as declined.
const stale = "stale"

// carrierUpdate tells where an order goes.
type carrierUpdate struct {
	ChangeID     string `json:"changeId"`
	Sequence     int64  `json:"sequence"`
	ShippingInfo struct {
		Name       string `json:"name"`
		Street     string `json:"street"`
		City       string `json:"city"`
		PostalCode string `json:"postalCode"`
		Country    string `json:"country"`
	} `json:"shippingInfo"`
}

// carrierRoutes plays the carrier.
func (s *Sandbox) carrierRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("PUT /carrier/orders/{id}", plain(s,
		func(r *http.Request, _ carrierUpdate) string { return "carrier " + r.PathValue("id") }, s.update))
	mux.Handle("GET /carrier/updates", s.find(`SELECT FROM sandbox.update WHERE key = $1 AND status = 'succeeded'`))
	return mux
}

// update takes an update of an order, or fails as its postal code wants. The
// order is locked.
func (s *Sandbox) update(tx *sql.Tx, r *http.Request, u carrierUpdate) (status string, err error) {
	id, key, info := r.PathValue("id"), r.Header.Get("Idempotency-Key"), encode(u.ShippingInfo)
	var taken, other bool
	var failures int
	var latest int64
	err = tx.QueryRowContext(s.ctx, `
		SELECT coalesce(bool_or(key = $2 AND status = 'succeeded'), false),
		       coalesce(bool_or(key = $2 AND (info, change_id, sequence) <> ($3, $4, $5)), false),
		       count(*) FILTER (WHERE key = $2 AND status = 'failed'),
		       coalesce(max(sequence) FILTER (WHERE status = 'succeeded'), 0)
		FROM sandbox.update WHERE order_id = $1`, id, key, info, u.ChangeID, u.Sequence).Scan(&taken, &other, &failures, &latest)
	if err != nil {
		return "", err
	}
	switch {
	case other: // the key belongs to another request
		status = declined
	case taken:
		status = replayed
	case u.Sequence < latest:
		status = stale
	case u.ShippingInfo.PostalCode == "00000":
		status = declined
	case u.ShippingInfo.PostalCode == "00001" && failures < flakyFailures:
		status = failed
	default:
		status = succeeded
	}
	listed := status
	if status == stale {
		listed = declined
	}
	_, err = tx.ExecContext(s.ctx, `
		INSERT INTO sandbox.update (order_id, change_id, sequence, info, key, at, status) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		id, u.ChangeID, u.Sequence, info, key, s.now(), listed)
	return status, err
}

type updateItem struct {
	OrderID      string          `json:"orderId"`
	ChangeID     string          `json:"changeId"`
	ShippingInfo json.RawMessage `json:"shippingInfo"`
	Key          string          `json:"key"`
	At           time.Time       `json:"at"`
	Status       string          `json:"status"`
}

// updates lists the attempts, oldest first; all of them when limit is null.
func (s *Sandbox) updates(ctx context.Context, limit sql.NullInt64) (items []updateItem, err error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT order_id, change_id, info, key, at, status FROM sandbox.update ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	items = []updateItem{}
	for rows.Next() {
		var i updateItem
		var info string
		if err := rows.Scan(&i.OrderID, &i.ChangeID, &info, &i.Key, &i.At, &i.Status); err != nil {
			return nil, err
		}
		i.At, i.ShippingInfo = i.At.UTC(), json.RawMessage(info)
		items = append(items, i)
	}
	return items, rows.Err()
}
