package play

import (
	"context"
	"strings"

	"troupe/choreo/sim"
	"troupe/providers/carrier"
	"troupe/providers/sms"
)

// What the world refuses for good: streets that start so, and phones.
const nowhere, unreachable = "Nowhere, ", "+4999"

// depot is the carrier: what it was told under each key, and where it brings each
// order by now.
type depot struct {
	sim    *sim.Sim
	taken  map[string]carrier.Answer
	orders map[string]carrier.Update
}

// Tell takes the update with the highest sequence.
func (d *depot) Tell(ctx context.Context, key string, u carrier.Update) (carrier.Answer, error) {
	if !sim.Pause(ctx, "the carrier reads the address") {
		return carrier.Answer{}, errGone
	}
	if a, again := d.taken[key]; again {
		return a, nil
	}
	if strings.HasPrefix(u.To.Street, nowhere) {
		return carrier.Answer{}, carrier.ErrRefused
	}
	a := carrier.Answer{Taken: u.Sequence > d.orders[u.OrderID].Sequence}
	if a.Taken {
		d.orders[u.OrderID] = u
		d.sim.Count("addresses")
		d.sim.Note("", "  the carrier brings %s to %q (%d)", u.OrderID, u.To.Street, u.Sequence)
	}
	d.taken[key] = a
	return a, nil
}

// Find knows what was taken.
func (d *depot) Find(_ context.Context, key string) (carrier.Answer, bool, error) {
	a, found := d.taken[key]
	return a, found, nil
}

// gateway sends SMS, each key's once.
type gateway struct {
	sim  *sim.Sim
	sent map[string]string // by key: the text
}

// Send sends a message, once per key.
func (g *gateway) Send(ctx context.Context, key string, m sms.Message) error {
	if !sim.Pause(ctx, "the gateway dials") {
		return errGone
	}
	if strings.HasPrefix(m.To, unreachable) {
		return sms.ErrRefused
	}
	if _, again := g.sent[key]; !again {
		g.sent[key] = m.Text
		g.sim.Count("texts")
	}
	return nil
}

// Find tells whether the message under the key was sent.
func (g *gateway) Find(_ context.Context, key string) (bool, error) {
	_, sent := g.sent[key]
	return sent, nil
}

// texts is how many messages went out about a rental.
func (g *gateway) texts(rentalID string) (n int) {
	for _, text := range g.sent {
		if strings.Contains(text, rentalID) {
			n++
		}
	}
	return n
}
