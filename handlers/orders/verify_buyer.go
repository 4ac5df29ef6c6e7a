package orders

import (
	"context"

	"troupe/choreo"
	"troupe/domain/buyer"
	"troupe/events"
)

// VerifyBuyer on OrderStarted, in the command's transaction, finds or creates
// the buyer and the payment method, where alone the card token stays, encrypted
// under the card key. Emits OrderSubmitted. Undone by nothing of its own: a
// payment method serves the buyer's next order too.
func VerifyBuyer(cardKey []byte) func(context.Context, *choreo.Tx, choreo.Event[events.OrderStarted]) error {
	return func(ctx context.Context, tx *choreo.Tx, e choreo.Event[events.OrderStarted]) error {
		method, err := buyer.PaymentMethod(ctx, tx, cardKey, e.Fact.AccountID, e.Fact.CardToken)
		if err != nil {
			return err
		}
		tx.Emit(events.OrderSubmitted{
			OrderID: e.Fact.OrderID, AccountID: e.Fact.AccountID, PaymentMethodID: method,
			Lines: e.Fact.Lines, Total: e.Fact.Total, ShippingVersion: e.Fact.ShippingVersion,
		})
		return nil
	}
}
