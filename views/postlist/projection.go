// Package postlist is the view behind GET /posts: posts without their contents,
// from the facts of posts.
package postlist

import (
	"context"
	_ "embed"

	"github.com/lib/pq"

	"troupe/choreo"
	"troupe/events"
)

// Name of the view.
const Name = "post-list"

// Tables makes its tables.
//
//go:embed tables.sql
var Tables string

// Created adds the post, with the tags that it asked for.
func Created(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostCreated]) error {
	tags := append([]string{}, e.Fact.TagNames...)
	return exec(ctx, tx, `insert into posts (post_id, author_id, title, tags, state, created_at)
		values ($1, case when exists (select from erased where author_id = $2) then '' else $2 end, $3, $4, 'processing', $5)
		on conflict do nothing`,
		e.Fact.PostID, e.Fact.AuthorID, e.Fact.Title, pq.Array(tags), e.Time)
}

// TagsCreated adds the tags that it lacks.
func TagsCreated(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.TagsCreated]) error {
	return exec(ctx, tx, `update posts set tags = tags || array(
			select t from unnest($2::text[]) with ordinality as x (t, n) where t <> all (tags) order by n)
		where post_id = $1`, e.Fact.PostID, pq.Array(e.Fact.Tags))
}

// TagsRemoved takes all its tags.
func TagsRemoved(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.TagsRemoved]) error {
	return exec(ctx, tx, `update posts set tags = '{}' where post_id = $1`, e.Fact.PostID)
}

// Published publishes a post that was in processing.
func Published(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostPublished]) error {
	return exec(ctx, tx, `update posts set state = 'published' where post_id = $1 and state = 'processing'`, e.Fact.PostID)
}

// Withdrawn withdraws a post that was in processing.
func Withdrawn(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostWithdrawn]) error {
	return exec(ctx, tx, `update posts set state = 'withdrawn' where post_id = $1 and state = 'processing'`, e.Fact.PostID)
}

// Deleted deletes the post: its row stays, so that a fact that comes again does
// not bring it back.
func Deleted(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostDeleted]) error {
	return exec(ctx, tx, `update posts set state = 'deleted', title = '', tags = '{}' where post_id = $1`, e.Fact.PostID)
}

// AuthorErased leaves the author's posts without author, also those that the
// view hears of later: accounts have a topic of their own.
func AuthorErased(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.AccountErased]) error {
	if err := exec(ctx, tx, `insert into erased (author_id) values ($1) on conflict do nothing`, e.Fact.AccountID); err != nil {
		return err
	}
	return exec(ctx, tx, `update posts set author_id = '' where author_id = $1`, e.Fact.AccountID)
}

func exec(ctx context.Context, tx *choreo.Tx, query string, args ...any) error {
	_, err := tx.ExecContext(ctx, query, args...)
	return err
}
