package sandbox

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"strings"
	"time"
)

type textMessage struct {
	To   string `json:"to"`
	Text string `json:"text"`
}

// smsRoutes plays the SMS gateway.
func (s *Sandbox) smsRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /sms/messages", plain(s,
		func(r *http.Request, _ textMessage) string { return "sms " + r.Header.Get("Idempotency-Key") }, s.text))
	mux.Handle("GET /sms/messages", s.find(`SELECT FROM sandbox.sms WHERE key = $1 AND status = 'succeeded'`))
	return mux
}

// text sends a message, or refuses as its number wants. The key is locked.
func (s *Sandbox) text(tx *sql.Tx, r *http.Request, m textMessage) (status string, err error) {
	key := r.Header.Get("Idempotency-Key")
	var sent, other bool
	err = tx.QueryRowContext(s.ctx, `
		SELECT coalesce(bool_or(status = 'succeeded'), false), coalesce(bool_or((recipient, body) <> ($2, $3)), false)
		FROM sandbox.sms WHERE key = $1`, key, m.To, m.Text).Scan(&sent, &other)
	if err != nil {
		return "", err
	}
	switch {
	case other: // the key belongs to another request
		status = declined
	case sent:
		status = replayed
	case strings.HasSuffix(m.To, "0000"):
		status = declined
	default:
		status = succeeded
	}
	_, err = tx.ExecContext(s.ctx, `INSERT INTO sandbox.sms (recipient, body, key, at, status) VALUES ($1, $2, $3, $4, $5)`,
		m.To, m.Text, key, s.now(), status)
	return status, err
}

type textItem struct {
	To     string    `json:"to"`
	Text   string    `json:"text"`
	Key    string    `json:"key"`
	At     time.Time `json:"at"`
	Status string    `json:"status"`
}

// texts lists the attempts, oldest first; all of them when limit is null.
func (s *Sandbox) texts(ctx context.Context, limit sql.NullInt64) (items []textItem, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT recipient, body, key, at, status FROM sandbox.sms ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	items = []textItem{}
	for rows.Next() {
		var i textItem
		if err := rows.Scan(&i.To, &i.Text, &i.Key, &i.At, &i.Status); err != nil {
			return nil, err
		}
		i.At = i.At.UTC()
		items = append(items, i)
	}
	return items, rows.Err()
}
