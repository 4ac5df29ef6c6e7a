package payment

import (
	"reflect"
	"testing"

	"troupe/choreo"
	"troupe/events"
)

func TestTransitions(t *testing.T) {
	t.Parallel()
	none, full := events.Money{Currency: "EUR"}, events.Money{Amount: 500, Currency: "EUR"}
	untouched := Reversal{Captured: none, Refunded: none}
	taken := Reversal{PaymentID: "pi_1", Captured: full, RefundID: "re_1", Refunded: full}
	given := events.PaymentRefunded{OrderID: "o", RefundID: "re_1", Amount: full}
	for name, c := range map[string]struct {
		from, to           state
		do                 func(*Payment) error
		captured, refunded events.Money
		raised             choreo.Fact
		fails              bool
	}{
		"a charge":                {requested, captured, capture, full, none, events.PaymentCaptured{OrderID: "o", PaymentID: "pi_1", Amount: full}, false},
		"a charge again":          {captured, captured, capture, full, none, nil, false},
		"a charge after a refund": {refunded, refunded, capture, full, full, nil, false},
		"a charge after release":  {released, released, capture, none, none, nil, false},

		"a refund":                            {captured, refunded, reverse(taken), full, full, given, false},
		"a refund of a charge unheard of":     {requested, refunded, reverse(taken), full, full, given, false},
		"a refund again":                      {refunded, refunded, reverse(taken), full, full, nil, false},
		"a refund of a charge that came late": {released, refunded, reverse(taken), full, full, given, false},
		"nothing was taken":                   {requested, released, reverse(untouched), none, none, events.RefundNotNeeded{OrderID: "o"}, false},
		"nothing was taken, again":            {released, released, reverse(untouched), none, none, nil, false},
		"a charge that is denied":             {captured, captured, reverse(untouched), full, none, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Payment{OrderID: "o", Amount: full, Captured: none, Refunded: none, state: c.from}
			if c.from == captured || c.from == refunded {
				p.Captured, p.ID = full, "pi_1"
			}
			if c.from == refunded {
				p.Refunded = full
			}
			if err := c.do(p); (err != nil) != c.fails {
				t.Errorf("error: %v", err)
			}
			if p.state != c.to || p.Captured != c.captured || p.Refunded != c.refunded {
				t.Errorf("%s, captured %v, refunded %v; want %s, %v, %v", p.state, p.Captured, p.Refunded, c.to, c.captured, c.refunded)
			}
			if c.raised == nil && len(p.raised) > 0 || c.raised != nil && !reflect.DeepEqual(p.raised, []choreo.Fact{c.raised}) {
				t.Errorf("raised %v, want %v", p.raised, c.raised)
			}
		})
	}
}

func capture(p *Payment) error {
	p.Capture("pi_1", events.Money{Amount: 500, Currency: "EUR"})
	return nil
}

func reverse(r Reversal) func(*Payment) error {
	return func(p *Payment) error { return p.Reverse(r) }
}

func TestOnlyTheEventThatAskedAwaitsTheCharge(t *testing.T) {
	t.Parallel()
	p := &Payment{requestedBy: "e1", state: requested}
	if !p.Awaits("e1") || p.Awaits("e2") {
		t.Error("a copy of the event could charge a second time, or the event itself not at all")
	}
	if p.state = captured; p.Awaits("e1") {
		t.Error("a captured payment awaits a charge")
	}
}
