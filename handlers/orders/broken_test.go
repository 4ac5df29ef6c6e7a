package orders_test

import (
	"context"
	"errors"

	"troupe/handlers"
	provider "troupe/providers/payment"
)

var errLost = errors.New("connection reset")

// unreachable makes the provider one that no call reaches.
func unreachable(o *handlers.Outside) { o.Payments = noProvider{} }

type noProvider struct{}

func (noProvider) Capture(context.Context, provider.Request, string) (provider.Charge, error) {
	return provider.Charge{}, errLost
}

func (noProvider) Find(context.Context, string) (provider.Charge, bool, error) {
	return provider.Charge{}, false, errLost
}

func (noProvider) Reverse(context.Context, provider.Request, string) (provider.Reversal, error) {
	return provider.Reversal{}, errLost
}

func (noProvider) FindReversal(context.Context, string) (provider.Reversal, bool, error) {
	return provider.Reversal{}, false, errLost
}

// losingAnswers lets charges through to the provider, and loses its answers.
func losingAnswers(o *handlers.Outside) { o.Payments = loser{o.Payments} }

type loser struct{ provider.Payments }

func (l loser) Capture(ctx context.Context, r provider.Request, card string) (provider.Charge, error) {
	if _, err := l.Payments.Capture(ctx, r, card); err != nil {
		return provider.Charge{}, err
	}
	return provider.Charge{}, errLost
}

// losingCalls lets no charge through to the provider, which can be asked.
func losingCalls(o *handlers.Outside) { o.Payments = deaf{o.Payments} }

type deaf struct{ provider.Payments }

func (deaf) Capture(context.Context, provider.Request, string) (provider.Charge, error) {
	return provider.Charge{}, errLost
}

// during lets something happen while a charge is under way.
func during(what func()) func(*handlers.Outside) {
	return func(o *handlers.Outside) { o.Payments = interrupted{o.Payments, what} }
}

type interrupted struct {
	provider.Payments
	what func()
}

func (i interrupted) Capture(ctx context.Context, r provider.Request, card string) (provider.Charge, error) {
	i.what()
	return i.Payments.Capture(ctx, r, card)
}
