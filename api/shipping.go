package api

import (
	"context"

	"troupe/choreo"
	"troupe/domain/order"
)

type shippingRequest struct {
	ID   string `path:"id"`
	Body shippingInfo
}

// changeShippingInfo starts a saga of its own: the order's goes on without it.
func (s *Server) changeShippingInfo(ctx context.Context, in *shippingRequest) (*orderAnswer, error) {
	return command(ctx, s, "change-shipping-info", working(func(ctx context.Context, tx *choreo.Tx) error {
		d, found, err := order.LoadDelivery(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		if !found || !caller(ctx).mayRead(d.AccountID) {
			return errNotFound
		}
		if err := d.Change(tx.NewID(), tx.Saga(), order.Shipping(in.Body)); err != nil {
			return err
		}
		return d.Save(ctx, tx)
	}), func(ctx context.Context, r choreo.Receipt) (*orderAnswer, error) {
		return s.answerOrder(ctx, in.ID, ongoing(r))
	})
}
