package sandbox

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"time"
)

// How an attempt went, the same words in every list.
const (
	succeeded = "succeeded"
	declined  = "declined" // refused for good
	failed    = "failed"   // for now
	replayed  = "replayed" // a repeat of one already answered: nothing was done again
)

// flakyFailures is how often what is flaky fails before it succeeds.
const flakyFailures = 2

type message struct {
	id, subject, text, kind string
}

// readMessage takes from a mail what the list shows of it.
func readMessage(r io.Reader) (message, error) {
	in, err := mail.ReadMessage(r)
	if err != nil {
		return message{}, err
	}
	text, err := plainText(in.Header.Get("Content-Type"), in.Header.Get("Content-Transfer-Encoding"), in.Body)
	if err != nil {
		return message{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(in.Header.Get("Subject"))
	if err != nil {
		return message{}, err
	}
	m := message{
		id: storable(in.Header.Get("Message-Id")), subject: storable(subject),
		text: storable(strings.ReplaceAll(text, "\r\n", "\n")), kind: storable(in.Header.Get("X-Troupe-Kind")),
	}
	if m.id == "" {
		m.id = rand.Text() // cannot be known again
	}
	return m, nil
}

// storable makes of s what Postgres takes for text.
func storable(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
}

// plainText decodes a body; of one in several parts it gives the first text.
func plainText(contentType, encoding string, body io.Reader) (string, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err == nil && strings.HasPrefix(media, "multipart/") {
		part, err := multipart.NewReader(body, params["boundary"]).NextRawPart()
		if err != nil {
			return "", err
		}
		return plainText(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part)
	}
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	text, err := io.ReadAll(body)
	return string(text), err
}

// deliver attempts to deliver to each recipient and gives the statuses that
// came of it.
func (s *Sandbox) deliver(m message, recipients []string) (statuses map[string]bool, err error) {
	delay := s.opts.Delay
	if slices.ContainsFunc(recipients, func(to string) bool { return mailbox(to) == "slow" }) {
		delay += s.opts.Timing.SlowMail
	}
	if err := s.pause(delay); err != nil {
		return nil, err
	}
	recipients = slices.Sorted(slices.Values(recipients)) // the same order for all who lock several
	statuses = map[string]bool{}
	return statuses, s.inTx(func(tx *sql.Tx) error {
		for _, to := range slices.Compact(recipients) {
			status, err := s.attempt(tx, m, to)
			if err != nil {
				return fmt.Errorf("delivering to one recipient: %w", err)
			}
			statuses[status] = true
		}
		return nil
	})
}

// mailbox is the local part that decides how a recipient fails; bounce+7@… is
// bounce, so that a test has as many of them as it likes.
func mailbox(address string) string {
	local, _, _ := strings.Cut(address, "@")
	local, _, _ = strings.Cut(local, "+")
	return strings.ToLower(local)
}

// attempt delivers to one recipient, or fails as it wants. The row of the
// message is locked from the first statement on.
func (s *Sandbox) attempt(tx *sql.Tx, m message, to string) (status string, err error) {
	var failures int
	var accepted bool
	err = tx.QueryRowContext(s.ctx, `
		INSERT INTO sandbox.message (message_id, recipient) VALUES ($1, $2)
		ON CONFLICT (message_id, recipient) DO UPDATE SET failures = message.failures
		RETURNING failures, accepted`, m.id, to).Scan(&failures, &accepted)
	if err != nil {
		return "", err
	}
	switch box := mailbox(to); {
	case accepted:
		status = replayed
	case box == "bounce":
		status = declined
	case box == "flaky" && failures < flakyFailures:
		status = failed
	default:
		status = succeeded
	}
	_, err = tx.ExecContext(s.ctx, `
		UPDATE sandbox.message
		SET failures = failures + CASE $3 WHEN 'failed' THEN 1 ELSE 0 END, accepted = accepted OR $3 = 'succeeded'
		WHERE message_id = $1 AND recipient = $2`, m.id, to, status)
	if err != nil {
		return "", err
	}
	_, err = tx.ExecContext(s.ctx, `
		INSERT INTO sandbox.mail (recipient, subject, body, kind, at, status) VALUES ($1, $2, $3, $4, $5, $6)`,
		to, m.subject, m.text, m.kind, s.now(), status)
	return status, err
}

type mailItem struct {
	To      string    `json:"to"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"`
	Status  string    `json:"status"`
}

// mails lists the attempts, oldest first; all of them when limit is null.
func (s *Sandbox) mails(ctx context.Context, limit sql.NullInt64) (items []mailItem, err error) {
	rows, err := s.db.QueryContext(ctx, `
		SELECT recipient, subject, body, kind, at, status FROM sandbox.mail ORDER BY id LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	items = []mailItem{}
	for rows.Next() {
		var i mailItem
		if err := rows.Scan(&i.To, &i.Subject, &i.Text, &i.Kind, &i.At, &i.Status); err != nil {
			return nil, err
		}
		i.At = i.At.UTC()
		items = append(items, i)
	}
	return items, rows.Err()
}
