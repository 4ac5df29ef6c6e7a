// Package process is the event-sourced process manager of a rental. Its stream
// holds every event that it received and every command that it issued; its state
// is a fold of that stream; it alone decides the next command. It knows nothing
// of the rental itself: only what it was told.
package process

import (
	"troupe/choreo"
	"troupe/events"
)

// Kind is what an entry of a stream tells.
type Kind string

// The kinds of entries. A command that was issued is confirmed once it stands in
// the event log, or rejected at once where validation refuses it.
const (
	Started             Kind = "Started"
	Received            Kind = "Received"
	CommandIssued       Kind = "CommandIssued"
	PublishingConfirmed Kind = "PublishingConfirmed"
	PublishingRejected  Kind = "PublishingRejected"
)

// Entry is one entry of a stream.
type Entry struct {
	Position int // from 1; a confirmation stands at that of its command
	Kind     Kind
	Name     string // of the event or the command, as "RoomOccupied"
	Ref      string // id of the event or the command; of Started the saga
	Reason   string // of a rejection
}

// Phase is what a manager is about: each but the last three has one command.
type Phase string

// The phases: forward to completed, then, where it comes to that, back. Parked is
// one whose undoing cannot be commanded: it decides nothing more.
const (
	Charging    Phase = "charging"
	Occupying   Phase = "occupying"
	Completing  Phase = "completing"
	Completed   Phase = "completed"
	Releasing   Phase = "releasing"
	Refunding   Phase = "refunding"
	Flagging    Phase = "flagging"
	Withdrawing Phase = "withdrawing"
	Ended       Phase = "ended"
	Parked      Phase = "parked"
)

// step is what a phase commands, and where it leads: by the event that answers
// it, and by a rejection of its command. A rejection of a forward command leads
// back to what undoes the steps before it, one of an undo to Parked: an undo is
// never undone. That the guest is not told undoes nothing, as its failure does
// not.
type step struct {
	command  string
	answers  map[string]Phase
	rejected Phase
}

var steps = map[Phase]step{
	Charging: {"ChargeRental", map[string]Phase{
		"RentalCharged": Occupying, "RentalChargeFailed": Withdrawing, "RentalChargeUnknown": Refunding}, Withdrawing},
	Occupying:   {"OccupyRoom", map[string]Phase{"RoomOccupied": Completing, "RoomOccupationFailed": Refunding}, Refunding},
	Completing:  {"CompleteRental", map[string]Phase{"RentalCompleted": Completed, "RentalCompletionFailed": Releasing}, Releasing},
	Completed:   {"TextGuest", map[string]Phase{"RentalCanceled": Releasing}, Completed},
	Releasing:   {"ReleaseRoom", map[string]Phase{"RoomReleased": Refunding}, Parked},
	Refunding:   {"RefundRental", map[string]Phase{"RentalRefunded": Withdrawing, "RentalRefundFailed": Flagging}, Parked},
	Flagging:    {"FlagRentalRefund", map[string]Phase{"RentalRefunded": Withdrawing}, Parked},
	Withdrawing: {"WithdrawRental", map[string]Phase{"RentalWithdrawn": Ended}, Parked},
}

// State is the fold of a stream.
type State struct {
	Phase  Phase // empty before the stream starts
	Issued bool  // the command of the phase was issued
}

// Apply is the state after one more entry. It is a pure function: the same
// entries give the same state.
func (s State) Apply(e Entry) State {
	switch e.Kind {
	case Started:
		return State{Phase: Charging}
	case Received:
		if next, answered := steps[s.Phase].answers[e.Name]; answered {
			return State{Phase: next}
		}
	case CommandIssued:
		s.Issued = true
	case PublishingRejected:
		if next := steps[s.Phase].rejected; next != s.Phase {
			return State{Phase: next}
		}
	case PublishingConfirmed:
	}
	return s
}

// Due is the command to issue next, empty where there is none.
func (s State) Due() string {
	if s.Issued {
		return ""
	}
	return steps[s.Phase].command
}

// Fold is the state that a stream tells.
func Fold(entries []Entry) (s State) {
	for _, e := range entries {
		s = s.Apply(e)
	}
	return s
}

// command makes the command of a name.
func command(name, rentalID, id string) choreo.Fact {
	c := events.RentalCommand{RentalID: rentalID, CommandID: id}
	return map[string]choreo.Fact{
		"ChargeRental": events.ChargeRental{RentalCommand: c}, "OccupyRoom": events.OccupyRoom{RentalCommand: c},
		"CompleteRental": events.CompleteRental{RentalCommand: c}, "TextGuest": events.TextGuest{RentalCommand: c},
		"ReleaseRoom": events.ReleaseRoom{RentalCommand: c}, "RefundRental": events.RefundRental{RentalCommand: c},
		"WithdrawRental": events.WithdrawRental{RentalCommand: c}, "FlagRentalRefund": events.FlagRentalRefund{RentalCommand: c},
	}[name]
}
