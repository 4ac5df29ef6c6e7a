package order

import (
	"errors"

	"troupe/choreo"
	"troupe/events"
)

// CarrierState is what the carrier knows of an order's newest change of where it
// goes.
type CarrierState string

// The states: none while nothing was changed; failed once a change was taken
// back since the carrier would not have it.
const (
	CarrierNone       CarrierState = "none"
	CarrierPending    CarrierState = "pending"
	CarrierSynced     CarrierState = "synced"
	CarrierFailed     CarrierState = "failed"
	carrierSuperseded CarrierState = "superseded" // of a change that is not the newest
)

var (
	// ErrUnderWay is a change of where an order goes that comes too late.
	ErrUnderWay = errors.New("the order has been shipped or canceled: where it goes can be changed no more")

	// ErrErased is a shipping info that is gone, with the person it belonged to.
	ErrErased = errors.New("the shipping info has been erased")
)

// Delivery is where an order goes: the part of the order that changes by itself.
// Get it by LoadDelivery.
type Delivery struct {
	OrderID   string
	AccountID string

	state    State
	shown    int // the version that stands
	sequence int // of the newest thing to tell the carrier
	changes  []*change
	info     *Shipping // of a new version, to be written by Save
	raised   []choreo.Fact
}

// change is one wish of the buyer, in order of version.
type change struct {
	id                string
	version, sequence int
	saga, takenBy     string
	state             CarrierState
}

// Errand is what the carrier is to be told: that the order goes where the info
// of that version says.
type Errand struct {
	Version  int
	Sequence int // what the carrier knows the later of two errands by
}

// Change makes a new wish of where the order goes, in the saga. The error joins a
// FieldError for each field that breaks a rule, or is ErrUnderWay.
func (d *Delivery) Change(id, saga string, to Shipping) error {
	if d.state == Shipped || d.state == Canceled {
		return ErrUnderWay
	}
	if err := errors.Join(validShipping("", to)...); err != nil {
		return err
	}
	d.sequence++
	c := &change{id: id, version: d.newest() + 1, sequence: d.sequence, saga: saga, state: CarrierPending}
	d.changes = append(d.changes, c)
	d.shown, d.info = c.version, &to
	d.raise(events.ShippingInfoChanged{OrderID: d.OrderID, ChangeID: id, Version: c.version})
	return nil
}

// newest is the version of the newest wish: 1 is what was ordered with.
func (d *Delivery) newest() int {
	if len(d.changes) == 0 {
		return 1
	}
	return d.changes[len(d.changes)-1].version
}

// Carrier is what the carrier knows of the newest change.
func (d *Delivery) Carrier() CarrierState {
	if len(d.changes) == 0 {
		return CarrierNone
	}
	return d.changes[len(d.changes)-1].state
}

// Take gives the event, of the saga, the errand of a pending change. The first
// event to ask gets it; copies of it get nothing, and so does one whose change
// has a newer behind it: that one is superseded.
func (d *Delivery) Take(changeID, saga, eventID string) (Errand, bool) {
	c := d.find(changeID)
	if c == nil || c.saga != saga || c.state != CarrierPending || c.takenBy != "" && c.takenBy != eventID {
		return Errand{}, false
	}
	c.takenBy = eventID
	if c.version < d.newest() {
		d.supersede(c)
		return Errand{}, false
	}
	return Errand{c.version, c.sequence}, true
}

// Sync notes what the carrier did with a pending change: it took it, or had
// heard of a later one.
func (d *Delivery) Sync(changeID string, taken bool) {
	c := d.find(changeID)
	switch {
	case c == nil || c.state != CarrierPending:
	case taken:
		c.state = CarrierSynced
		d.raise(events.CarrierSynced{OrderID: d.OrderID, ChangeID: c.id})
	default:
		d.supersede(c)
	}
}

func (d *Delivery) supersede(c *change) {
	c.state = carrierSuperseded
	d.raise(events.ShippingInfoSuperseded{OrderID: d.OrderID, ChangeID: c.id})
}

// Revert takes a pending change back: the order goes where the carrier last
// agreed to bring it, else where it was ordered to. With a newer change that one
// says where.
func (d *Delivery) Revert(changeID, saga string) {
	c := d.find(changeID)
	if c == nil || c.saga != saga || c.state != CarrierPending {
		return
	}
	c.state = CarrierFailed
	if c.version == d.newest() {
		d.shown = 1
		for _, earlier := range d.changes {
			if earlier.state == CarrierSynced {
				d.shown = earlier.version
			}
		}
		d.sequence++
	}
	d.raise(events.ShippingInfoReverted{OrderID: d.OrderID, ChangeID: c.id})
}

// Reverted tells whether the change, of the saga, was taken back.
func (d *Delivery) Reverted(changeID, saga string) bool {
	c := d.find(changeID)
	return c != nil && c.saga == saga && c.state == CarrierFailed
}

// Recall is the errand after a change was taken back: where the order goes now.
// There is none while a newer change is pending, which will say it.
func (d *Delivery) Recall() (Errand, bool) {
	return Errand{d.shown, d.sequence}, d.Carrier() != CarrierPending
}

func (d *Delivery) find(changeID string) *change {
	for _, c := range d.changes {
		if c.id == changeID {
			return c
		}
	}
	return nil
}

func (d *Delivery) raise(f choreo.Fact) { d.raised = append(d.raised, f) }
