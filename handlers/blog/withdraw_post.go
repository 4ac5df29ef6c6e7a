package blog

import (
	"context"

	"troupe/choreo"
	"troupe/domain/post"
)

// WithdrawPost on TagsRejected and AttachmentRelocationFailed takes back a post
// in processing, once, for the reason that the fact gives. Emits PostWithdrawn.
// It is the undoing of create-post.
func WithdrawPost[F choreo.Fact](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	p, err := post.LoadIn(ctx, tx, e.Fact.Key(), post.Processing)
	if err != nil || p == nil {
		return err
	}
	p.Withdraw(choreo.Reason(e.Fact))
	return p.Save(ctx, tx)
}
