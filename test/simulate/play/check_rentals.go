package play

import (
	"context"
	"slices"
	"strings"

	"troupe/choreo/sim"
	"troupe/events"
)

// said tells whether a fact of a key was committed, in either mode of a rental.
func (c *checker) said(key, name string) bool {
	return slices.ContainsFunc(c.facts[key], func(t string) bool { return strings.HasSuffix(t, "."+name+".v1") })
}

// rentals: each is complete or withdrawn; the bank took what it says, and gave
// back what it says; who is told is told once; and what is withdrawn holds no
// room.
func (c *checker) rentals(ctx context.Context) error {
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select rental_id, saga, mode, price, reached, ending, refund_status, captured, refunded, sms,
		exists (select from room_nights n where n.rental_id = r.rental_id and n.room_id = r.room_id
			and n.nights = daterange(r.from_day::date, r.to_day::date))
		from rentals r order by rental_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, saga, mode, reached, ending, refund, told string
		var price, captured, refunded int64
		var held bool
		if err := rows.Scan(&id, &saga, &mode, &price, &reached, &ending, &refund, &captured, &refunded, &told, &held); err != nil {
			return err
		}
		c.s.Count("rentals " + mode + " " + reached + " " + ending)
		taken, returned, times := c.p.bank.balance(id)
		if times > 1 {
			c.report("charged once", saga, "rental %s was charged %d times", id, times)
		}
		stands := ending == "" && reached == "completed"
		switch {
		case stands && (taken != price || returned != 0):
			c.report("money is what rentals say", saga, "rental %s stands at %d; the bank took %d and returned %d", id, price, taken, returned)
		case ending == "withdrawn" && taken != returned:
			c.report("money is what rentals say", saga, "rental %s is withdrawn, its refund %s; the bank took %d and returned %d", id, refund, taken, returned)
		case ending == "flagged" && (refund != "failed" || !c.said(id, "RentalRefundFailed")):
			c.report("every undo owed is done", saga, "rental %s is over, its refund %s, and nobody said that money is owed", id, refund)
		case !stands && ending != "withdrawn" && ending != "flagged":
			c.report("every rental is settled", saga, "rental %s is %s, %s (%v)", id, reached, ending, c.facts[id])
		}
		if ending != "flagged" && (captured != taken || refunded != returned) {
			c.report("money is what rentals say", saga, "rental %s says %d and %d; the bank took %d and returned %d", id, captured, refunded, taken, returned)
		}
		if held != stands {
			c.report("a room is held by who rents it", saga, "rental %s is %s %s, and it holds its room: %t", id, reached, ending, held)
		}
		c.texts(id, saga, told, stands)
	}
	return rows.Err()
}

func (c *checker) texts(id, saga, told string, stands bool) {
	switch n := c.p.sms.texts(id); {
	case n > 1, told == "none" && n > 0, told == "sent" && n != 1:
		c.report("every SMS once", saga, "the SMS of rental %s is %s, and %d went out", id, told, n)
	case stands && told != "sent" && told != "failed", told == "pending":
		c.report("every SMS once", saga, "the SMS of rental %s is %s in the end", id, told)
	}
}

// rooms: at no moment was one held twice for a day.
func (c *checker) rooms(ctx context.Context) error {
	type stay struct{ room, from, to string }
	stays := map[string]stay{}
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select rental_id, room_id, from_day, to_day from rentals`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var w stay
		if err := rows.Scan(&id, &w.room, &w.from, &w.to); err != nil {
			return err
		}
		stays[id] = w
	}
	holding := map[string]stay{}
	for _, n := range c.s.Notes() {
		if n.Kind != sim.Emitted {
			continue
		}
		id := n.Event.Key
		switch n.Event.Type {
		case events.RoomOccupied{}.FactType(), events.ManagedRoomOccupied{}.FactType():
			for other, w := range holding {
				if me := stays[id]; w.room == me.room && w.from < me.to && me.from < w.to {
					c.report("a room is held once", n.Event.Saga, "%s is held by rental %s and by rental %s", me.room, other, id)
				}
			}
			holding[id] = stays[id]
		case events.RoomReleased{}.FactType(), events.ManagedRoomReleased{}.FactType():
			if _, held := holding[id]; !held {
				c.report("a room is held by who rents it", n.Event.Saga, "rental %s released a room that it did not hold", id)
			}
			delete(holding, id)
		}
	}
	return rows.Err()
}

// deliveries: no change is left pending, and the carrier brings the order to
// where its shipping info says, unless it is said that it could not be told.
func (c *checker) deliveries(ctx context.Context) error {
	rows, err := c.s.DB.Pool().QueryContext(ctx, `select o.order_id, o.saga, o.shipping_version,
		coalesce((select change_id from shipping_changes s where s.order_id = o.order_id and s.version = o.shipping_version), ''),
		(select count(*) from shipping_changes s where s.order_id = o.order_id and s.state = 'pending'),
		(select count(*) from shipping_changes s where s.order_id = o.order_id)
		from orders o order by o.order_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, saga, change string
		var version, pending, changes int
		if err := rows.Scan(&id, &saga, &version, &change, &pending, &changes); err != nil {
			return err
		}
		if pending > 0 {
			c.report("every change of shipping is settled", saga, "%d changes of order %s are pending", pending, id)
		}
		if changes == 0 || c.said(id, "CarrierRecallFailed") {
			continue
		}
		c.s.Count("orders that moved")
		last, told := c.p.carrier.orders[id]
		want, moved := c.p.goes[change]
		switch {
		case version > 1 && (!told || last.To.Street != want):
			c.report("the carrier knows the last address", saga, "order %s goes by version %d; the carrier was told of %q (%t)", id, version, last.ChangeID, told)
		case version == 1 && told && c.elsewhere(last.To.Street):
			c.report("the carrier knows the last address", saga, "order %s goes where it was ordered to; the carrier brings it by %q (%t)", id, last.ChangeID, moved)
		}
	}
	return rows.Err()
}

// elsewhere tells whether a street is that of a change.
func (c *checker) elsewhere(street string) bool {
	for _, s := range c.p.goes {
		if s == street {
			return true
		}
	}
	return false
}
