package demo

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// leave has somebody delete their account, with something in the way or not.
func (c *crew) leave(ctx context.Context, l leaverPlan) error {
	who := c.people[l.person]
	for range l.projects {
		var made struct {
			ProjectID string `json:"projectId"`
		}
		_, err := c.command(ctx, "project", post("/accounts/"+who.id+"/projects", who.token, map[string]string{"name": "A project"}).keyed(), &made, http.StatusCreated)
		if err != nil {
			return err
		}
		if l.member < 0 {
			continue
		}
		path := "/projects/" + made.ProjectID + "/members/" + c.people[l.member].id
		if _, err := c.command(ctx, "add member", put(path, who.token, nil), nil, http.StatusOK); err != nil {
			return err
		}
	}
	if l.order {
		o := orderPlan{buyer: l.person, card: "tok_visa", pieces: 1, price: 900, label: "of somebody who wants to leave"}
		if err := c.buy(ctx, o); err != nil {
			return err
		}
	}
	// Again while it is closing is the same deletion; 401: it is done already.
	a, err := c.command(ctx, "delete account", request{
		method: http.MethodDelete, path: "/accounts/" + who.id, token: who.token, again: true,
	}, nil, http.StatusAccepted, http.StatusUnauthorized)
	if err != nil {
		return err
	}
	c.remember(a, l.label)
	return nil
}

// accountSum: each deletion that was asked for has erased its account or brought
// it back, and the account says the same.
func accountSum(facts []fact, people []*account) Sum {
	s := Sum{Name: "accounts"}
	asked, ended := map[string]string{}, map[string]string{} // account, outcome by saga
	last := map[string]string{}                              // outcome by account
	for _, f := range facts {
		switch f.Type {
		case "accounts.AccountDeletionRequested.v1":
			asked[f.SagaID] = f.Key
		case "accounts.AccountErased.v1", "accounts.AccountRestored.v1":
			if before := ended[f.SagaID]; before != "" {
				s.Wrong = append(s.Wrong, fmt.Sprintf("the deletion of account %s ended twice", f.Key))
			}
			ended[f.SagaID], last[f.Key] = f.Type, f.Type
		}
	}
	for saga, id := range asked {
		if ended[saga] == "" {
			s.Wrong = append(s.Wrong, fmt.Sprintf("the deletion of account %s has not ended", id))
		}
	}
	erased, restored := 0, 0
	for _, p := range people {
		if p == nil {
			continue
		}
		is, was := p.State == "erased", last[p.AccountID] == "accounts.AccountErased.v1"
		switch {
		case is != was:
			s.Wrong = append(s.Wrong, fmt.Sprintf("account %s is %s, and its facts say otherwise", p.AccountID, p.State))
		case is && p.Email != "":
			s.Wrong = append(s.Wrong, fmt.Sprintf("account %s is erased and has an address", p.AccountID))
		case p.State == "closing":
			s.Wrong = append(s.Wrong, fmt.Sprintf("account %s is still closing", p.AccountID))
		}
		if is {
			erased++
		} else if last[p.AccountID] != "" {
			restored++
		}
	}
	s.Text = fmt.Sprintf("%d, of which %d wanted to leave: %d erased, %d as they were before", len(people), erased+restored, erased, restored)
	return s
}

// move changes where an order goes, twice where it is told to.
func (c *crew) move(ctx context.Context, o orderPlan, path string) error {
	for _, postalCode := range o.moves {
		if err := sleep(ctx, o.after/4); err != nil {
			return err
		}
		a, err := c.command(ctx, "change shipping", put(path+"/shipping-info", c.people[o.buyer].token, map[string]string{
			"name": "A Person", "street": "Other Street 2", "city": "Port", "postalCode": postalCode, "country": "DE",
		}), nil, http.StatusAccepted, http.StatusConflict)
		if err != nil {
			return err
		}
		c.remember(a, "to postal code "+postalCode)
	}
	return nil
}

// shippingSum: each change of where an order goes was taken by the carrier,
// overtaken by a newer one, or taken back.
func shippingSum(facts []fact) Sum {
	s := Sum{Name: "shipping"}
	ends := map[string]string{
		"orders.CarrierSynced.v1": "taken by the carrier", "orders.ShippingInfoSuperseded.v1": "overtaken", "orders.CarrierSyncFailed.v1": "refused",
	}
	changes, ended, reverted, counts := 0, map[string]int{}, map[string]int{}, map[string]int{}
	refused := map[string]bool{}
	for _, f := range facts {
		id := f.field("changeId")
		switch {
		case f.Type == "orders.ShippingInfoChanged.v1":
			changes++
			ended[id] += 0
		case ends[f.Type] != "":
			ended[id]++
			counts[ends[f.Type]]++
			refused[id] = refused[id] || f.Type == "orders.CarrierSyncFailed.v1"
		case f.Type == "orders.ShippingInfoReverted.v1":
			reverted[id]++
		}
	}
	for id, n := range ended {
		if n != 1 {
			s.Wrong = append(s.Wrong, fmt.Sprintf("change %s has %d outcomes", id, n))
		}
		if refused[id] && reverted[id] != 1 {
			s.Wrong = append(s.Wrong, fmt.Sprintf("change %s was refused and taken back %d times", id, reverted[id]))
		}
	}
	s.Text = fmt.Sprintf("%d changes: %d taken by the carrier, %d overtaken, %d refused and taken back",
		changes, counts["taken by the carrier"], counts["overtaken"], counts["refused"])
	return s
}

// promptSum: the slow hundredth of each kind of command was answered in time.
func promptSum(list []Command, within time.Duration) Sum {
	s := Sum{Name: "prompt"}
	var worst Command
	for _, c := range list {
		if c.P99 > worst.P99 {
			worst = c
		}
		if time.Duration(c.P99) > within {
			s.Wrong = append(s.Wrong, fmt.Sprintf("%s: 99 of 100 were answered in %s", c.Name, since(time.Duration(c.P99))))
		}
	}
	s.Text = fmt.Sprintf("99 of 100 commands of each kind were answered within %s, the slowest kind being %s", since(time.Duration(worst.P99)), worst.Name)
	return s
}
