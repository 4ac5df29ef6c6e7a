// Package rental is the aggregate of a room's rental: what a guest asked for,
// how far it came, what was paid for it, and how far it is taken back. It holds
// no card: that is the buyer's.
package rental

import (
	"errors"

	"troupe/choreo"
	"troupe/events"
)

// State is how far a rental is, as people see it.
type State string

// The states: requested → charged → occupied → completed, and from each of them
// withdrawing → withdrawn.
const (
	Requested   State = "requested"
	Charged     State = "charged"
	Occupied    State = "occupied"
	Completed   State = "completed"
	Withdrawing State = "withdrawing"
	Withdrawn   State = "withdrawn"
)

// ending is how far a rental is taken back. It stands beside how far the rental
// came: no step can overwrite it.
type ending string

const (
	stands   ending = ""
	asked    ending = "asked"     // by its guest: the next step that comes to it fails
	undoing  ending = "undoing"   // a failure or a cancellation has started the undoing
	flagged  ending = "flagged"   // over, but the money is owed
	finished ending = "withdrawn" // over
)

// RefundStatus is how far a rental's refund is.
type RefundStatus string

// The refund's states: started at once with the withdrawal, and none again where
// nothing had been taken. Failed is money owed.
const (
	RefundNone      RefundStatus = "none"
	RefundStarted   RefundStatus = "started"
	RefundCompleted RefundStatus = "completed"
	RefundFailed    RefundStatus = "failed"
)

// SMS is what became of the text to the guest.
type SMS string

// What an SMS can have come to: pending from completion on.
const (
	SMSNone    SMS = "none"
	SMSPending SMS = "pending"
	SMSSent    SMS = "sent"
	SMSFailed  SMS = "failed"
)

// Reasons that a rental ends for, beside those of the payment provider.
const (
	becauseWithdrawn = "withdrawn" // by its guest, before it was complete
	becauseCanceled  = "canceled"  // by its guest, once it was complete
	becauseTaken     = "taken"     // the room
)

var (
	// ErrWithdrawn is a withdrawal of a rental that is withdrawn, and a step that
	// comes to one that is being withdrawn.
	ErrWithdrawn = errors.New("the rental is withdrawn")

	// ErrBegun is a withdrawal that comes too late.
	ErrBegun = errors.New("the rental has begun and can be withdrawn no more")

	// ErrCompleted is a withdrawal of a complete rental, which is a cancellation.
	ErrCompleted = errors.New("the rental is complete: it is to be canceled")

	// ErrErased is a guest who is gone, with the person.
	ErrErased = errors.New("the guest has been erased")
)

// Rental is one rental. Get it by Request or Load.
type Rental struct {
	ID              string
	AccountID       string
	Saga            string // later commands on the rental join it
	Mode            string // events.ModeChoreography or events.ModeManager
	RoomID          string
	From, To        string // YYYY-MM-DD, To exclusive
	Price           events.Money
	PaymentMethodID string
	Captured        events.Money // taken, as far as is known
	Refunded        events.Money // given back
	Reason          string       // why it ended, empty while it stands
	Refund          RefundStatus
	SMS             SMS

	reached   State // Requested to Completed
	ending    ending
	chargedBy string // the event that asked for the charge
	paymentID string
	refundID  string
	textedFor string // the event that asked for the SMS
	phone     string // of a new one, to be written by Save
	raised    []choreo.Fact
}

// State is how far the rental is.
func (r *Rental) State() State {
	switch r.ending {
	case asked, undoing:
		return Withdrawing
	case flagged, finished:
		return Withdrawn
	default:
		return r.reached
	}
}

// managed tells whether a process manager leads the rental. What it commands is
// done also where no failure went before: it alone decides.
func (r *Rental) managed() bool { return r.Mode == events.ModeManager }

// Withdraw is the guest's wish to give up a rental that is not complete: the next
// step that comes to it fails. A rental that is being withdrawn stays as it is.
// today is YYYY-MM-DD. ErrCompleted, ErrBegun or ErrWithdrawn where it cannot be.
func (r *Rental) Withdraw(today string) error {
	if ended, err := r.endable(today); ended || err != nil {
		return err
	}
	if r.reached == Completed {
		return ErrCompleted
	}
	r.end(asked, becauseWithdrawn)
	r.raise(events.RentalWithdrawalRequested{RentalID: r.ID})
	return nil
}

// Cancel is the guest's wish to give up a complete rental, and starts the
// undoing. See Withdraw.
func (r *Rental) Cancel(today string) error {
	if ended, err := r.endable(today); ended || err != nil {
		return err
	}
	r.end(undoing, becauseCanceled)
	r.raise(events.RentalCanceled{RentalID: r.ID})
	return nil
}

func (r *Rental) endable(today string) (ended bool, err error) {
	switch {
	case r.State() == Withdrawing:
		return true, nil
	case r.State() == Withdrawn:
		return true, ErrWithdrawn
	case r.From <= today:
		return false, ErrBegun
	}
	return false, nil
}

// end begins or goes on with the rental's end. The first reason stays.
func (r *Rental) end(to ending, reason string) {
	if r.ending == stands {
		r.Reason, r.Refund = reason, RefundStarted
	}
	r.ending = to
}

// proceed decides on a step that comes to the rental once it reached a state: to
// take it, or that it fails since the rental was withdrawn; otherwise the step is
// none of its time.
func (r *Rental) proceed(from State) (take, fail bool) {
	return r.reached == from && r.ending == stands, r.reached == from && r.ending == asked
}

// Charge takes the charge on for the event. No other event may make the provider
// take anything: due is false for copies. ErrWithdrawn where the rental was
// withdrawn meanwhile.
func (r *Rental) Charge(eventID string) (due bool, err error) {
	take, fail := r.proceed(Requested)
	if !take && !fail || r.chargedBy != "" && r.chargedBy != eventID || r.Captured.Amount > 0 {
		return false, nil
	}
	if fail {
		return false, ErrWithdrawn
	}
	r.chargedBy = eventID
	return true, nil
}

// ChargeBegun tells whether a charge was ever intended.
func (r *Rental) ChargeBegun() bool { return r.chargedBy != "" }

// Charged notes what the provider took.
func (r *Rental) Charged(paymentID string, amount events.Money) {
	if take, fail := r.proceed(Requested); !take && !fail {
		return
	}
	r.reached, r.paymentID, r.Captured = Charged, paymentID, amount
	r.raise(events.RentalCharged{RentalID: r.ID, PaymentID: paymentID, Amount: amount})
}

// ChargeFailed notes that nothing was charged, and gives the fact that says so.
func (r *Rental) ChargeFailed(reason string) choreo.Fact {
	r.end(undoing, reason)
	r.Refund = RefundNone
	return r.say(events.RentalChargeFailed{RentalID: r.ID, Reason: reason})
}

// ChargeUnknown notes that nobody knows what was charged, and gives the fact that
// says so.
func (r *Rental) ChargeUnknown(reason string) choreo.Fact {
	r.end(undoing, reason)
	return r.say(events.RentalChargeUnknown{RentalID: r.ID, Reason: reason})
}

// Complete makes the rental stand, unless it was withdrawn meanwhile.
func (r *Rental) Complete() {
	switch take, fail := r.proceed(Occupied); {
	case take:
		r.reached, r.SMS = Completed, SMSPending
		r.raise(events.RentalCompleted{RentalID: r.ID})
	case fail:
		r.end(undoing, becauseWithdrawn)
		r.raise(events.RentalCompletionFailed{RentalID: r.ID, Reason: becauseWithdrawn})
	}
}

// Text takes the SMS to the guest on for the event: due is false for copies, and
// where the rental was canceled meanwhile. One that was taken on before may have
// gone out, and is seen through: it says what became of it.
func (r *Rental) Text(eventID string) (due bool) {
	if r.SMS != SMSPending {
		return false
	}
	if r.ending != stands && r.textedFor == "" { // also where its room is free again already
		r.SMS = SMSNone
		return false
	}
	if r.textedFor == "" {
		r.textedFor = eventID
	}
	return r.textedFor == eventID
}

// Texted notes that the guest was told.
func (r *Rental) Texted() {
	if r.textedFor != "" && r.SMS != SMSSent {
		r.SMS = SMSSent
		r.raise(events.GuestTexted{RentalID: r.ID})
	}
}

// TextFailed notes that the guest could not be told, and gives the fact that says
// so.
func (r *Rental) TextFailed(reason string) choreo.Fact {
	r.SMS = SMSFailed
	return r.say(events.GuestTextFailed{RentalID: r.ID, Reason: reason})
}

// undo tells whether the rental is being taken back. A process manager may begin
// that though no failure went before.
func (r *Rental) undo() bool {
	if r.managed() && (r.ending == stands || r.ending == asked) {
		r.end(undoing, "unavailable")
	}
	return r.ending == undoing
}

// GiveBack tells whether what was taken, if anything, is to be given back: the
// room is held no more, and the refund is due.
func (r *Rental) GiveBack() bool {
	if r.reached != Requested && r.reached != Charged {
		return false
	}
	return (r.undo() || r.ending == flagged) && (r.Refund == RefundStarted || r.Refund == RefundFailed)
}

// Reversal is what the provider found and did when asked to undo the charge: what
// had been taken, all of it given back. Without a payment id nothing was taken,
// and nothing can be any more.
type Reversal struct {
	PaymentID string
	Captured  events.Money
	RefundID  string
	Refunded  events.Money
}

// Reversed notes a reversal, once. A charge that nobody had reported counts as
// captured from now on. It is an error if the provider denies a charge that it
// reported before.
func (r *Rental) Reversed(did Reversal) error {
	switch {
	case !r.GiveBack():
		return nil
	case did.PaymentID != "":
		r.paymentID, r.refundID, r.Captured, r.Refunded = did.PaymentID, did.RefundID, did.Captured, did.Refunded
		r.Refund = RefundCompleted
		r.raise(events.RentalRefunded{RentalID: r.ID, RefundID: &did.RefundID, Amount: did.Refunded})
	case r.Captured.Amount > 0:
		return errors.New("the provider knows nothing of payment " + r.paymentID + ", which it captured for rental " + r.ID + ": ask its support")
	default:
		r.Refund = RefundNone
		r.raise(events.RentalRefunded{RentalID: r.ID, Amount: r.Refunded})
	}
	return nil
}

// RefundFailed gives the fact that says that the money is owed.
func (r *Rental) RefundFailed(reason string) choreo.Fact {
	return r.say(events.RentalRefundFailed{RentalID: r.ID, Reason: reason})
}

// Finish ends the rental once nothing of it is left: it holds no room, and what
// was taken, as far as it could be, was given back.
func (r *Rental) Finish() {
	held := r.reached == Occupied || r.reached == Completed
	settled := !r.ChargeBegun() || r.ending != stands && r.ending != asked && (r.Refund == RefundNone || r.Refund == RefundCompleted)
	if held || !settled || !r.undo() && r.ending != flagged {
		return
	}
	r.ending = finished
	if r.Refund == RefundStarted {
		r.Refund = RefundNone
	}
	r.raise(events.RentalWithdrawn{RentalID: r.ID, Reason: r.Reason})
}

// Flag ends the rental though its refund failed: the money is owed.
func (r *Rental) Flag() {
	if r.ending == undoing && r.Refund == RefundStarted {
		r.ending, r.Refund = flagged, RefundFailed
	}
}

func (r *Rental) raise(f choreo.Fact) { r.raised = append(r.raised, r.say(f)) }
