package payment

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stripe/stripe-go/v82"
)

// Reverse implements Payments. See Stripe for why it is safe at any moment.
func (s *Stripe) Reverse(ctx context.Context, r Request, refundKey string) (Reversal, error) {
	currency := strings.ToUpper(r.Amount.Currency)
	total := Reversal{Captured: Money{Currency: currency}, Refunded: Money{Currency: currency}}

	ids, err := s.intents(ctx, r)
	if err != nil {
		return total, err
	}
	for _, id := range ids {
		intent, err := s.stop(ctx, id, refundKey)
		if err != nil {
			return total, err
		}
		if intent.Status == stripe.PaymentIntentStatusCanceled {
			continue
		}
		refundID, refunded, err := s.refund(ctx, intent, refundKey)
		if err != nil {
			return total, err
		}
		total.PaymentID, total.RefundID = id, refundID
		total.Captured.Amount += intent.AmountReceived
		total.Refunded.Amount += refunded
	}
	return total, nil
}

// FindReversal implements Payments.
func (s *Stripe) FindReversal(ctx context.Context, reference string) (Reversal, bool, error) {
	ids, err := s.search(ctx, "reference", reference)
	if err != nil || len(ids) == 0 {
		return Reversal{}, false, err
	}
	var total Reversal
	for _, id := range ids {
		intent, err := s.client.V1PaymentIntents.Retrieve(ctx, id, nil)
		if err != nil {
			return Reversal{}, false, wrap("asking after the payment", err, nil)
		}
		currency := strings.ToUpper(string(intent.Currency))
		total.Captured.Currency, total.Refunded.Currency = currency, currency
		switch {
		case !ended(intent):
			return Reversal{}, false, nil
		case intent.Status == stripe.PaymentIntentStatusCanceled:
			continue
		}
		made, err := s.refunds(ctx, id)
		if err != nil {
			return Reversal{}, false, err
		}
		if !made.settles(intent) || made.pending != "" {
			return Reversal{}, false, nil
		}
		total.PaymentID, total.RefundID = id, made.id
		total.Captured.Amount += intent.AmountReceived
		total.Refunded.Amount += made.amount
	}
	return total, true, nil
}

// intents are all that a capture may have made; usually one.
func (s *Stripe) intents(ctx context.Context, r Request) ([]string, error) {
	id, refused := s.create(ctx, r)
	if refused != nil && !isForGood(refused) {
		return nil, wrap("asking for the payment", refused, nil)
	}
	ids, err := s.search(ctx, "key", r.Key)
	if err != nil {
		return nil, err
	}
	// A create refused for good was refused to the capture too.
	if refused == nil && !slices.Contains(ids, id) {
		ids = append(ids, id)
	}
	return ids, nil
}

// stop brings an intent to its end: canceled, or found to have succeeded.
func (s *Stripe) stop(ctx context.Context, id, refundKey string) (*stripe.PaymentIntent, error) {
	intent, err := s.client.V1PaymentIntents.Retrieve(ctx, id, nil)
	if err != nil {
		return nil, wrap("asking after the payment", err, nil)
	}
	if ended(intent) {
		return intent, nil
	}
	_, refused := s.client.V1PaymentIntents.Cancel(ctx, id, &stripe.PaymentIntentCancelParams{
		Params: stripe.Params{IdempotencyKey: keyFor(refundKey, "cancel."+id)},
	})
	// Also after a refusal: the confirm may have come first. And after an
	// answer that got lost, or one kept from an earlier attempt.
	intent, err = s.client.V1PaymentIntents.Retrieve(ctx, id, nil)
	switch {
	case err != nil:
		return nil, wrap("asking after the payment", err, nil)
	case ended(intent):
		return intent, nil
	case refused != nil:
		return nil, wrap("canceling the payment", refused, nil)
	default:
		return nil, fmt.Errorf("canceling payment %s: it is still %s", id, intent.Status)
	}
}

func ended(intent *stripe.PaymentIntent) bool {
	return intent.Status == stripe.PaymentIntentStatusSucceeded || intent.Status == stripe.PaymentIntentStatusCanceled
}

// refund gives back what an intent has taken and is not given back yet.
func (s *Stripe) refund(ctx context.Context, intent *stripe.PaymentIntent, refundKey string) (id string, amount int64, err error) {
	made, err := s.refunds(ctx, intent.ID)
	if err != nil {
		return "", 0, err
	}
	if made.settles(intent) {
		return made.result()
	}
	// A refund that failed after it was accepted must not be answered with
	// that acceptance again, so each failure moves on to a new key.
	call := "refund." + intent.ID
	if made.failed > 0 {
		call += "." + strconv.Itoa(made.failed)
	}
	_, refused := s.client.V1Refunds.Create(ctx, &stripe.RefundCreateParams{
		Params:        stripe.Params{IdempotencyKey: keyFor(refundKey, call)},
		PaymentIntent: &intent.ID, // without an amount: whatever is left
		Metadata:      map[string]string{"key": refundKey, "reference": intent.Metadata["reference"]},
	})
	if refused != nil && !is(refused, stripe.ErrorCodeChargeAlreadyRefunded) {
		return "", 0, wrap("refunding the payment", refused, ErrRefused)
	}
	if made, err = s.refunds(ctx, intent.ID); err != nil {
		return "", 0, err
	}
	if !made.settles(intent) {
		return "", 0, fmt.Errorf("refunding payment %s: it was accepted and failed: %w", intent.ID, ErrRefused)
	}
	return made.result()
}

// refunds are those made of one intent, whoever made them.
type refunds struct {
	id      string // of one that counts
	amount  int64  // of all that count: succeeded and pending
	pending string // id of one that is under way
	failed  int
}

func (s *Stripe) refunds(ctx context.Context, intentID string) (made refunds, err error) {
	for refund, err := range s.client.V1Refunds.List(ctx, &stripe.RefundListParams{PaymentIntent: &intentID}) {
		if err != nil {
			return made, wrap("asking after the refund", err, nil)
		}
		switch refund.Status {
		case stripe.RefundStatusFailed, stripe.RefundStatusCanceled:
			made.failed++
			continue
		case stripe.RefundStatusSucceeded:
		default:
			made.pending = refund.ID
		}
		made.id = refund.ID
		made.amount += refund.Amount
	}
	return made, nil
}

func (r refunds) settles(intent *stripe.PaymentIntent) bool { return r.amount >= intent.AmountReceived }

// result is an error while a refund is pending: it may still fail.
func (r refunds) result() (id string, amount int64, err error) {
	if r.pending != "" {
		return "", 0, fmt.Errorf("refund %s is still pending", r.pending)
	}
	return r.id, r.amount, nil
}
