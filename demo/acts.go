package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"time"
)

// write uploads pictures, posts about them, and may delete the post again.
func (c *crew) write(ctx context.Context, n uint64, p postPlan) error {
	author := c.people[p.author]
	urls, contents := []string{}, []map[string]string{{"type": "text", "text": "What a performance."}}
	for i, name := range p.files {
		url, err := c.upload(ctx, author, name, picture(n*8+uint64(i)))
		if errors.Is(err, ErrLost) {
			continue // the post goes without it
		}
		if err != nil {
			return err
		}
		urls = append(urls, url)
		contents = append(contents, map[string]string{"type": "image", "url": url})
	}
	var made struct {
		PostID string `json:"postId"`
	}
	a, err := c.command(ctx, "post", post("/posts", author.token, map[string]any{
		"title": fmt.Sprintf("Post %d", n+1), "contents": contents, "tagNames": append([]string{}, p.tags...), "fileUrls": urls,
	}), &made, http.StatusCreated)
	if err != nil {
		return err
	}
	c.remember(a, p.label)
	if !p.remove {
		return nil
	}
	if err := sleep(ctx, p.after); err != nil {
		return err
	}
	_, err = c.command(ctx, "delete post", request{
		method: http.MethodDelete, path: "/posts/" + made.PostID, token: author.token, again: true,
	}, nil, http.StatusAccepted)
	return err
}

func (c *crew) upload(ctx context.Context, author person, name string, file []byte) (url string, err error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", name)
	if err != nil {
		return "", err
	}
	if _, err := part.Write(file); err != nil {
		return "", err
	}
	if err := form.Close(); err != nil {
		return "", err
	}
	var made struct {
		URL string `json:"url"`
	}
	_, err = c.command(ctx, "upload", request{
		method: http.MethodPost, path: "/attachments", token: author.token,
		contentType: form.FormDataContentType(), body: body.Bytes(),
	}, &made, http.StatusCreated)
	return made.URL, err
}

// buy places an order, and may cancel or ship it.
func (c *crew) buy(ctx context.Context, o orderPlan) error {
	buyer := c.people[o.buyer]
	var made struct {
		OrderID string `json:"orderId"`
	}
	a, err := c.command(ctx, "place order", post("/orders", buyer.token, map[string]any{
		"lines":     []any{map[string]any{"sku": "ticket", "quantity": o.pieces, "unitPrice": money{o.price, "EUR"}}},
		"cardToken": o.card,
		"shippingInfo": map[string]string{
			"name": "A Person", "street": "Main Street 1", "city": "Town", "postalCode": "12345", "country": "DE",
		},
	}), &made, http.StatusAccepted)
	if err != nil {
		return err
	}
	c.remember(a, o.label)
	path := "/orders/" + made.OrderID
	if err := c.move(ctx, o, path); err != nil {
		return err
	}
	if o.cancel == paid || o.ship {
		if err := c.until(ctx, path, buyer, func(o moving) bool { return o.State != "submitted" }); err != nil {
			return err
		}
	}
	if o.ship {
		// 409: not paid in time, or shipped by a try whose answer was lost.
		_, err := c.command(ctx, "ship order", post(path+"/shipment", c.staff, nil).repeatable(), nil, http.StatusOK, http.StatusConflict)
		return err
	}
	if o.cancel == never {
		return nil
	}
	if err := sleep(ctx, o.after); err != nil {
		return err
	}
	_, err = c.command(ctx, "cancel order", post(path+"/cancellation", buyer.token, nil).repeatable(), nil, http.StatusAccepted)
	return err
}

// moving is what changes by itself of an order, a rental or an account.
type moving struct {
	State string `json:"state"`
	Mail  string `json:"mail"`
}

// until waits, within bounds, until something is as wanted.
func (c *crew) until(ctx context.Context, path string, who person, is func(moving) bool) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		var now moving
		a, err := c.do(ctx, get(path, who.token))
		if err != nil {
			return err
		}
		if err := a.into(&now, http.StatusOK, http.StatusAccepted); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		if is(now) {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
