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
	r, err := s.work(ctx, "change-shipping-info", func(ctx context.Context, tx *choreo.Tx) error {
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
	})
	if err != nil {
		return nil, err
	}
	return s.answerOrder(ctx, in.ID, ongoing(r))
}
