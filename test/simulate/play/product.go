package play

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"troupe/choreo"
	"troupe/choreo/sim"
	"troupe/domain/account"
	"troupe/domain/attachment"
	"troupe/domain/order"
	"troupe/domain/payment"
	"troupe/domain/post"
	"troupe/events"
	"troupe/handlers"
	"troupe/providers/blobs"
	"troupe/providers/carrier"
)

// product is one run of the product's choreography.
type product struct {
	mail  *postbox
	bank  *bank
	blobs *blobs.Store

	carrier *depot
	sms     *gateway

	people []string // ids of accounts that were made for good
	posts  []*written
	marks  map[string][]string // account id -> what is personal of it, wherever it was written
	goes   map[string]string   // change of a shipping info -> the street that it says
}

type written struct {
	id    string
	files []attachment.Attachment
}

var cardKey, tokenKey = bytes.Repeat([]byte{7}, 32), bytes.Repeat([]byte{9}, 32)

// Product simulates the product's choreography: accounts, blog, orders and
// rentals.
func (s *Stage) Product(ctx context.Context, o sim.Options) (_ *sim.Report, err error) {
	dir, err := os.MkdirTemp(s.dir, "blobs-")
	if err != nil {
		return nil, err
	}
	store, err := blobs.Open(ctx, "file://"+filepath.ToSlash(dir), blobs.CreateBucket(), blobs.FailCorrupt())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close(), os.RemoveAll(dir)) }()
	p := &product{blobs: store, marks: map[string][]string{}, goes: map[string]string{}}
	return s.run(ctx, "product_template", sim.Play{Flow: p.flow, Saga: p.saga, Stray: p.stray, Check: p.check}, o)
}

func (p *product) flow(s *sim.Sim) (*choreo.Flow, error) {
	p.mail = &postbox{sim: s, taken: map[string]letter{}}
	p.bank = &bank{sim: s, intents: map[string]*intent{}, charges: map[string][]*intent{}}
	p.carrier = &depot{sim: s, taken: map[string]carrier.Answer{}, orders: map[string]carrier.Update{}}
	p.sms = &gateway{sim: s, sent: map[string]string{}}
	return handlers.Flow(handlers.Outside{Mail: p.mail, Payments: p.bank, Carrier: p.carrier, SMS: p.sms, Blobs: p.blobs, TokenKey: tokenKey, CardKey: cardKey,
		ForbiddenTags: []string{"forbidden"}})
}

// stray is a fact of an aggregate that is nobody's.
func (p *product) stray(s *sim.Sim) choreo.Fact {
	id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", s.Rand().Uint32())
	switch s.Rand().IntN(5) {
	case 0:
		return events.OrderCanceled{OrderID: id, By: "buyer", Reason: "forged"}
	case 1:
		return events.PaymentCaptured{OrderID: id, PaymentID: "forged", Amount: events.Money{Amount: 1, Currency: "EUR"}}
	case 2:
		return events.TagsRejected{PostID: id, Reason: "forged"}
	case 3:
		return events.VerificationMailRequested{AccountID: id, MailID: id}
	}
	return events.PostDeleted{PostID: id}
}

func (p *product) saga(s *sim.Sim, n int) []sim.Act {
	switch k := s.Rand().IntN(12); {
	case n < 3 || k < 3:
		return p.person(s, n)
	case k < 5:
		return p.blogger(s, n)
	case k < 8:
		return p.guest(s, n)
	}
	return p.buyer(s, n)
}

func soon(s *sim.Sim) time.Duration {
	most := []time.Duration{time.Millisecond, 100 * time.Millisecond, 2 * time.Second, time.Minute}[s.Rand().IntN(4)]
	return time.Duration(s.Rand().Int64N(int64(most)))
}

func (p *product) blogger(s *sim.Sim, n int) []sim.Act {
	var files []attachment.Attachment
	var acts []sim.Act
	author := ""
	writer := func() string {
		if author == "" {
			author = p.someone(s)
		}
		return author
	}
	for i := range s.Rand().IntN(3) {
		name := fmt.Sprintf("file-%d-%d.txt", n, i)
		if s.Rand().IntN(8) == 0 {
			name = "corrupt-" + name
		}
		acts = append(acts, sim.Act{Name: "upload-attachment", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			a := attachment.Attachment{OwnerID: writer(), Name: name, MimeType: "text/plain", Size: 3}
			r, err := choreo.Commit(ctx, db, "upload-attachment", func(ctx context.Context, tx *choreo.Tx) error {
				if err := account.Work(ctx, tx, a.OwnerID); err != nil {
					return err
				}
				a.ID, a.UploadedAt = tx.NewID(), tx.Now()
				if err := p.blobs.Put(ctx, a.TempKey(), a.MimeType, strings.NewReader("abc")); err != nil {
					return err
				}
				return attachment.Upload(ctx, tx, a)
			})
			if err == nil {
				files = append(files, a)
			}
			return r, err
		}})
	}
	var tags []string
	for range s.Rand().IntN(4) {
		tags = append(tags, fmt.Sprintf("tag%d", s.Rand().IntN(12)))
	}
	if s.Rand().IntN(6) == 0 {
		tags = append(tags, "forbidden")
	}
	w := &written{}
	acts = append(acts, sim.Act{Name: "create-post", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		var id string
		var kept []attachment.Attachment
		r, err := choreo.Commit(ctx, db, "create-post", func(ctx context.Context, tx *choreo.Tx) (err error) {
			if err := account.Work(ctx, tx, writer()); err != nil {
				return err
			}
			draft := post.Draft{ID: tx.NewID(), AuthorID: author, Title: fmt.Sprintf("Title %d", n), Contents: []json.RawMessage{json.RawMessage(`{"a":1}`)}, TagNames: unique(tags)}
			var urls []string
			for _, f := range files {
				urls = append(urls, f.TempURL())
			}
			if kept, err = attachment.Reserve(ctx, tx, draft.ID, draft.AuthorID, urls); err != nil {
				return err
			}
			for _, f := range kept {
				draft.Files, draft.FileURLs = append(draft.Files, f.ID), append(draft.FileURLs, f.TempURL())
			}
			made, err := post.Create(tx, draft)
			if err != nil {
				return err
			}
			id = made.ID
			return made.Save(ctx, tx)
		})
		if err == nil {
			w.id, w.files = id, kept
			p.posts = append(p.posts, w)
		}
		return r, err
	}})
	if s.Rand().IntN(3) == 0 {
		acts = append(acts, sim.Act{Name: "delete-post", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			return choreo.Commit(ctx, db, "delete-post", func(ctx context.Context, tx *choreo.Tx) error {
				made, err := post.Load(ctx, tx, w.id)
				if err != nil {
					return err
				}
				tx.JoinSaga(made.Saga)
				made.Delete()
				return made.Save(ctx, tx)
			})
		}})
	}
	return acts
}

func unique(list []string) (out []string) {
	seen := map[string]bool{}
	for _, v := range list {
		if !seen[v] {
			seen[v], out = true, append(out, v)
		}
	}
	return out
}

func (p *product) buyer(s *sim.Sim, n int) []sim.Act {
	card := []string{"tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_refund_fails"}[s.Rand().IntN(5)]
	price := int64(s.Rand().IntN(5) * 100)
	var id string
	acts := []sim.Act{{Name: "place-order", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		made, who := "", p.someone(s)
		r, err := choreo.Commit(ctx, db, "place-order", func(ctx context.Context, tx *choreo.Tx) error {
			if err := account.Work(ctx, tx, who); err != nil {
				return err
			}
			o, err := order.Place(tx.NewID(), who, []events.OrderLine{{SKU: "thing", Quantity: 1 + n%3, UnitPrice: events.Money{Amount: price, Currency: "EUR"}}},
				card, p.goesTo(who, fmt.Sprintf("Lane %d-1.", n)))
			if err != nil {
				return err
			}
			made = o.ID
			return o.Save(ctx, tx)
		})
		if err == nil {
			id = made
		}
		return r, err
	}}}
	change := func(name string, do func(context.Context, *choreo.Tx, *order.Order) error) sim.Act {
		return sim.Act{Name: name, After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			return choreo.Commit(ctx, db, name, func(ctx context.Context, tx *choreo.Tx) error {
				o, found, err := order.Load(ctx, tx, id)
				if err != nil || !found {
					return errors.Join(err, errors.New("there is no such order"))
				}
				tx.JoinSaga(o.Saga)
				if err := do(ctx, tx, o); err != nil {
					return err
				}
				return o.Save(ctx, tx)
			})
		}}
	}
	ship := change("ship-order", func(_ context.Context, _ *choreo.Tx, o *order.Order) error { return o.Ship() })
	cancel := change("cancel-order", func(ctx context.Context, tx *choreo.Tx, o *order.Order) error {
		var paymentID *string
		var paid *events.Money
		if known, found, err := payment.Find(ctx, tx, o.ID); err != nil {
			return err
		} else if found && known.ID != "" {
			paymentID, paid = &known.ID, &known.Captured
		}
		return o.Cancel("requested-by-buyer", paymentID, paid)
	})
	for k := range s.Rand().IntN(4) {
		acts = append(acts, p.moves(s, &id, fmt.Sprintf("Lane %d-%d.", n, k+2)))
	}
	switch s.Rand().IntN(6) {
	case 0, 1, 2:
		acts = append(acts, cancel)
	case 3:
		acts = append(acts, ship)
	case 4:
		acts = append(acts, ship, cancel)
	}
	return acts
}
