package sms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"troupe/providers/plainhttp"
)

// HTTP is the Gateway that speaks plain HTTP:
//
//	POST {base}/messages          {to, text}
//	     Idempotency-Key: …       2xx sent
//	GET  {base}/messages?key=…    2xx sent · 404 never heard of
type HTTP struct{ client *plainhttp.Client }

// NewHTTP makes the Gateway at baseURL.
func NewHTTP(baseURL string) (*HTTP, error) {
	client, err := plainhttp.New("SMS gateway", baseURL)
	return &HTTP{client}, err
}

// Send implements Gateway.
func (h *HTTP) Send(ctx context.Context, key string, m Message) error {
	err := h.client.Send(ctx, "sending an SMS", http.MethodPost, "/messages", key, m, nil)
	if errors.Is(err, plainhttp.ErrRefused) {
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// Find implements Gateway.
func (h *HTTP) Find(ctx context.Context, key string) (bool, error) {
	err := h.client.Send(ctx, "asking the SMS gateway", http.MethodGet, "/messages?key="+url.QueryEscape(key), "", nil, nil)
	if plainhttp.Is(err, http.StatusNotFound) {
		return false, nil
	}
	return err == nil, err
}
