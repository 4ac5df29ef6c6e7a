package rental

import (
	"troupe/choreo"
	"troupe/events"
)

// say gives a fact as the rental's mode has it: those of a rental that a process
// manager leads live on a topic of their own.
func (r *Rental) say(f choreo.Fact) choreo.Fact {
	if !r.managed() {
		return f
	}
	switch f := f.(type) {
	case events.RentalRequested:
		return events.ManagedRentalRequested{RentalRequested: f}
	case events.RentalCharged:
		return events.ManagedRentalCharged{RentalCharged: f}
	case events.RentalChargeFailed:
		return events.ManagedRentalChargeFailed{RentalChargeFailed: f}
	case events.RentalChargeUnknown:
		return events.ManagedRentalChargeUnknown{RentalChargeUnknown: f}
	case events.RoomOccupied:
		return events.ManagedRoomOccupied{RoomOccupied: f}
	case events.RoomOccupationFailed:
		return events.ManagedRoomOccupationFailed{RoomOccupationFailed: f}
	case events.RentalCompleted:
		return events.ManagedRentalCompleted{RentalCompleted: f}
	case events.RentalCompletionFailed:
		return events.ManagedRentalCompletionFailed{RentalCompletionFailed: f}
	case events.GuestTexted:
		return events.ManagedGuestTexted{GuestTexted: f}
	case events.GuestTextFailed:
		return events.ManagedGuestTextFailed{GuestTextFailed: f}
	case events.RentalCanceled:
		return events.ManagedRentalCanceled{RentalCanceled: f}
	case events.RentalWithdrawalRequested:
		return events.ManagedRentalWithdrawalRequested{RentalWithdrawalRequested: f}
	case events.RoomReleased:
		return events.ManagedRoomReleased{RoomReleased: f}
	case events.RentalRefunded:
		return events.ManagedRentalRefunded{RentalRefunded: f}
	case events.RentalRefundFailed:
		return events.ManagedRentalRefundFailed{RentalRefundFailed: f}
	case events.RentalWithdrawn:
		return events.ManagedRentalWithdrawn{RentalWithdrawn: f}
	}
	return f
}
