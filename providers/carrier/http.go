package carrier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"troupe/providers/plainhttp"
)

// HTTP is the Carrier that speaks plain HTTP:
//
//	PUT {base}/orders/{orderId}   {changeId, sequence, shippingInfo}
//	    Idempotency-Key: …        2xx taken · 409 it knows a later sequence
//	GET {base}/updates?key=…      2xx taken · 404 never heard of
type HTTP struct{ client *plainhttp.Client }

// NewHTTP makes the Carrier at baseURL.
func NewHTTP(baseURL string) (*HTTP, error) {
	client, err := plainhttp.New("carrier", baseURL)
	return &HTTP{client}, err
}

type update struct {
	ChangeID     string  `json:"changeId"`
	Sequence     int     `json:"sequence"`
	ShippingInfo Address `json:"shippingInfo"`
}

// Tell implements Carrier.
func (h *HTTP) Tell(ctx context.Context, key string, u Update) (Answer, error) {
	err := h.client.Send(ctx, "telling the carrier", http.MethodPut, "/orders/"+url.PathEscape(u.OrderID), key,
		update{u.ChangeID, u.Sequence, u.To}, nil)
	switch {
	case plainhttp.Is(err, http.StatusConflict):
		return Answer{Taken: false}, nil
	case errors.Is(err, plainhttp.ErrRefused):
		return Answer{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return Answer{Taken: err == nil}, err
}

// Find implements Carrier.
func (h *HTTP) Find(ctx context.Context, key string) (Answer, bool, error) {
	err := h.client.Send(ctx, "asking the carrier", http.MethodGet, "/updates?key="+url.QueryEscape(key), "", nil, nil)
	if plainhttp.Is(err, http.StatusNotFound) {
		return Answer{}, false, nil
	}
	return Answer{Taken: err == nil}, err == nil, err
}
