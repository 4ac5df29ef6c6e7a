package orderdetails_test

import (
	"reflect"
	"testing"

	"troupe/choreo"
	"troupe/choreo/choreotest"
	"troupe/events"
	"troupe/handlers"
	"troupe/views/orderdetails"
)

var (
	price = events.Money{Amount: 2500, Currency: "EUR"}
	lines = []events.OrderLine{{SKU: "ticket", Quantity: 2, UnitPrice: events.Money{Amount: 1250, Currency: "EUR"}}}
)

func stage(t *testing.T) *choreotest.Stage {
	t.Helper()
	flow, err := handlers.Flow(handlers.Outside{})
	if err != nil {
		t.Fatal(err)
	}
	return choreotest.New(t, flow, handlers.Migrate)
}

// facts of order o, by what they tell.
func facts(o string) map[string]choreo.Fact {
	return map[string]choreo.Fact{
		"submitted": events.OrderSubmitted{OrderID: o, AccountID: "a", PaymentMethodID: "m", Lines: lines, Total: price, ShippingVersion: 1},
		"confirmed": events.OrderConfirmed{OrderID: o, AccountID: "a"}, "shipped": events.OrderShipped{OrderID: o},
		"canceled": events.OrderCanceled{OrderID: o, By: "buyer", Reason: "why"}, "settled": events.RefundCompleted{OrderID: o},
		"captured":   events.PaymentCaptured{OrderID: o, PaymentID: "p", Amount: price},
		"refunded":   events.PaymentRefunded{OrderID: o, RefundID: "r", Amount: price},
		"not needed": events.RefundNotNeeded{OrderID: o}, "refund failed": events.RefundFailed{OrderID: o, Reason: "why"},
	}
}

func find(t *testing.T, s *choreotest.Stage, id string) *orderdetails.Order {
	t.Helper()
	o, err := orderdetails.Find(t.Context(), s.DB.Pool(), id)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Every order of the facts of two topics that keeps each topic's own order comes
// to the same, and so do facts that come again.
func TestOrderDetailsUnderCancellations(t *testing.T) {
	t.Parallel()
	s := stage(t)
	type want struct {
		state, refund      string
		captured, refunded int64
	}
	for name, c := range map[string]struct {
		orders, payments []string
		want             want
	}{
		"submitted":                        {[]string{"submitted"}, nil, want{"submitted", "none", 0, 0}},
		"paid":                             {[]string{"submitted"}, []string{"captured"}, want{"submitted", "none", 2500, 0}},
		"confirmed":                        {[]string{"submitted", "confirmed"}, []string{"captured"}, want{"confirmed", "none", 2500, 0}},
		"shipped":                          {[]string{"submitted", "confirmed", "shipped"}, []string{"captured"}, want{"shipped", "none", 2500, 0}},
		"canceled":                         {[]string{"submitted", "canceled"}, nil, want{"canceled", "started", 0, 0}},
		"canceled after confirmation":      {[]string{"submitted", "confirmed", "canceled"}, []string{"captured"}, want{"canceled", "started", 2500, 0}},
		"money is back, not settled":       {[]string{"submitted", "confirmed", "canceled"}, []string{"captured", "refunded"}, want{"canceled", "started", 2500, 2500}},
		"settled":                          {[]string{"submitted", "confirmed", "canceled", "settled"}, []string{"captured", "refunded"}, want{"canceled", "completed", 2500, 2500}},
		"a charge that nobody reported":    {[]string{"submitted", "canceled", "settled"}, []string{"refunded"}, want{"canceled", "completed", 2500, 2500}},
		"nothing was paid":                 {[]string{"submitted", "canceled", "settled"}, []string{"not needed"}, want{"canceled", "none", 0, 0}},
		"the refund failed":                {[]string{"submitted", "confirmed", "canceled"}, []string{"captured", "refund failed"}, want{"canceled", "failed", 2500, 0}},
		"a failed refund was redone":       {[]string{"submitted", "confirmed", "canceled", "settled"}, []string{"captured", "refund failed", "refunded"}, want{"canceled", "completed", 2500, 2500}},
		"settled before the payment tells": {[]string{"submitted", "canceled", "settled"}, nil, want{"canceled", "started", 0, 0}},
	} {
		for i, sequence := range interleaved(c.orders, c.payments) {
			id := name + string(rune('a'+i))
			f := facts(id)
			for range 2 { // all of it comes again, as other events
				for _, what := range sequence {
					r := s.When(orderdetails.Name, f[what], "")
					s.Again(r)
					r.Emits()
				}
			}
			o := find(t, s, id)
			if o == nil {
				t.Errorf("%s, %v: there is none", name, sequence)
				continue
			}
			got := want{o.State, o.RefundStatus, o.Captured.Amount, o.Refunded.Amount}
			if got != c.want || o.Total != price || o.Captured.Currency != "EUR" || o.Refunded.Currency != "EUR" ||
				o.AccountID != "a" || !reflect.DeepEqual(o.Lines, lines) {
				t.Errorf("%s, %v: %+v, want %+v", name, sequence, o, c.want)
			}
		}
	}
	if o := find(t, s, "nobody's"); o != nil {
		t.Errorf("an order that nobody placed: %+v", o)
	}
}

// interleaved are the orders in which two lines can come, each in its own order.
// An order can be read only from its submission on.
func interleaved(a, b []string) (all [][]string) {
	if len(a) == 0 || len(b) == 0 {
		return [][]string{append(append([]string{}, a...), b...)}
	}
	for _, rest := range interleaved(a[1:], b) {
		all = append(all, append([]string{a[0]}, rest...))
	}
	for _, rest := range interleaved(a, b[1:]) {
		all = append(all, append([]string{b[0]}, rest...))
	}
	return all
}

// From the moment that the view hears of the cancellation, the refund is started.
func TestACancellationStartsTheRefundAtOnce(t *testing.T) {
	t.Parallel()
	s := stage(t)
	f := facts("o")
	for _, c := range []struct{ what, refund string }{
		{"submitted", "none"}, {"captured", "none"}, {"confirmed", "none"}, {"canceled", "started"}, {"refunded", "started"}, {"settled", "completed"},
	} {
		s.When(orderdetails.Name, f[c.what], "")
		if o := find(t, s, "o"); o.RefundStatus != c.refund {
			t.Errorf("after %s the refund is %s, want %s", c.what, o.RefundStatus, c.refund)
		}
	}
}

// What the carrier knows is that of the newest change.
func TestTheCarrierOfAnOrder(t *testing.T) {
	t.Parallel()
	s := stage(t)
	changed := func(o, id string, version int) choreo.Fact {
		return events.ShippingInfoChanged{OrderID: o, ChangeID: id, Version: version}
	}
	synced := func(o, id string) choreo.Fact { return events.CarrierSynced{OrderID: o, ChangeID: id} }
	failed := func(o, id string) choreo.Fact {
		return events.CarrierSyncFailed{OrderID: o, ChangeID: id, Reason: "refused"}
	}
	for o, c := range map[string]struct {
		facts []choreo.Fact
		want  string
	}{
		"o1": {nil, "none"},
		"o2": {[]choreo.Fact{changed("o2", "c1", 2)}, "pending"},
		"o3": {[]choreo.Fact{changed("o3", "c1", 2), synced("o3", "c1")}, "synced"},
		"o4": {[]choreo.Fact{changed("o4", "c1", 2), failed("o4", "c1")}, "failed"},
		"o5": {[]choreo.Fact{changed("o5", "c1", 2), changed("o5", "c2", 3), failed("o5", "c1")}, "pending"},
		"o6": {[]choreo.Fact{changed("o6", "c1", 2), failed("o6", "c1"), changed("o6", "c2", 3), synced("o6", "c2")}, "synced"},
	} {
		for range 2 { // all of it comes again, as other events
			for _, f := range append([]choreo.Fact{facts(o)["submitted"]}, c.facts...) {
				s.When(orderdetails.Name, f, "")
			}
		}
		if got := find(t, s, o); got.Carrier != c.want {
			t.Errorf("%v: the carrier is %s, want %s", c.facts, got.Carrier, c.want)
		}
	}
}
