package orders

import (
	"context"

	"troupe/choreo"
	"troupe/domain/order"
)

// refundSettled is a fact after which nothing is owed.
type refundSettled interface {
	choreo.Fact
	Order() string
	MoneyBack() bool
}

// CompleteRefund on PaymentRefunded or RefundNotNeeded ends the order's refund,
// started or failed: completed, or none where nothing had been taken. Emits
// RefundCompleted. Part of an undoing itself, undone by nothing.
func CompleteRefund[F refundSettled](ctx context.Context, tx *choreo.Tx, e choreo.Event[F]) error {
	o, found, err := order.Load(ctx, tx, e.Fact.Order())
	if err != nil || !found {
		return err
	}
	o.SettleRefund(e.Fact.MoneyBack())
	return o.Save(ctx, tx)
}
