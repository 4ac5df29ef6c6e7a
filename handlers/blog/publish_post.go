package blog

import (
	"context"

	"troupe/choreo"
	"troupe/domain/attachment"
	"troupe/domain/post"
	"troupe/domain/tag"
)

// PublishPost on PostCreated, TagsCreated and AttachmentsRelocated publishes a
// post in processing once it has all that it asked for, in whatever order that
// comes. Emits PostPublished. Nothing undoes it but the deletion of the post.
func PublishPost[F choreo.Fact](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	p, err := post.LoadIn(ctx, tx, e.Fact.Key(), post.Processing)
	if err != nil || p == nil {
		return err
	}
	tagged, err := tag.Mapped(ctx, tx, p.ID, p.TagNames)
	if err != nil || !tagged {
		return err
	}
	filed, err := attachment.Mapped(ctx, tx, p.ID, p.Files)
	if err != nil || !filed {
		return err
	}
	p.Publish()
	return p.Save(ctx, tx)
}
