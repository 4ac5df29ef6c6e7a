package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// read gets something as staff. Not found is nil without an error.
func read[T any](ctx context.Context, c *client, path string) (*T, error) {
	a, err := c.do(ctx, get(path, c.staff))
	if err != nil {
		return nil, err
	}
	return decode[T](a, path)
}

// decode reads the answer to a GET.
func decode[T any](a *answer, path string) (*T, error) {
	if a.status == http.StatusNotFound {
		return nil, nil
	}
	out := new(T)
	if err := a.into(out, http.StatusOK, http.StatusAccepted); err != nil {
		return nil, fmt.Errorf("GET %s %w", path, err)
	}
	return out, nil
}

// fact is one event of the log, as GET /events gives it.
type fact struct {
	Position int64           `json:"position"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Key      string          `json:"key"`
	SagaID   string          `json:"sagaId"`
	Data     json.RawMessage `json:"data"`
}

// owner is the account that the fact names, as its own or as author.
func (f fact) owner() string {
	var n struct {
		AccountID string `json:"accountId"`
		AuthorID  string `json:"authorId"`
		OwnerID   string `json:"ownerId"`
	}
	_ = json.Unmarshal(f.Data, &n) // a fact without such a field names nobody
	return n.AccountID + n.AuthorID + n.OwnerID
}

// field is a text in the fact's data, empty where there is none.
func (f fact) field(name string) string {
	var data map[string]any
	_ = json.Unmarshal(f.Data, &data) // facts are objects
	text, _ := data[name].(string)
	return text
}

type eventPage struct {
	Items    []fact `json:"items"`
	Position int64  `json:"position"`
}

// facts reads the log after a position to its end.
func (c *client) facts(ctx context.Context, after int64) (all []fact, end int64, err error) {
	for {
		page, err := read[eventPage](ctx, c, fmt.Sprintf("/events?after=%d&limit=1000", after))
		if err != nil || page == nil || page.Position <= after {
			return all, after, err
		}
		all, after = append(all, page.Items...), page.Position
	}
}

// end finds the end of the log: no fact is of the type asked for, so that the
// position of the answer passes all.
func (c *client) end(ctx context.Context) (at int64, err error) {
	for {
		page, err := read[eventPage](ctx, c, fmt.Sprintf("/events?after=%d&type=demo.Nothing.v1", at))
		if err != nil || page == nil || page.Position <= at {
			return at, err
		}
		at = page.Position
	}
}

// Saga is a saga as GET /sagas/{id} gives it.
type Saga struct {
	ID        string     `json:"sagaId"`
	Status    string     `json:"status"`
	Outcome   string     `json:"outcome"`
	StartedBy string     `json:"startedBy"`
	StartedAt time.Time  `json:"startedAt"`
	SettledAt *time.Time `json:"settledAt"`
	Steps     []Step     `json:"steps"`
	Expected  []Expected `json:"expected"`
	Owed      []Owed     `json:"owed"`
}

// Step is a fact of a saga.
type Step struct {
	Event    string    `json:"event"`
	EventID  string    `json:"eventId"`
	CausedBy string    `json:"causedBy"`
	Consumer string    `json:"consumer"`
	At       time.Time `json:"at"`
}

// Expected is a reaction that a saga waits for.
type Expected struct {
	Consumer string     `json:"consumer"`
	On       string     `json:"on"`
	DueAt    *time.Time `json:"dueAt"`
}

// Owed is an undo that was given up.
type Owed struct {
	Undo   string `json:"undo"`
	Of     string `json:"of"`
	Reason string `json:"reason"`
}

func (c *client) saga(ctx context.Context, id string) (*Saga, error) {
	return read[Saga](ctx, c, "/sagas/"+url.PathEscape(id))
}

type account struct {
	AccountID string `json:"accountId"`
	Email     string `json:"email"`
	Mail      string `json:"mail"`
	State     string `json:"state"`
}

type money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

type order struct {
	OrderID      string `json:"orderId"`
	State        string `json:"state"`
	RefundStatus string `json:"refundStatus"`
	Total        money  `json:"total"`
	Captured     money  `json:"captured"`
	Refunded     money  `json:"refunded"`
}

type article struct {
	PostID      string   `json:"postId"`
	State       string   `json:"state"`
	Tags        []string `json:"tags"`
	Attachments []struct {
		URL string `json:"url"`
	} `json:"attachments"`
}

// letter is an attempt to deliver a mail, as the sandbox lists it.
type letter struct {
	To     string `json:"to"`
	Kind   string `json:"kind"`
	Status string `json:"status"`
	Text   string `json:"text"`
}

// transfer is an attempt to move money, as the sandbox lists it.
type transfer struct {
	Kind      string `json:"kind"`
	Reference string `json:"reference"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
	Status    string `json:"status"`
}

func (c *client) letters(ctx context.Context) ([]letter, error) {
	return items[letter](ctx, c, "/sandbox/mail")
}

func (c *client) transfers(ctx context.Context) ([]transfer, error) {
	return items[transfer](ctx, c, "/sandbox/payments")
}

func items[T any](ctx context.Context, c *client, path string) ([]T, error) {
	list, err := read[struct {
		Items []T `json:"items"`
	}](ctx, c, path)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, fmt.Errorf("GET %s: the sandbox does not run behind %s, and the sums are asked of it: give its URL with --sandbox", path, c.sandbox)
	}
	return list.Items, nil
}
