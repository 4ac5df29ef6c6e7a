package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// books are what the system says of itself, read until nothing moves, and the
// sums over it.
type books struct {
	*client
	from     int64 // the log after it counts
	after    int64 // the log is read up to it
	facts    []fact
	order    []string // sagas as they began
	sagas    map[string]*Saga
	known    map[string]bool // ids of the facts that were read
	sums     []Sum
	progress func(string)
}

// close waits until every saga is settled, at most as long as told, and adds up.
func (b *books) close(ctx context.Context, wait time.Duration) error {
	b.sagas, b.known = map[string]*Saga{}, map[string]bool{}
	for deadline := time.Now().Add(wait); ; {
		news, open, err := b.look(ctx)
		if err != nil {
			return err
		}
		b.progress(fmt.Sprintf("%d of %d sagas settled", len(b.sagas)-open, len(b.sagas)))
		if !news && open == 0 || time.Now().After(deadline) {
			break
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
	return b.add(ctx)
}

// look reads what is new in the log and the sagas that are not known to have
// settled. A fact that is new unsettles its saga.
func (b *books) look(ctx context.Context) (news bool, open int, err error) {
	facts, end, err := b.client.facts(ctx, b.after)
	if err != nil {
		return false, 0, fmt.Errorf("reading the log: %w", err)
	}
	b.facts, b.after = append(b.facts, facts...), end
	for _, f := range facts {
		b.known[f.ID] = true
		if _, known := b.sagas[f.SagaID]; !known {
			b.order = append(b.order, f.SagaID)
		}
		b.sagas[f.SagaID] = nil
	}
	var todo []string
	for id, s := range b.sagas {
		if s == nil || s.Status != "settled" {
			todo = append(todo, id)
		}
	}
	found, err := gather(ctx, todo, b.saga)
	if err != nil {
		return false, 0, fmt.Errorf("reading the sagas: %w", err)
	}
	for i, id := range todo {
		b.sagas[id] = found[i]
		if found[i] != nil && slices.ContainsFunc(found[i].Steps, b.unread) {
			found[i].Status = "running" // it shows facts that are committed, and not in the log yet
		}
		if found[i] == nil || found[i].Status != "settled" {
			open++
		}
	}
	return len(facts) > 0, open, nil
}

// unread tells whether the fact of a step did not come from the log yet.
func (b *books) unread(s Step) bool {
	return !b.known[s.EventID]
}

// gather reads something for each id, several at a time.
func gather[T any](ctx context.Context, ids []string, read func(context.Context, string) (*T, error)) ([]*T, error) {
	out := make([]*T, len(ids))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i, id := range ids {
		g.Go(func() (err error) {
			out[i], err = read(ctx, id)
			return err
		})
	}
	return out, g.Wait()
}

// keys are the keys of the facts of a type, each once.
func (b *books) keys(factType string) (keys []string) {
	seen := map[string]bool{}
	for _, f := range b.facts {
		if f.Type == factType && !seen[f.Key] {
			seen[f.Key] = true
			keys = append(keys, f.Key)
		}
	}
	return keys
}

// last is the id of the last fact about something on a topic, empty where there is
// none.
func (b *books) last(key, topic string) (id string) {
	for _, f := range b.facts {
		if f.Key == key && strings.HasPrefix(f.Type, topic+".") {
			id = f.ID
		}
	}
	return id
}

// readView reads from a view what it says once it has passed those facts. No saga
// waits for a view: where what fills it was killed, it is behind settled ones.
func readView[T any](ctx context.Context, b *books, path string, seen ...string) (*T, error) {
	var a *answer
	for _, event := range seen {
		if event == "" {
			continue
		}
		for since := time.Now(); ; {
			var err error
			if a, err = b.do(ctx, get(path+"?seen="+url.QueryEscape(event), b.staff)); err != nil {
				return nil, err
			}
			if a.status != http.StatusAccepted {
				break
			}
			if time.Since(since) > b.patience {
				return nil, fmt.Errorf("GET %s: its view has not passed event %s after %s", path, event, b.patience)
			}
			if err := sleep(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
		}
	}
	return decode[T](a, path)
}

// add makes the sums.
func (b *books) add(ctx context.Context) error {
	b.progress("adding up")
	orders, err := gather(ctx, b.keys("orders.OrderSubmitted.v1"), func(ctx context.Context, id string) (*order, error) {
		return readView[order](ctx, b, "/orders/"+id, b.last(id, "orders"), b.last(id, "payments"))
	})
	if err != nil {
		return fmt.Errorf("reading the orders: %w", err)
	}
	transfers, err := b.transfers(ctx)
	if err != nil {
		return fmt.Errorf("reading the payments: %w", err)
	}
	people, err := gather(ctx, b.keys("accounts.AccountRegistered.v1"), func(ctx context.Context, id string) (*account, error) {
		return readView[account](ctx, b, "/accounts/"+id, b.last(id, "accounts"))
	})
	if err != nil {
		return fmt.Errorf("reading the accounts: %w", err)
	}
	letters, err := b.letters(ctx)
	if err != nil {
		return fmt.Errorf("reading the mails: %w", err)
	}
	posts, err := b.posts(ctx)
	if err != nil {
		return fmt.Errorf("reading the posts: %w", err)
	}
	rented := b.keys("rentals.RentalRequested.v1")
	rented = append(rented, b.keys("managed-rentals.RentalRequested.v1")...)
	rentals, err := gather(ctx, rented, func(ctx context.Context, id string) (*rental, error) {
		return read[rental](ctx, b.client, "/rentals/"+id)
	})
	if err != nil {
		return fmt.Errorf("reading the rentals: %w", err)
	}
	bills := b.keys("orders.OrderSubmitted.v1")
	for i, r := range rentals {
		bills = append(bills, rented[i])
		var bill *order
		if r != nil {
			bill = r.bill()
		}
		orders = append(orders, bill)
	}
	b.sums = []Sum{
		b.sagaSum(), moneySum(bills, orders, transfers, b.from == 0),
		mailSum(b.facts, people, letters), posts, shippingSum(b.facts), rentalSum(rentals), accountSum(b.facts, people),
	}
	return nil
}

// sagaSum: every saga is settled.
func (b *books) sagaSum() Sum {
	s := Sum{Name: "sagas"}
	outcomes, owed, settled := map[string]int{}, 0, 0
	for _, id := range b.order {
		g := b.sagas[id]
		switch {
		case g == nil:
			s.Wrong = append(s.Wrong, fmt.Sprintf("saga %s is in the log, and GET /sagas/%s says 404", id, id))
		case g.Status != "settled":
			s.Wrong = append(s.Wrong, unsettled(g))
		default:
			settled++
			outcomes[g.Outcome]++
			owed += len(g.Owed)
		}
	}
	s.Text = fmt.Sprintf("%d of %d settled: %d completed, %d undone, %d failed",
		settled, len(b.order), outcomes["completed"], outcomes["undone"], outcomes["failed"])
	if n := outcomes[""]; n > 0 {
		s.Text += fmt.Sprintf(", %d without an outcome", n)
	}
	if owed > 0 {
		s.Text += fmt.Sprintf("; undos owed: %d", owed)
	}
	return s
}

func unsettled(g *Saga) string {
	text := []string{fmt.Sprintf("saga %s (%s) is %s", g.ID, g.StartedBy, g.Status)}
	for _, e := range g.Expected {
		expected := "expects " + e.Consumer
		if e.DueAt != nil {
			expected += " by " + e.DueAt.Format(time.TimeOnly)
		}
		if at := slices.IndexFunc(g.Steps, func(s Step) bool { return s.EventID == e.On }); at >= 0 {
			expected += " on " + g.Steps[at].Event
		}
		text = append(text, expected)
	}
	return strings.Join(text, ", ")
}

// posts: what is published has its tags and files in place, what was taken
// back has none.
func (b *books) posts(ctx context.Context) (Sum, error) {
	asked := map[string]fact{}
	for _, f := range b.facts {
		if _, known := asked[f.Key]; f.Type == "posts.PostCreated.v1" && !known {
			asked[f.Key] = f
		}
	}
	ids := b.keys("posts.PostCreated.v1")
	found, err := gather(ctx, ids, func(ctx context.Context, id string) (*article, error) {
		return read[article](ctx, b.client, "/posts/"+id)
	})
	if err != nil {
		return Sum{}, err
	}
	s, states := Sum{Name: "posts"}, map[string]int{}
	var tags, files int
	var inPlace []string
	for i, p := range found {
		if p == nil {
			p = &article{PostID: ids[i], State: "missing"}
		}
		states[p.State]++
		s.Wrong = append(s.Wrong, checkPost(p, asked[ids[i]])...)
		if p.State == "published" {
			tags += len(p.Tags)
			for _, a := range p.Attachments {
				inPlace = append(inPlace, a.URL)
			}
		}
	}
	var served atomic.Int64
	_, err = gather(ctx, inPlace, func(ctx context.Context, url string) (*struct{}, error) {
		a, err := b.do(ctx, get(url, b.staff))
		if err == nil && a.status == 200 && len(a.body) > 0 {
			served.Add(1)
		}
		return nil, err
	})
	if files = len(inPlace); int(served.Load()) < files {
		s.Wrong = append(s.Wrong, fmt.Sprintf("%d files of published posts are not served", files-int(served.Load())))
	}
	s.Text = fmt.Sprintf("%d: %d published with %d tags and %d files in place, %d withdrawn, %d deleted",
		len(ids), states["published"], tags, files, states["withdrawn"], states["deleted"])
	return s, err
}

// stories are the sagas of more than one fact, as they began.
func (b *books) stories(labels map[string]string) (list []Story) {
	for _, id := range b.order {
		if s := b.sagas[id]; s != nil && (len(s.Steps) > 1 || labels[id] != "" || s.Status != "settled") {
			list = append(list, Story{labels[id], s})
		}
	}
	return list
}
