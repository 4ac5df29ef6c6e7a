package post

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"troupe/choreo"
)

// LoadIn is Load of a post that is in one of these states; nil where it is in
// another, or not there.
func LoadIn(ctx context.Context, tx *choreo.Tx, id string, states ...State) (*Post, error) {
	p, err := Load(ctx, tx, id)
	if errors.Is(err, ErrNotFound) || err == nil && !slices.Contains(states, p.State) {
		return nil, nil
	}
	return p, err
}

// Load reads a post and locks its row.
func Load(ctx context.Context, tx *choreo.Tx, id string) (*Post, error) {
	p := &Post{ID: id}
	if uuid.Validate(id) != nil {
		return nil, ErrNotFound // a fact of somebody else's
	}
	err := tx.QueryRowContext(ctx, `select author_id, title, contents, tag_names, files, state, reason, mail_event, saga, created_at
		from blog_posts where post_id = $1 for update`, id).
		Scan(&p.AuthorID, &p.Title, &p.stored, pq.Array(&p.TagNames), pq.Array(&p.Files),
			&p.State, &p.Reason, &p.mailEvent, &p.Saga, &p.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("loading post %s: %w", id, err)
	}
	if err := json.Unmarshal([]byte(p.stored), &p.Contents); err != nil {
		return nil, fmt.Errorf("reading the contents of post %s: %w", id, err)
	}
	return p, nil
}

// Save writes the post and emits the facts it raised.
func (p *Post) Save(ctx context.Context, tx *choreo.Tx) error {
	write := p.update
	if p.stored == "" {
		write = p.insert
	}
	if err := write(ctx, tx); err != nil {
		return fmt.Errorf("saving post %s: %w", p.ID, err)
	}
	tx.Emit(p.raised...)
	p.raised, p.stored = nil, array(p.Contents)
	return nil
}

func (p *Post) insert(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `insert into blog_posts
			(post_id, author_id, title, contents, tag_names, files, state, reason, saga, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		p.ID, p.AuthorID, p.Title, array(p.Contents), pq.Array(p.TagNames), pq.Array(p.Files),
		string(p.State), p.Reason, p.Saga, p.CreatedAt)
	return err
}

func (p *Post) update(ctx context.Context, tx *choreo.Tx) error {
	// Contents are large, and most changes are not theirs.
	contents := array(p.Contents)
	_, err := tx.ExecContext(ctx, `update blog_posts
		set title = $2, contents = coalesce($3, contents), state = $4, reason = $5, mail_event = $6
		where post_id = $1`,
		p.ID, p.Title, sql.NullString{String: contents, Valid: contents != p.stored}, string(p.State), p.Reason, p.mailEvent)
	return err
}

// Forget takes the author's name off the posts of an erased account: they stay.
func Forget(ctx context.Context, tx *choreo.Tx, accountID string) error {
	if _, err := tx.ExecContext(ctx, `update blog_posts set anonymous = true where author_id = $1`, accountID); err != nil {
		return fmt.Errorf("taking the author off the posts of account %s: %w", accountID, err)
	}
	return nil
}

// array joins JSON values as they are: encoding/json would rewrite them.
func array(values []json.RawMessage) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return "[" + strings.Join(texts, ",") + "]"
}
