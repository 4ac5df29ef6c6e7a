package acceptance

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

type carrierItem struct {
	OrderID, ChangeID, Key, Status string
	ShippingInfo                   map[string]string
	At                             time.Time
}

// move has an order brought to another postal code.
func (s *system) move(t *testing.T, buyer person, id, code string) (saga string) {
	t.Helper()
	return s.call(t, http.StatusAccepted, http.MethodPut, "/orders/"+id+"/shipping-info", buyer.token, map[string]string{
		"name": "Marker Name", "street": "Marker Street 2", "city": "Port", "postalCode": code, "country": "DE",
	}).header.Get("Troupe-Saga")
}

// shippedTo checks where an order goes by now, and what its carrier was told last.
func (s *system) shippedTo(t *testing.T, id, code, carrier, told string) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		o := get[struct {
			Carrier      string
			ShippingInfo map[string]string
		}](t, s, "/orders/"+id)
		if o.Carrier != carrier || o.ShippingInfo["postalCode"] != code {
			return fmt.Errorf("order %s goes to %s, its carrier is %s; want %s, %s", id, o.ShippingInfo["postalCode"], o.Carrier, code, carrier)
		}
		return nil
	})
	last := ""
	for _, u := range get[struct{ Items []carrierItem }](t, s, "/sandbox/carrier").Items {
		if u.OrderID == id && u.Status == "succeeded" {
			last = u.ShippingInfo["postalCode"]
		}
	}
	if last != told {
		t.Errorf("the carrier brings order %s to %q; want %q", id, last, told)
	}
}

// One row of the catalogue after the other, by the postal codes of the changes.
func (s shared) shippingChanges(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	for name, c := range map[string]struct {
		codes               []string // each waits for the saga of the one before
		code, carrier, told string
		outcome             string // of the last saga
		facts               []string
	}{
		"sync-carrier: CarrierSynced": {[]string{"54321"}, "54321", "synced", "54321", "completed",
			[]string{"orders.ShippingInfoChanged", "orders.CarrierSynced"}},
		"sync-carrier: flaky": {[]string{"00001"}, "00001", "synced", "00001", "completed", []string{"orders.CarrierSynced"}},
		"revert-shipping-info: to what was ordered": {[]string{"00000"}, "12345", "failed", "12345", "undone",
			[]string{"orders.CarrierSyncFailed", "orders.ShippingInfoReverted", "orders.CarrierRecalled"}},
		"revert-shipping-info: to what the carrier accepted": {[]string{"54321", "00000"}, "54321", "failed", "54321", "undone",
			[]string{"orders.CarrierSyncFailed", "orders.ShippingInfoReverted", "orders.CarrierRecalled"}},
		"a change after one that failed": {[]string{"00000", "54321"}, "54321", "synced", "54321", "completed",
			[]string{"orders.CarrierSynced"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id, orderSaga := s.place(t, buyer, "tok_visa")
			var g sagaBody
			for _, code := range c.codes {
				saga := s.move(t, buyer, id, code)
				if saga == orderSaga {
					t.Error("the change joined the order's saga")
				}
				g = s.settled(t, saga)
			}
			s.shippedTo(t, id, c.code, c.carrier, c.told)
			if g.Outcome != c.outcome || len(g.Owed) > 0 {
				t.Errorf("the saga came out %s, owing %v; want %s", g.Outcome, g.Owed, c.outcome)
			}
			for _, fact := range c.facts {
				if g.has(fact) != 1 {
					t.Errorf("%d facts %s; want one: %+v", g.has(fact), fact, g.Steps)
				}
			}
		})
	}
}

// Many changes at once: the last stands, at the carrier too, and each of the
// others was told before it or superseded.
func (s shared) manyShippingChanges(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	id, _ := s.place(t, buyer, "tok_visa")
	var sagas []string
	for i := range 8 {
		code := fmt.Sprint(20000 + i)
		if i%2 == 0 {
			code = "00001" // flaky: it holds up those behind it
		}
		sagas = append(sagas, s.move(t, buyer, id, code))
	}
	for _, saga := range sagas {
		g := s.settled(t, saga)
		if g.Outcome != "completed" || g.has("orders.CarrierSynced")+g.has("orders.ShippingInfoSuperseded") != 1 {
			t.Errorf("a change came out %s: %+v", g.Outcome, g.Steps)
		}
	}
	s.shippedTo(t, id, "20007", "synced", "20007")
}

func (s shared) tooLateToShipElsewhere(t *testing.T) {
	t.Parallel()
	buyer := s.join(t, "buyer")
	to := map[string]string{"name": "N", "street": "S", "city": "C", "postalCode": "1", "country": "DE"}
	canceled, _ := s.place(t, buyer, "tok_visa")
	s.cancel(t, buyer, canceled)
	s.call(t, http.StatusConflict, http.MethodPut, "/orders/"+canceled+"/shipping-info", buyer.token, to)
	shipped, _ := s.place(t, buyer, "tok_visa")
	s.call(t, http.StatusConflict, http.MethodPost, "/orders/"+canceled+"/shipment", staff, nil)
	s.confirmed(t, shipped)
	s.call(t, http.StatusOK, http.MethodPost, "/orders/"+shipped+"/shipment", staff, nil)
	s.call(t, http.StatusConflict, http.MethodPut, "/orders/"+shipped+"/shipping-info", buyer.token, to)
}
