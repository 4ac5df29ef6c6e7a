package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v82"
)

// callTimeout bounds each single call to the provider.
const callTimeout = 30 * time.Second

// Stripe is the Payments of Stripe.
//
// A capture is two calls: a PaymentIntent is created under the capture's key,
// without a card, and confirmed under a key of its own, with it. So there is
// always something to ask about and to cancel. What makes every interleaving
// of Capture and Reverse safe:
//
//   - Stripe keeps an intent's first create answer for 24 h under its key. To
//     repeat the create gives the very intent of the capture, strongly
//     consistent, unlike search. If the capture's create was never sent, is
//     lost or still on its way, Reverse makes the intent itself and cancels
//     it: the late create is then answered with that intent.
//   - An intent succeeds once or is canceled once, never both; Stripe
//     serialises confirm and cancel. If cancel wins, the confirm fails. If the
//     confirm wins, cancel is refused, and the intent, read again, says so: it
//     is refunded.
//   - Past the 24 h a repeated create makes a new intent, canceled at once,
//     and the capture's own is found by search in its metadata, which lags by
//     about a minute. Reverse always does both, so it need not know the age.
//   - A refund is looked for before one is made: it is found also past the
//     24 h, and whoever made it. A charge cannot be refunded beyond its amount.
type Stripe struct {
	client *stripe.Client
}

// NewStripe makes the Payments that speak Stripe's API at baseURL (empty for
// Stripe itself) with the account's secret key. It has a client of its own:
// nothing of the library's global state is read or changed.
func NewStripe(baseURL, secretKey string) (*Stripe, error) {
	if baseURL == "" {
		baseURL = stripe.APIURL
	}
	u, err := url.Parse(baseURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the payment provider's URL must be like https://api.stripe.com")
	}
	if secretKey == "" {
		return nil, errors.New("the payment provider needs a secret key")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	transport.MaxIdleConnsPerHost = 16
	transport.IdleConnTimeout = 20 * time.Second
	return newStripe(baseURL, secretKey, onceOnly{transport}), nil
}

func newStripe(baseURL, secretKey string, transport http.RoundTripper) *Stripe {
	return &Stripe{client: stripe.NewClient(secretKey, stripe.WithBackends(stripe.NewBackendsWithConfig(&stripe.BackendConfig{
		URL:               &baseURL,
		MaxNetworkRetries: new(int64), // who calls us retries, and counts
		EnableTelemetry:   new(bool),
		LeveledLogger:     &stripe.LeveledLogger{Level: stripe.LevelNull},
		HTTPClient: &http.Client{
			Timeout:       callTimeout,
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	})))}
}

// onceOnly keeps net/http from silently sending a request with an
// Idempotency-Key again when a kept-alive connection breaks: an attempt that
// got no answer is an error, for the engine to see, count and pace.
type onceOnly struct{ next http.RoundTripper }

func (o onceOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.GetBody = nil
	}
	return o.next.RoundTrip(r)
}

// Capture implements Payments.
func (s *Stripe) Capture(ctx context.Context, r Request, cardToken string) (Charge, error) {
	id, err := s.create(ctx, r)
	if err != nil {
		return Charge{}, wrap("creating the payment", err, ErrDeclined)
	}
	params := &stripe.PaymentIntentConfirmParams{
		Params:                stripe.Params{IdempotencyKey: keyFor(r.Key, "confirm")},
		ErrorOnRequiresAction: new(true), // nobody is there to answer a 3-D Secure question
	}
	if strings.HasPrefix(cardToken, "pm_") {
		params.PaymentMethod = &cardToken
	} else {
		params.AddExtra("payment_method_data[type]", "card")
		params.AddExtra("payment_method_data[card][token]", cardToken)
	}
	intent, err := s.client.V1PaymentIntents.Confirm(ctx, id, params)
	if err == nil && intent.Status == stripe.PaymentIntentStatusSucceeded {
		return charge(intent), nil
	}
	if err != nil && !asksIntent(err) {
		return Charge{}, wrap("confirming the payment", err, ErrDeclined)
	}
	return s.settled(ctx, id, err)
}

// settled says what became of an intent whose confirm did not say it itself:
// an answer kept from an earlier attempt may be out of date.
func (s *Stripe) settled(ctx context.Context, id string, confirm error) (Charge, error) {
	intent, err := s.client.V1PaymentIntents.Retrieve(ctx, id, nil)
	switch {
	case err != nil:
		return Charge{}, wrap("asking after the payment", err, nil)
	case intent.Status == stripe.PaymentIntentStatusSucceeded:
		return charge(intent), nil
	case intent.Status == stripe.PaymentIntentStatusCanceled:
		return Charge{}, fmt.Errorf("confirming payment %s: %w", id, ErrCanceled)
	case confirm == nil || intent.Status == stripe.PaymentIntentStatusProcessing:
		return Charge{}, fmt.Errorf("confirming payment %s: it is still %s", id, intent.Status)
	default:
		return Charge{}, wrap("confirming the payment", confirm, ErrDeclined)
	}
}

// Find implements Payments.
func (s *Stripe) Find(ctx context.Context, key string) (Charge, bool, error) {
	ids, err := s.search(ctx, "key", key)
	if err != nil {
		return Charge{}, false, err
	}
	for _, id := range ids {
		// What the search shows of an intent lags too.
		intent, err := s.client.V1PaymentIntents.Retrieve(ctx, id, nil)
		if err != nil {
			return Charge{}, false, wrap("asking after the payment", err, nil)
		}
		if intent.Status == stripe.PaymentIntentStatusSucceeded {
			return charge(intent), true, nil
		}
	}
	return Charge{}, false, nil
}

// create makes the intent of a capture, or gives the one that was made.
func (s *Stripe) create(ctx context.Context, r Request) (id string, err error) {
	intent, err := s.client.V1PaymentIntents.Create(ctx, &stripe.PaymentIntentCreateParams{
		Params:             stripe.Params{IdempotencyKey: keyFor(r.Key, "")},
		Amount:             &r.Amount.Amount,
		Currency:           stripe.String(strings.ToLower(r.Amount.Currency)),
		PaymentMethodTypes: []*string{stripe.String("card")},
		Metadata:           map[string]string{"key": r.Key, "reference": r.Reference},
	})
	if err != nil {
		return "", err
	}
	return intent.ID, nil
}

func (s *Stripe) search(ctx context.Context, field, value string) (ids []string, err error) {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value)
	params := &stripe.PaymentIntentSearchParams{}
	params.Query = "metadata['" + field + "']:'" + quoted + "'"
	for intent, err := range s.client.V1PaymentIntents.Search(ctx, params) {
		if err != nil {
			return nil, wrap("searching for the payment", err, nil)
		}
		ids = append(ids, intent.ID)
	}
	return ids, nil
}

func charge(intent *stripe.PaymentIntent) Charge {
	return Charge{PaymentID: intent.ID, Amount: money(intent.AmountReceived, intent.Currency)}
}

func money(amount int64, currency stripe.Currency) Money {
	return Money{Amount: amount, Currency: strings.ToUpper(string(currency))}
}

// keyFor makes the idempotency key of one call of an operation: the caller's
// own for the create, with the call's name behind a # for the others. Stripe
// takes 255 bytes, so a longer key stands there by its hash.
func keyFor(key, call string) *string {
	if len(key) > 160 {
		sum := sha256.Sum256([]byte(key))
		key = "sha256-" + hex.EncodeToString(sum[:])
	}
	if call != "" {
		key += "#" + call
	}
	return &key
}
