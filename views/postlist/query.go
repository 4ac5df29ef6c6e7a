package postlist

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// Post is a post in a list.
type Post struct {
	PostID, Title, AuthorID, State string
	Tags                           []string
	CreatedAt                      time.Time
}

// Listing says which posts to list: published ones, and in any state but
// deleted those of Author; with All everybody's.
type Listing struct {
	Author string // empty: nobody
	All    bool
	Before string // a post's id: only what is older; empty: from the newest
	Limit  int
}

// List reads posts, newest first.
func List(ctx context.Context, pool *sql.DB, l Listing) ([]Post, error) {
	rows, err := pool.QueryContext(ctx, `
		select post_id, author_id, title, tags, state, created_at from (
			(select * from post_list.posts where not $1 and state = 'published' and ($3 = '' or post_id < $3)
				order by post_id desc limit $4)
			union all
			(select * from post_list.posts where not $1 and author_id = $2 and $2 <> '' and state in ('processing', 'withdrawn')
				and ($3 = '' or post_id < $3) order by post_id desc limit $4)
			union all
			(select * from post_list.posts where $1 and state <> 'deleted' and ($3 = '' or post_id < $3)
				order by post_id desc limit $4)
		) p order by post_id desc limit $4`, l.All, l.Author, l.Before, l.Limit)
	if err != nil {
		return nil, fmt.Errorf("listing posts: %w", err)
	}
	defer rows.Close()
	posts := []Post{}
	for rows.Next() {
		var p Post
		if err := rows.Scan(&p.PostID, &p.AuthorID, &p.Title, pq.Array(&p.Tags), &p.State, &p.CreatedAt); err != nil {
			return nil, fmt.Errorf("listing posts: %w", err)
		}
		p.CreatedAt = p.CreatedAt.UTC()
		posts = append(posts, p)
	}
	return posts, rows.Err()
}
