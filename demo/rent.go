package demo

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"time"
)

// rental is one as GET /rentals/{id} gives it.
type rental struct {
	RentalID     string `json:"rentalId"`
	RoomID       string `json:"roomId"`
	From         string `json:"from"`
	To           string `json:"to"`
	Price        money  `json:"price"`
	State        string `json:"state"`
	RefundStatus string `json:"refundStatus"`
	Captured     money  `json:"captured"`
	Refunded     money  `json:"refunded"`
	SMS          string `json:"sms"`
}

// rent asks for a room, and may give it up again.
func (c *crew) rent(ctx context.Context, r rentalPlan) error {
	if r.rival {
		first := r
		first.rival, first.card, first.label = false, "tok_visa", join("there first", r.mode)
		path, _, err := c.request(ctx, first)
		if err != nil {
			return err
		}
		if err := c.untilDecided(ctx, path, first); err != nil {
			return err
		}
	}
	path, token, err := c.request(ctx, r)
	if err != nil || r.cancel == never {
		return err
	}
	if r.cancel == paid {
		if err := c.untilDecided(ctx, path, r); err != nil {
			return err
		}
	}
	if err := sleep(ctx, r.after); err != nil {
		return err
	}
	// 409: it is withdrawn already, since the room was taken or the card declined.
	_, err = c.command(ctx, "withdraw", request{method: http.MethodDelete, path: path, token: token, again: true},
		nil, http.StatusAccepted, http.StatusConflict)
	return err
}

// request asks for a room, and tells where the rental can be read.
func (c *crew) request(ctx context.Context, r rentalPlan) (path, token string, err error) {
	token = c.people[r.guest].token
	from := c.firstDay.AddDate(0, 0, r.day)
	var made struct {
		RentalID string `json:"rentalId"`
	}
	a, err := c.command(ctx, "rent", post("/rentals", token, map[string]any{
		"roomId": r.room, "from": from.Format(time.DateOnly), "to": from.AddDate(0, 0, r.nights).Format(time.DateOnly),
		"guestPhone": r.phone, "cardToken": r.card, "mode": cmp.Or(c.o.Mode, r.mode),
	}), &made, http.StatusAccepted)
	if err != nil {
		return "", "", err
	}
	c.remember(a, r.label)
	return "/rentals/" + made.RentalID, token, nil
}

// untilDecided waits, within bounds, until a rental is complete or will not be.
func (c *crew) untilDecided(ctx context.Context, path string, r rentalPlan) error {
	return c.until(ctx, path, c.people[r.guest], func(now moving) bool {
		return now.State == "completed" || now.State == "withdrawing" || now.State == "withdrawn"
	})
}

// firstDay is the first that a run asks rooms for: each run, as it has addresses of
// its own, has days of its own.
func firstDay(run string) time.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(run)) // cannot fail
	return time.Now().UTC().AddDate(0, 0, 30+period*int(h.Sum32()%200))
}

// bill is a rental as an order would be, so that its money is checked alike.
func (r *rental) bill() *order {
	state := map[string]string{"completed": "confirmed", "withdrawn": "canceled"}[r.State]
	if state == "" {
		state = "submitted" // not done
	}
	return &order{OrderID: r.RentalID, State: state, RefundStatus: r.RefundStatus, Total: r.Price, Captured: r.Captured, Refunded: r.Refunded}
}

// rentalSum: a room is held once for a night, and guests of rooms that are held
// were told.
func rentalSum(rentals []*rental) Sum {
	s := Sum{Name: "rentals"}
	held, states, texted := map[string]string{}, map[string]int{}, map[string]int{}
	for _, r := range rentals {
		if r == nil {
			s.Wrong = append(s.Wrong, "a rental is in the log, and GET says 404")
			continue
		}
		states[r.State]++
		if r.State != "completed" {
			continue
		}
		texted[r.SMS]++
		if r.SMS != "sent" && r.SMS != "failed" {
			s.Wrong = append(s.Wrong, fmt.Sprintf("the guest of rental %s was not told: %s", r.RentalID, r.SMS))
		}
		from, err := time.Parse(time.DateOnly, r.From)
		to, toErr := time.Parse(time.DateOnly, r.To)
		if err != nil || toErr != nil {
			s.Wrong = append(s.Wrong, fmt.Sprintf("rental %s is from %q to %q", r.RentalID, r.From, r.To))
			continue
		}
		for night := from; night.Before(to); night = night.AddDate(0, 0, 1) {
			key := r.RoomID + " on " + night.Format(time.DateOnly)
			if other := held[key]; other != "" {
				s.Wrong = append(s.Wrong, fmt.Sprintf("%s is held by %s and %s", key, other, r.RentalID))
			}
			held[key] = r.RentalID
		}
	}
	s.Text = fmt.Sprintf("%d: %d completed (%d nights, %d guests told, %d not reached), %d withdrawn",
		len(rentals), states["completed"], len(held), texted["sent"], texted["failed"], states["withdrawn"])
	return s
}
