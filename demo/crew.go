package demo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// crew are the clients of a run, and all that they remember.
type crew struct {
	*client
	o        Options
	firstDay time.Time // that rooms are asked for

	mu       sync.Mutex
	people   []person
	labels   map[string]string // by saga
	promised map[string]string // what was answered with a fact, by its id
	byName   map[string]*tally
	order    []string // of names
	begun    int
}

const password = "correct horse battery"

type person struct{ id, token, email string }

// tally is how one kind of command went.
type tally struct {
	took        []time.Duration
	lost        int
	first, last time.Time
}

func newCrew(c *client, o Options) *crew {
	return &crew{client: c, o: o, firstDay: firstDay(o.Run), labels: map[string]string{}, promised: map[string]string{}, byName: map[string]*tally{}}
}

// perform does what is planned: first people sign up, then everything else goes
// side by side.
func (c *crew) perform(ctx context.Context, p *plan) error {
	c.people = make([]person, len(p.people))
	var acts []func(context.Context) error
	for i := range p.people {
		acts = append(acts, func(ctx context.Context) error { return c.signUp(ctx, i, p.people[i]) })
	}
	// Each sign-up and sign-in costs the system a password hash of some 60 ms of
	// a core: more at a time would only wait for each other.
	if err := c.all(ctx, max(c.o.Concurrency/4, 1), acts); err != nil {
		return err
	}
	acts = nil
	for i := range max(len(p.posts), len(p.orders), len(p.rentals), len(p.leavers)) {
		if i < len(p.chores) {
			acts = append(acts, func(ctx context.Context) error { return c.chore(ctx, p.chores[i]) })
		}
		if i < len(p.posts) {
			acts = append(acts, func(ctx context.Context) error { return c.write(ctx, uint64(i), p.posts[i]) })
		}
		if i < len(p.orders) {
			acts = append(acts, func(ctx context.Context) error { return c.buy(ctx, p.orders[i]) })
		}
		if i < len(p.rentals) {
			acts = append(acts, func(ctx context.Context) error { return c.rent(ctx, p.rentals[i]) })
		}
		if i < len(p.leavers) {
			acts = append(acts, func(ctx context.Context) error { return c.leave(ctx, p.leavers[i]) })
		}
	}
	if c.o.Rate > 0 {
		return c.all(ctx, -1, c.paced(acts))
	}
	return c.all(ctx, max(c.o.Concurrency, 1), acts)
}

// paced has each act begin when its time has come, however many are under way.
func (c *crew) paced(acts []func(context.Context) error) []func(context.Context) error {
	began := time.Now()
	for i, act := range acts {
		at := began.Add(time.Duration(float64(i) / c.o.Rate * float64(time.Second)))
		acts[i] = func(ctx context.Context) error {
			if err := sleep(ctx, time.Until(at)); err != nil {
				return err
			}
			return act(ctx)
		}
	}
	return acts
}

// all does the acts, so many at a time.
func (c *crew) all(ctx context.Context, atATime int, acts []func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atATime)
	for _, act := range acts {
		g.Go(func() error {
			err := act(ctx)
			if errors.Is(err, ErrLost) {
				err = nil // it is counted, and what came of it is in the sums
			}
			c.mu.Lock()
			c.begun++
			line := fmt.Sprintf("%d of %d begun", c.begun, c.o.Sagas)
			c.mu.Unlock()
			c.o.Progress(line)
			return err
		})
	}
	return g.Wait()
}

// command makes a call that changes something, and remembers how it went.
func (c *crew) command(ctx context.Context, name string, r request, out any, statuses ...int) (*answer, error) {
	began := time.Now()
	a, err := c.do(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.byName[name]
	if t == nil {
		t = &tally{first: began}
		c.byName[name], c.order = t, append(c.order, name)
	}
	t.last = time.Now()
	if errors.Is(err, ErrLost) {
		t.lost++
	}
	if err != nil {
		return nil, err
	}
	if err := a.into(out, statuses...); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !a.lost { // else the time is that of the absence
		t.took = append(t.took, time.Since(began))
	}
	if id := a.header.Get("Troupe-Event"); id != "" {
		c.promised[id] = name
	}
	return a, nil
}

// remember says what the client had in mind with the saga of an answer.
func (c *crew) remember(a *answer, label string) {
	if id := a.header.Get("Troupe-Saga"); id != "" && label != "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.labels[id] = label
	}
}

func (c *crew) signUp(ctx context.Context, i int, p personPlan) error {
	login := map[string]string{"email": fmt.Sprintf("%s@p%d.%s.example", p.mailbox, i+1, c.o.Run), "password": password}
	join := map[string]string{"email": login["email"], "password": password, "name": fmt.Sprintf("Person %d", i+1)}
	// An address can sign up once only, so this may be repeated: taken, after
	// an answer that was lost, means that it was done.
	a, err := c.command(ctx, "sign up", post("/accounts", "", join).repeatable(), nil, http.StatusCreated, http.StatusConflict)
	if err != nil {
		return err
	}
	if a.status == http.StatusConflict && !a.lost {
		return fmt.Errorf("%s is taken: another run had the same addresses; start again", login["email"])
	}
	c.remember(a, p.label)
	var session struct {
		Token     string `json:"token"`
		AccountID string `json:"accountId"`
	}
	if _, err := c.command(ctx, "sign in", post("/sessions", "", login).repeatable(), &session, http.StatusCreated); err != nil {
		return err
	}
	c.people[i] = person{session.AccountID, session.Token, login["email"]}
	return nil
}

// owners are the accounts of this run.
func (c *crew) owners() (ids []string) {
	for _, p := range c.people {
		ids = append(ids, p.id)
	}
	return ids
}

func (c *crew) commands() (list []Command) {
	for _, name := range c.order {
		t := c.byName[name]
		out := Command{Name: name, Answered: len(t.took), Lost: t.lost}
		if n := len(t.took); n > 0 {
			slices.Sort(t.took)
			out.Median, out.P99, out.Slowest = Millis(t.took[n/2]), Millis(t.took[(n*99-1)/100]), Millis(t.took[n-1])
			out.PerSec = float64(n) / t.last.Sub(t.first).Seconds()
		}
		list = append(list, out)
	}
	return list
}

// promises checks the answers against the log: what was answered stands there,
// and nothing of these people that nobody remembers but answers that were lost.
func (c *crew) promises(facts []fact) Sum {
	s := Sum{Name: "answers"}
	inLog := map[string]bool{}
	for _, f := range facts {
		inLog[f.ID] = true
	}
	for id, name := range c.promised {
		if !inLog[id] {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s was answered with event %s, which is not in the log", name, id))
		}
	}
	owners, answered, lost, done := c.owners(), 0, 0, 0
	for name, t := range c.byName {
		answered += len(t.took)
		lost += t.lost
		found := 0
		for _, f := range facts {
			if f.Type == begins[name] && c.promised[f.ID] == "" && slices.Contains(owners, f.owner()) {
				found++
			}
		}
		if found > t.lost {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s: %d were done of which nobody had an answer, and only %d answers were lost", name, found, t.lost))
		}
		done += found
	}
	s.Text = fmt.Sprintf("%d commands answered, and all that was answered stands in the log", answered)
	if lost > 0 {
		s.Text += fmt.Sprintf("; %d answers lost, of which %d were done", lost, done)
	}
	return s
}

// begins are the facts of commands that are not repeated.
var begins = map[string]string{
	"upload":      "attachments.AttachmentUploaded.v2",
	"post":        "posts.PostCreated.v1",
	"place order": "orders.OrderSubmitted.v1",
	"rent":        "rentals.RentalRequested.v1",
}
