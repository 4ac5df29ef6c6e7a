package blog

import (
	"context"
	"fmt"
	"slices"

	"troupe/choreo"
	"troupe/domain/post"
	"troupe/domain/tag"
	"troupe/events"
)

// CreateTags makes the consumer that, on PostCreated, finds the tags that the
// fact names, creates the missing and maps all to the post. It starts from a
// post that is processing or published: a fact that comes again maps nothing
// twice. No tag of a forbidden name, however that is written, is created.
// Emits TagsCreated, or TagsRejected with nothing created; neither where no tag
// was asked for. Undone by RemoveTags.
func CreateTags(forbidden []string) func(context.Context, *choreo.Tx, choreo.Event[events.PostCreated]) error {
	var refused []string
	for _, name := range forbidden {
		if folded, err := tag.Fold(name); err == nil { // no tag has another name
			refused = append(refused, folded)
		}
	}
	return func(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.PostCreated]) error {
		p, err := post.LoadIn(ctx, tx, e.Fact.PostID, post.Processing, post.Published)
		if err != nil || p == nil || len(e.Fact.TagNames) == 0 {
			return err
		}
		names, err := tag.FoldAll(e.Fact.TagNames)
		if err != nil {
			tx.Emit(events.TagsRejected{PostID: p.ID, Reason: tag.ErrName.Error()})
			return nil //nolint:nilerr // the fact says it
		}
		for _, name := range names {
			if slices.Contains(refused, name) {
				tx.Emit(events.TagsRejected{PostID: p.ID, Reason: fmt.Sprintf("the tag %q is not allowed", name)})
				return nil
			}
		}
		if err := tag.Map(ctx, tx, p.ID, names); err != nil {
			return err
		}
		tx.Emit(events.TagsCreated{PostID: p.ID, Tags: names})
		return nil
	}
}
