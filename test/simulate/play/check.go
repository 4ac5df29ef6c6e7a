package play

import (
	"context"
	"fmt"
	"slices"

	"troupe/choreo/sim"
)

// check holds what the product promises against what was really done.
func (p *product) check(ctx context.Context, s *sim.Sim) ([]sim.Violation, error) {
	c := &checker{p: p, s: s, facts: map[string][]string{}}
	for _, n := range s.Notes() {
		if n.Kind == sim.Emitted {
			c.facts[n.Event.Key] = append(c.facts[n.Event.Key], n.Event.Type)
		}
	}
	for _, part := range []func(context.Context) error{c.orders, c.posts, c.mails, c.history, c.deliveries, c.rentals, c.rooms, c.deletions, c.projects, c.leftovers} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	return c.found, nil
}

type checker struct {
	p     *product
	s     *sim.Sim
	facts map[string][]string // types of the facts of a key, as committed
	found []sim.Violation
}

func (c *checker) report(invariant, saga, format string, args ...any) {
	c.found = append(c.found, sim.Violation{Invariant: invariant, Saga: saga, Detail: fmt.Sprintf(format, args...)})
}

// orders: what the bank took, less what it gave back, is what the order says,
// and the payment's row says the same; every cancellation was answered.
func (c *checker) orders(ctx context.Context) error {
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select o.order_id, o.saga, o.state, o.refund_status, o.total,
		coalesce(p.state, ''), coalesce(p.captured, 0), coalesce(p.refunded, 0)
		from orders o left join payments p on p.order_id = o.order_id order by o.order_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, saga, state, refund, paid string
		var total, captured, refunded int64
		if err := rows.Scan(&id, &saga, &state, &refund, &total, &paid, &captured, &refunded); err != nil {
			return err
		}
		taken, returned, times := c.p.bank.balance(id)
		c.s.Count("orders " + state)
		if times > 1 {
			c.report("charged once", saga, "order %s was charged %d times", id, times)
		}
		switch {
		case state == "submitted":
			c.report("every order is settled", saga, "order %s is still submitted (payment %s)", id, paid)
		case state == "confirmed" || state == "shipped":
			if taken != total || returned != 0 {
				c.report("money is what orders say", saga, "order %s is %s over %d; the bank took %d and returned %d", id, state, total, taken, returned)
			}
		case refund == "started":
			c.report("every undo owed is done", saga, "the refund of order %s is still started", id)
		case refund == "failed": // owed, and said so
		case taken != returned:
			c.report("money is what orders say", saga, "order %s is canceled, its refund %s; the bank took %d and returned %d", id, refund, taken, returned)
		}
		if refund != "failed" && (captured != taken || refunded != returned) {
			c.report("money is what payments say", saga, "the payment of order %s says %d and %d; the bank took %d and returned %d", id, captured, refunded, taken, returned)
		}
	}
	return rows.Err()
}

// posts: none is left in processing; one that is over has no tags, no rows and
// no copies, and its undos have answered; one that is published has what it
// asked for.
func (c *checker) posts(ctx context.Context) error {
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select p.post_id, p.saga, p.state, cardinality(p.tag_names), cardinality(p.files),
		(select count(*) from blog_post_tags t where t.post_id = p.post_id),
		(select count(*) from blog_post_attachments a where a.post_id = p.post_id)
		from blog_posts p order by p.post_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, saga, state string
		var tags, files, tagged, filed int
		if err := rows.Scan(&id, &saga, &state, &tags, &files, &tagged, &filed); err != nil {
			return err
		}
		c.s.Count("posts " + state)
		facts := c.facts[id]
		has := func(name string) bool { return slices.Contains(facts, "posts."+name+".v1") }
		owed := has("AttachmentsReturnFailed")
		switch state {
		case "processing":
			c.report("every post is settled", saga, "post %s is still processing, with %d of %d tags and %d of %d files", id, tagged, tags, filed, files)
		case "published":
			if tagged != tags || filed != files {
				c.report("a published post has all it asked for", saga, "post %s has %d of %d tags and %d of %d files", id, tagged, tags, filed, files)
			}
		default:
			if tagged > 0 || filed > 0 && !owed {
				c.report("every undo owed is done", saga, "post %s is %s and has %d tags and %d files", id, state, tagged, filed)
			}
			if !has("TagsRemoved") || !has("AttachmentsReturned") && !owed {
				c.report("every undo owed is done", saga, "post %s is %s, and only %v is said", id, state, facts)
			}
			if err := c.copies(ctx, id, saga, state, owed); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

// copies: none is left of a post that is over.
func (c *checker) copies(ctx context.Context, id, saga, state string, owed bool) error {
	for _, w := range c.p.posts {
		if w.id != id || owed {
			continue
		}
		for _, f := range w.files {
			there, err := c.p.blobs.Exists(ctx, f.PostKey(id))
			if err != nil {
				return err
			}
			if there {
				c.report("every undo owed is done", saga, "post %s is %s and a copy of %s is left", id, state, f.Name)
			}
		}
	}
	return nil
}

// mails: everyone got each mail once, whatever was repeated under its key.
func (c *checker) mails(context.Context) error {
	texts := map[letter]string{}
	for _, key := range c.p.mail.keys {
		l := c.p.mail.taken[key]
		if l.kind == "post-withdrawn" {
			continue // its text does not tell which post
		}
		if before := texts[l]; before != "" {
			c.report("every mail once", "", "one mail went out under %s and under %s", before, key)
		}
		texts[l] = key
		c.s.Count("mails " + l.kind)
	}
	return nil
}

// history: the log tells the story of each aggregate in the order in which it
// can have happened.
func (c *checker) history(ctx context.Context) error {
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select key, type, saga from choreo.event_log order by position`)
	if err != nil {
		return err
	}
	defer rows.Close()
	// What cannot come after what.
	never := map[string][]string{
		"orders.OrderConfirmed.v1":      {"orders.OrderCanceled.v1", "orders.OrderShipped.v1"},
		"orders.OrderSubmitted.v1":      {"orders.OrderConfirmed.v1", "orders.OrderCanceled.v1"},
		"orders.OrderShipped.v1":        {"orders.OrderCanceled.v1"},
		"orders.OrderCanceled.v1":       {"orders.RefundCompleted.v1", "orders.OrderShipped.v1"},
		"posts.PostCreated.v1":          {"posts.TagsCreated.v1", "posts.PostPublished.v1", "posts.PostWithdrawn.v1", "posts.PostDeleted.v1"},
		"posts.TagsCreated.v1":          {"posts.PostWithdrawn.v1", "posts.PostDeleted.v1", "posts.TagsRemoved.v1"},
		"posts.AttachmentsRelocated.v1": {"posts.PostWithdrawn.v1", "posts.PostDeleted.v1", "posts.AttachmentsReturned.v1"},
		"posts.PostPublished.v1":        {"posts.PostWithdrawn.v1", "posts.PostDeleted.v1"},
	}
	seen := map[string][]string{}
	for rows.Next() {
		var key, typ, saga string
		if err := rows.Scan(&key, &typ, &saga); err != nil {
			return err
		}
		for _, before := range seen[key] {
			if slices.Contains(never[typ], before) {
				c.report("the log tells what happened in order", saga, "%s of %s stands behind %s", typ, key, before)
			}
		}
		seen[key] = append(seen[key], typ)
	}
	return rows.Err()
}
