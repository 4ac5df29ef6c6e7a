package post

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
)

// Reading is a post as it is read, without a lock.
type Reading struct {
	ID        string
	AuthorID  string // empty where the author is erased
	Title     string
	Contents  []json.RawMessage
	Tags      []string // that it has; in processing, asked for
	Files     []string // asked for: attachment ids
	State     State
	Reason    string
	Saga      string
	CreatedAt time.Time
}

// Reading is the post as it is read while nothing has come of it yet.
func (p *Post) Reading() *Reading {
	return &Reading{
		ID: p.ID, AuthorID: p.AuthorID, Title: p.Title, Contents: p.Contents, Tags: p.TagNames, Files: p.Files,
		State: p.State, Reason: p.Reason, Saga: p.Saga, CreatedAt: p.CreatedAt,
	}
}

const tagsOf = `case state when 'processing' then tag_names
	else array(select tag_name::text from blog_post_tags t where t.post_id = p.post_id order by position) end`

const authorOf = `case when anonymous then '' else author_id end`

// Querier is a transaction or a pool.
type Querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// Find reads a post.
func Find(ctx context.Context, q Querier, id string) (*Reading, error) {
	if uuid.Validate(id) != nil {
		return nil, ErrNotFound
	}
	r := &Reading{ID: id}
	var contents []byte
	err := q.QueryRowContext(ctx, `select `+authorOf+`, title, contents, `+tagsOf+`, files, state, reason, saga, created_at
		from blog_posts p where post_id = $1`, id).
		Scan(&r.AuthorID, &r.Title, &contents, pq.Array(&r.Tags), pq.Array(&r.Files),
			&r.State, &r.Reason, &r.Saga, &r.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading post %s: %w", id, err)
	}
	if err := json.Unmarshal(contents, &r.Contents); err != nil {
		return nil, fmt.Errorf("reading the contents of post %s: %w", id, err)
	}
	return r, nil
}
