package order

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"troupe/choreo"
	"troupe/events"
)

// Every change of an order, from every state it can be in.
func TestTransitions(t *testing.T) {
	t.Parallel()
	paid, paymentID := events.Money{Amount: 500, Currency: "EUR"}, "pi_1"
	canceled := events.OrderCanceled{OrderID: "o", PaymentID: &paymentID, Amount: &paid, By: "buyer", Reason: "why"}
	type change struct {
		state  State
		refund RefundStatus
		raised choreo.Fact
		err    error
	}
	for name, c := range map[string]struct {
		do   func(*Order) error
		from map[string]change // "state/refund"; from any other nothing happens
		err  map[State]error
	}{
		"confirm": {
			do:   func(o *Order) error { o.Confirm(); return nil },
			from: map[string]change{"submitted/none": {Confirmed, RefundNone, events.OrderConfirmed{OrderID: "o", AccountID: "a"}, nil}},
		},
		"cancel": {
			do: func(o *Order) error { return o.Cancel("why", &paymentID, &paid) },
			from: map[string]change{
				"submitted/none": {Canceled, RefundStarted, canceled, nil},
				"confirmed/none": {Canceled, RefundStarted, canceled, nil},
			},
			err: map[State]error{Shipped: ErrShipped},
		},
		"cancel unpaid": {
			do: func(o *Order) error { o.CancelUnpaid("card_declined"); return nil },
			from: map[string]change{"submitted/none": {Canceled, RefundStarted,
				events.OrderCanceled{OrderID: "o", By: "payment", Reason: "card_declined"}, nil}},
		},
		"ship": {
			do:   func(o *Order) error { return o.Ship() },
			from: map[string]change{"confirmed/none": {Shipped, RefundNone, events.OrderShipped{OrderID: "o"}, nil}},
			err:  map[State]error{Submitted: ErrNotConfirmed, Canceled: ErrNotConfirmed, Shipped: ErrNotConfirmed},
		},
		"money went back": {
			do: func(o *Order) error { o.SettleRefund(true); return nil },
			from: map[string]change{
				"canceled/none":    {Canceled, RefundCompleted, events.RefundCompleted{OrderID: "o"}, nil}, // of a charge that came late
				"canceled/started": {Canceled, RefundCompleted, events.RefundCompleted{OrderID: "o"}, nil},
				"canceled/failed":  {Canceled, RefundCompleted, events.RefundCompleted{OrderID: "o"}, nil},
			},
		},
		"no refund was needed": {
			do: func(o *Order) error { o.SettleRefund(false); return nil },
			from: map[string]change{
				"canceled/started": {Canceled, RefundNone, events.RefundCompleted{OrderID: "o"}, nil},
				"canceled/failed":  {Canceled, RefundNone, events.RefundCompleted{OrderID: "o"}, nil},
			},
		},
		"the refund failed": {
			do:   func(o *Order) error { o.FlagRefund(); return nil },
			from: map[string]change{"canceled/started": {Canceled, RefundFailed, nil, nil}},
		},
	} {
		for _, from := range []struct {
			state  State
			refund RefundStatus
		}{
			{Submitted, RefundNone}, {Confirmed, RefundNone}, {Shipped, RefundNone}, {Canceled, RefundNone},
			{Canceled, RefundStarted}, {Canceled, RefundCompleted}, {Canceled, RefundFailed},
		} {
			at := fmt.Sprintf("%s/%s", from.state, from.refund)
			t.Run(name+" from "+at, func(t *testing.T) {
				want, changes := c.from[at]
				if !changes {
					want = change{from.state, from.refund, nil, c.err[from.state]}
				}
				o := &Order{ID: "o", AccountID: "a", state: from.state, refund: from.refund}
				if err := c.do(o); !errors.Is(err, want.err) {
					t.Errorf("error %v, want %v", err, want.err)
				}
				if o.State() != want.state || o.Refund() != want.refund {
					t.Errorf("%s/%s, want %s/%s", o.State(), o.Refund(), want.state, want.refund)
				}
				if due := want.refund == RefundStarted || want.refund == RefundFailed; o.RefundDue() != due {
					t.Errorf("refund due: %t", o.RefundDue())
				}
				raised := slices.Clone(o.raised)
				if want.raised == nil && len(raised) > 0 || want.raised != nil && !reflect.DeepEqual(raised, []choreo.Fact{want.raised}) {
					t.Errorf("raised %v, want %v", raised, want.raised)
				}
			})
		}
	}
}

func TestOneMailPerOrder(t *testing.T) {
	t.Parallel()
	o := &Order{state: Submitted}
	if o.MailFor("e1") {
		t.Error("an order that was never confirmed is mailed")
	}
	o.Confirm()
	for range 2 {
		if !o.MailFor("e1") {
			t.Error("the event that took the mail on does not get it again")
		}
	}
	if o.MailFor("e2") {
		t.Error("a copy of the event gets a second mail")
	}
}
