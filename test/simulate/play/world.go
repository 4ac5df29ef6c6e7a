package play

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"troupe/choreo/sim"
	"troupe/providers/mail"
	"troupe/providers/payment"
)

// postbox is the mail server: what it has taken, by the key that a message has.
type postbox struct {
	sim   *sim.Sim
	taken map[string]letter
	keys  []string
}

type letter struct{ to, kind, text string }

// Send takes a message. One that comes again under its key is the same mail.
func (p *postbox) Send(_ context.Context, key string, m mail.Message) error {
	if strings.HasPrefix(m.To, "bounce") {
		return mail.ErrRefused
	}
	if _, again := p.taken[key]; !again {
		p.keys = append(p.keys, key)
	}
	p.taken[key] = letter{m.To, m.Kind, m.Text}
	return nil
}

// bank is the payment provider, with what it has really taken and given back.
// It knows a key for a day, and finds an intent a minute after it was made, as
// the real one does.
type bank struct {
	sim     *sim.Sim
	intents map[string]*intent // by the capture's key
	charges map[string][]*intent
	made    int
}

type intent struct {
	id        string
	reference string
	amount    payment.Money
	made      time.Time
	card      string
	taken     bool
	canceled  bool
	refunded  bool
}

const (
	idempotent = 24 * time.Hour
	searchable = time.Minute
)

func (b *bank) intent(r payment.Request) *intent {
	i := b.intents[r.Key]
	if i == nil || !i.canceled && b.sim.Now().Sub(i.made) > idempotent && !i.refunded {
		b.made++
		i = &intent{id: fmt.Sprintf("pi_%d", b.made), reference: r.Reference, amount: r.Amount, made: b.sim.Now()}
		b.intents[r.Key] = i
	}
	return i
}

// Capture creates an intent, and confirms it.
func (b *bank) Capture(ctx context.Context, r payment.Request, card string) (payment.Charge, error) {
	i := b.intent(r)
	if !sim.Pause(ctx, "the intent is made") {
		return payment.Charge{}, errGone
	}
	switch {
	case i.canceled || i.refunded:
		return payment.Charge{}, payment.ErrCanceled
	case card == "tok_declined":
		return payment.Charge{}, payment.ErrDeclined
	case !i.taken:
		i.taken, i.card = true, card
		b.charges[i.reference] = append(b.charges[i.reference], i)
		b.sim.Count("charges")
		b.sim.Note("", "  the bank takes %d for %s (%s)", i.amount.Amount, i.reference, i.id)
	}
	return payment.Charge{PaymentID: i.id, Amount: i.amount}, nil
}

// Find knows of intents that are a minute old.
func (b *bank) Find(_ context.Context, key string) (payment.Charge, bool, error) {
	i := b.intents[key]
	if i == nil || !i.taken || b.sim.Now().Sub(i.made) < searchable {
		return payment.Charge{}, false, nil
	}
	return payment.Charge{PaymentID: i.id, Amount: i.amount}, true, nil
}

// Reverse cancels an intent that has taken nothing, and refunds one that has.
func (b *bank) Reverse(ctx context.Context, r payment.Request, _ string) (payment.Reversal, error) {
	none := payment.Money{Currency: r.Amount.Currency}
	nothing := payment.Reversal{Captured: none, Refunded: none}
	i := b.intents[r.Key] // the search finds it, however old its key
	if i == nil {
		i = b.intent(r)
	}
	if !sim.Pause(ctx, "the intent is found") {
		return nothing, errGone
	}
	switch {
	case !i.taken:
		i.canceled = true
		return nothing, nil
	case i.card == "tok_refund_fails":
		return nothing, payment.ErrRefused
	case !i.refunded:
		i.refunded = true
		b.sim.Count("refunds")
		b.sim.Note("", "  the bank gives %d back for %s (%s)", i.amount.Amount, i.reference, i.id)
	}
	return payment.Reversal{PaymentID: i.id, Captured: i.amount, RefundID: "re_" + i.id, Refunded: i.amount}, nil
}

// FindReversal knows of intents that are a minute old.
func (b *bank) FindReversal(_ context.Context, reference string) (payment.Reversal, bool, error) {
	var found payment.Reversal
	some := false
	for _, i := range b.intents {
		if i.reference != reference || b.sim.Now().Sub(i.made) < searchable {
			continue
		}
		if some = true; i.taken && !i.refunded || !i.taken && !i.canceled {
			return payment.Reversal{}, false, nil
		}
		none := payment.Money{Currency: i.amount.Currency}
		found.Captured, found.Refunded = none, none
		if i.taken {
			return payment.Reversal{PaymentID: i.id, Captured: i.amount, RefundID: "re_" + i.id, Refunded: i.amount}, true, nil
		}
	}
	return found, some, nil
}

// balance is what the bank has taken for an order, and given back, and how
// often it took something.
func (b *bank) balance(order string) (taken, returned int64, times int) {
	for _, i := range b.charges[order] {
		taken += i.amount.Amount
		times++
		if i.refunded {
			returned += i.amount.Amount
		}
	}
	return taken, returned, times
}

var errGone = errors.New("the connection is gone")
