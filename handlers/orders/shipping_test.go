package orders_test

import (
	"context"
	"errors"
	"testing"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/events"
	"troupe/handlers"
	"troupe/providers/carrier"
)

// moved is a change of where an order goes, and the saga of it.
type moved struct {
	saga string
	fact events.ShippingInfoChanged
}

// move has the order brought to another postal code.
func (s *shop) move(p placed, postalCode string) (m moved) {
	s.t.Helper()
	r := s.Given("change-shipping-info", func(ctx context.Context, tx *choreo.Tx) error {
		d, _, err := order.LoadDelivery(ctx, tx, p.id)
		if err != nil {
			return err
		}
		to := order.Shipping{Name: "Ana", Street: "2 Lane", City: "Port", PostalCode: postalCode, Country: "DE"}
		if err := d.Change(tx.NewID(), tx.Saga(), to); err != nil {
			return err
		}
		return d.Save(ctx, tx)
	})
	m.saga = r.Saga
	s.factOf(r.EventID, &m.fact)
	return m
}

// goes checks where the order goes, and what it says of its carrier.
func (s *shop) goes(p placed, postalCode string, state order.CarrierState) {
	s.t.Helper()
	s.Given("change-shipping-info", func(ctx context.Context, tx *choreo.Tx) error {
		d, _, err := order.LoadDelivery(ctx, tx, p.id)
		if err != nil {
			return err
		}
		var code string
		err = tx.QueryRowContext(ctx, `select postal_code from shipping_infos join orders using (order_id)
			where order_id = $1 and version = shipping_version`, p.id).Scan(&code)
		if code != postalCode || d.Carrier() != state {
			s.t.Errorf("the order goes to %s, its carrier is %s; want %s, %s", code, d.Carrier(), postalCode, state)
		}
		return err
	})
}

// told is where the carrier was last told successfully to bring orders, and how
// often it was told in vain.
func (s *shop) told() (last string, inVain int) {
	s.t.Helper()
	for _, u := range s.sandbox.Updates() {
		switch u.Status {
		case "succeeded":
			last = u.ShippingInfo.PostalCode
		case "declined", "failed":
			inVain++
		}
	}
	return last, inVain
}

func synced(m moved) events.CarrierSynced {
	return events.CarrierSynced{OrderID: m.fact.OrderID, ChangeID: m.fact.ChangeID}
}

func superseded(m moved) events.ShippingInfoSuperseded {
	return events.ShippingInfoSuperseded{OrderID: m.fact.OrderID, ChangeID: m.fact.ChangeID}
}

func reverted(m moved) events.ShippingInfoReverted {
	return events.ShippingInfoReverted{OrderID: m.fact.OrderID, ChangeID: m.fact.ChangeID}
}

func recalled(m moved) events.CarrierRecalled {
	return events.CarrierRecalled{OrderID: m.fact.OrderID, ChangeID: m.fact.ChangeID}
}

func syncFailed(m moved, reason string) events.CarrierSyncFailed {
	return events.CarrierSyncFailed{OrderID: m.fact.OrderID, ChangeID: m.fact.ChangeID, Reason: reason}
}

// loseCarrier lets updates through to the carrier and loses its answers; while
// deaf, it lets nothing through at all.
func loseCarrier(deaf *bool) func(*handlers.Outside) {
	return func(o *handlers.Outside) { o.Carrier = lostCarrier{o.Carrier, deaf} }
}

type lostCarrier struct {
	carrier.Carrier
	deaf *bool
}

func (l lostCarrier) Tell(ctx context.Context, key string, u carrier.Update) (carrier.Answer, error) {
	if !*l.deaf {
		if answer, err := l.Carrier.Tell(ctx, key, u); err != nil {
			return answer, err
		}
	}
	return carrier.Answer{}, errLost
}

func (l lostCarrier) Find(ctx context.Context, key string) (carrier.Answer, bool, error) {
	if *l.deaf {
		return carrier.Answer{}, false, errLost
	}
	return l.Carrier.Find(ctx, key)
}

// Two changes at once: the later is never overtaken, and the earlier is either
// told before it or not at all.
func TestChangesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	first := s.move(p, "00001") // flaky
	r := s.When("sync-carrier", first.fact, first.saga)
	r.Emits() // failed for now
	second := s.move(p, "22222")
	behind := s.When("sync-carrier", second.fact, second.saga)
	if behind.Emits(); behind.State != "waiting" {
		t.Errorf("the later change did not wait for the earlier: it is %s", behind.State)
	}
	s.due(r)
	s.Again(r).Emits(superseded(first))
	s.Again(behind).Emits(synced(second))
	s.goes(p, "22222", order.CarrierSynced)
	if last, inVain := s.told(); last != "22222" || inVain != 1 {
		t.Errorf("the carrier brings it to %s, told %d times in vain", last, inVain)
	}
}

// A change fails while a newer one is pending: nothing is reverted, and the
// carrier is left alone; the newer one will tell it.
func TestNothingIsRevertedUnderANewerChange(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	first := s.move(p, "00000")
	failed := syncFailed(first, "refused")
	s.When("sync-carrier", first.fact, first.saga).Emits(failed)
	second := s.move(p, "22222")
	s.When("revert-shipping-info", failed, first.saga).Emits(reverted(first))
	s.goes(p, "22222", order.CarrierPending)
	s.When("recall-carrier", reverted(first), first.saga).Emits(recalled(first))
	if last, _ := s.told(); last != "" {
		t.Errorf("the carrier was told %s", last)
	}
	s.When("sync-carrier", second.fact, second.saga).Emits(synced(second))
	s.goes(p, "22222", order.CarrierSynced)
}

// A recall under way is overtaken by a new change: the carrier goes by the
// sequence, whatever arrives last.
func TestALateRecallDoesNotOverwriteANewerChange(t *testing.T) {
	t.Parallel()
	s := open(t)
	client, err := carrier.NewHTTP(s.sandbox.CarrierURL())
	if err != nil {
		t.Fatal(err)
	}
	to := func(code string) carrier.Address {
		return carrier.Address{Name: "Ana", Street: "1", City: "x", PostalCode: code, Country: "DE"}
	}
	newer, err := client.Tell(t.Context(), "newer", carrier.Update{OrderID: "o", ChangeID: "c2", Sequence: 3, To: to("33333")})
	if err != nil || !newer.Taken {
		t.Fatalf("%v, %v", newer, err)
	}
	late, err := client.Tell(t.Context(), "late", carrier.Update{OrderID: "o", ChangeID: "c1", Sequence: 2, To: to("22222")})
	if err != nil || late.Taken {
		t.Errorf("the late update: %+v, %v; want it not taken", late, err)
	}
	if last, _ := s.told(); last != "33333" {
		t.Errorf("the carrier brings it to %s", last)
	}
}

func TestAChangeThatComesTooLate(t *testing.T) {
	t.Parallel()
	s := open(t)
	p := s.order(s.customer("ana@example.com"), "tok_visa")
	s.cancel(p)
	_, err := choreo.Commit(t.Context(), s.DB, "change-shipping-info", func(ctx context.Context, tx *choreo.Tx) error {
		d, _, err := order.LoadDelivery(ctx, tx, p.id)
		if err != nil {
			return err
		}
		return d.Change(tx.NewID(), tx.Saga(), order.Shipping{Name: "A", Street: "B", City: "C", PostalCode: "1", Country: "D"})
	})
	if !errors.Is(err, order.ErrUnderWay) {
		t.Errorf("a canceled order was changed: %v", err)
	}
}
