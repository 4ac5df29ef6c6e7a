package pull

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client pulls over HTTP. It is safe for concurrent use.
type Client struct {
	URL   string       // of the API, such as https://troupe.example.com
	Token string       // of staff
	HTTP  *http.Client // http.DefaultClient by default
}

// mostBody bounds an answer, in bytes: the server keeps facts to 8 MiB.
const mostBody = 64 << 20

// Pull asks GET /events.
func (c *Client) Pull(ctx context.Context, q Query) (Page, error) {
	values := url.Values{"after": {strconv.FormatInt(q.After, 10)}}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	if len(q.Topics) > 0 {
		values.Set("topic", strings.Join(q.Topics, ","))
	}
	if len(q.Types) > 0 {
		values.Set("type", strings.Join(q.Types, ","))
	}
	if q.Saga != "" {
		values.Set("saga", q.Saga)
	}
	if q.Key != "" {
		values.Set("key", q.Key)
	}
	if q.Wait > 0 {
		values.Set("wait", q.Wait.String())
	}
	ctx, cancel := context.WithTimeout(ctx, q.Wait+30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.URL, "/")+"/events?"+values.Encode(), nil)
	if err != nil {
		return Page{}, fmt.Errorf("pulling events: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.Token)
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return Page{}, fmt.Errorf("pulling events: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return Page{}, fmt.Errorf("pulling events: the server answered %s", res.Status)
	}
	var page Page
	if err := json.NewDecoder(io.LimitReader(res.Body, mostBody)).Decode(&page); err != nil {
		return Page{}, fmt.Errorf("reading pulled events: %w", err)
	}
	return page, nil
}
