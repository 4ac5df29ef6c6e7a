// Package order is the aggregate of an order: what was asked for, where it
// goes, and how far it and its refund are. What was paid is the payment's to
// know, and the card the buyer's: an order holds neither.
package order

import (
	"errors"

	"troupe/choreo"
	"troupe/events"
)

// State is how far an order is.
type State string

// The states: submitted → confirmed → shipped, and canceled from the first two.
const (
	Submitted State = "submitted"
	Confirmed State = "confirmed"
	Canceled  State = "canceled"
	Shipped   State = "shipped"
)

// RefundStatus is how far the refund of a canceled order is.
type RefundStatus string

// The refund's states: started at once with the cancellation, and none again
// where nothing had been paid. Failed is money owed.
const (
	RefundNone      RefundStatus = "none"
	RefundStarted   RefundStatus = "started"
	RefundCompleted RefundStatus = "completed"
	RefundFailed    RefundStatus = "failed"
)

// Who cancels an order, as events.OrderCanceled says it.
const (
	ByBuyer   = "buyer"
	ByPayment = "payment"
)

var (
	// ErrShipped is a cancellation that comes too late.
	ErrShipped = errors.New("the order has been shipped and can be canceled no more")

	// ErrNotConfirmed is a shipment of an order that is not confirmed.
	ErrNotConfirmed = errors.New("only a confirmed order can be shipped")
)

// Order is one order. Get it by Place or Load.
type Order struct {
	ID        string
	AccountID string
	Saga      string // later commands on the order join it
	Lines     []events.OrderLine
	Total     events.Money

	state     State
	refund    RefundStatus
	shipping  *Shipping // to be written by Save; nil where it stands already
	version   int       // of the shipping info
	mailedFor string    // the event that asked for the mail
	raised    []choreo.Fact
}

// Place makes a new order of the account and raises OrderStarted. The card
// token goes into that fact and nowhere else. The error joins a FieldError for
// each field that breaks a rule.
func Place(id, accountID string, lines []events.OrderLine, cardToken string, to Shipping) (*Order, error) {
	total, err := validate(lines, cardToken, to)
	if err != nil {
		return nil, err
	}
	o := &Order{
		ID: id, AccountID: accountID, Lines: lines, Total: total,
		state: Submitted, refund: RefundNone, shipping: &to, version: 1,
	}
	o.raise(events.OrderStarted{
		OrderID: id, AccountID: accountID, CardToken: cardToken,
		Lines: lines, Total: total, ShippingVersion: o.version,
	})
	return o, nil
}

// State is how far the order is.
func (o *Order) State() State { return o.state }

// Refund is how far its refund is.
func (o *Order) Refund() RefundStatus { return o.refund }

// RefundDue tells whether the order was canceled and its refund is not settled.
func (o *Order) RefundDue() bool { return o.refund == RefundStarted || o.refund == RefundFailed }

// Confirm marks a submitted order as paid.
func (o *Order) Confirm() {
	if o.state != Submitted {
		return
	}
	o.state = Confirmed
	o.raise(events.OrderConfirmed{OrderID: o.ID, AccountID: o.AccountID})
}

// MailFor tells whether the buyer is to be told, for this event, that the order
// is confirmed. The first event to ask gets it; copies of it get nothing.
func (o *Order) MailFor(eventID string) bool {
	if o.state == Submitted || o.mailedFor != "" && o.mailedFor != eventID {
		return false
	}
	o.mailedFor = eventID
	return true
}

// Cancel cancels the order for its buyer and starts the refund of what was
// paid as far as is known, nil if nothing. On a canceled order it does nothing.
func (o *Order) Cancel(reason string, paymentID *string, paid *events.Money) error {
	if err := o.verifyNotYetShipped(); err != nil {
		return err
	}
	if o.state != Canceled {
		o.cancel(events.OrderCanceled{PaymentID: paymentID, Amount: paid, By: ByBuyer, Reason: reason})
	}
	return nil
}

// CancelUnpaid cancels a submitted order that could not be paid.
func (o *Order) CancelUnpaid(reason string) {
	if o.state == Submitted {
		o.cancel(events.OrderCanceled{By: ByPayment, Reason: reason})
	}
}

func (o *Order) cancel(f events.OrderCanceled) {
	o.state, o.refund = Canceled, RefundStarted
	f.OrderID = o.ID
	o.raise(f)
}

// Ship sends a confirmed order off.
func (o *Order) Ship() error {
	if o.state != Confirmed {
		return ErrNotConfirmed
	}
	o.state = Shipped
	o.raise(events.OrderShipped{OrderID: o.ID})
	return nil
}

// SettleRefund ends a refund that is due: completed where money went back, none
// where none had been taken. Money may go back after that too: of a charge that
// came to light late.
func (o *Order) SettleRefund(moneyBack bool) {
	late := moneyBack && o.state == Canceled && o.refund == RefundNone
	if !o.RefundDue() && !late {
		return
	}
	o.refund = RefundNone
	if moneyBack {
		o.refund = RefundCompleted
	}
	o.raise(events.RefundCompleted{OrderID: o.ID})
}

// FlagRefund marks a started refund as failed: the money is owed.
func (o *Order) FlagRefund() {
	if o.refund == RefundStarted {
		o.refund = RefundFailed
	}
}

func (o *Order) verifyNotYetShipped() error {
	if o.state == Shipped {
		return ErrShipped
	}
	return nil
}

func (o *Order) raise(f choreo.Fact) { o.raised = append(o.raised, f) }
