package blog

import (
	"context"

	"troupe/choreo"
	"troupe/domain/post"
	"troupe/domain/tag"
	"troupe/events"
)

// RemoveTags on PostWithdrawn and PostDeleted takes the tags from a post that
// is either; a tag that no post has is gone. Emits TagsRemoved, also where
// there was none. It is the undoing of CreateTags.
func RemoveTags[F choreo.Fact](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	p, err := post.LoadIn(ctx, tx, e.Fact.Key(), post.Withdrawn, post.Deleted)
	if err != nil || p == nil {
		return err
	}
	if err := tag.Unmap(ctx, tx, p.ID); err != nil {
		return err
	}
	tx.Emit(events.TagsRemoved{PostID: p.ID})
	return nil
}
