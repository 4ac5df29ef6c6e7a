package events

// The facts of rentals that a process manager leads: the same fields, on a topic
// of their own, so that choreographed consumers never see them.
type (
	// ManagedRentalRequested is RentalRequested of such a rental.
	ManagedRentalRequested struct{ RentalRequested }
	// ManagedRentalCharged is RentalCharged of such a rental.
	ManagedRentalCharged struct{ RentalCharged }
	// ManagedRentalChargeFailed is RentalChargeFailed of such a rental.
	ManagedRentalChargeFailed struct{ RentalChargeFailed }
	// ManagedRentalChargeUnknown is RentalChargeUnknown of such a rental.
	ManagedRentalChargeUnknown struct{ RentalChargeUnknown }
	// ManagedRoomOccupied is RoomOccupied of such a rental.
	ManagedRoomOccupied struct{ RoomOccupied }
	// ManagedRoomOccupationFailed is RoomOccupationFailed of such a rental.
	ManagedRoomOccupationFailed struct{ RoomOccupationFailed }
	// ManagedRentalCompleted is RentalCompleted of such a rental.
	ManagedRentalCompleted struct{ RentalCompleted }
	// ManagedRentalCompletionFailed is RentalCompletionFailed of such a rental.
	ManagedRentalCompletionFailed struct{ RentalCompletionFailed }
	// ManagedGuestTexted is GuestTexted of such a rental.
	ManagedGuestTexted struct{ GuestTexted }
	// ManagedGuestTextFailed is GuestTextFailed of such a rental.
	ManagedGuestTextFailed struct{ GuestTextFailed }
	// ManagedRentalCanceled is RentalCanceled of such a rental.
	ManagedRentalCanceled struct{ RentalCanceled }
	// ManagedRentalWithdrawalRequested is RentalWithdrawalRequested of such a rental.
	ManagedRentalWithdrawalRequested struct{ RentalWithdrawalRequested }
	// ManagedRoomReleased is RoomReleased of such a rental.
	ManagedRoomReleased struct{ RoomReleased }
	// ManagedRentalRefunded is RentalRefunded of such a rental.
	ManagedRentalRefunded struct{ RentalRefunded }
	// ManagedRentalRefundFailed is RentalRefundFailed of such a rental.
	ManagedRentalRefundFailed struct{ RentalRefundFailed }
	// ManagedRentalWithdrawn is RentalWithdrawn of such a rental.
	ManagedRentalWithdrawn struct{ RentalWithdrawn }
)

func (ManagedRentalRequested) FactType() string     { return "managed-rentals.RentalRequested.v1" }
func (ManagedRentalCharged) FactType() string       { return "managed-rentals.RentalCharged.v1" }
func (ManagedRentalChargeFailed) FactType() string  { return "managed-rentals.RentalChargeFailed.v1" }
func (ManagedRentalChargeUnknown) FactType() string { return "managed-rentals.RentalChargeUnknown.v1" }
func (ManagedRoomOccupied) FactType() string        { return "managed-rentals.RoomOccupied.v1" }
func (ManagedRoomOccupationFailed) FactType() string {
	return "managed-rentals.RoomOccupationFailed.v1"
}
func (ManagedRentalCompleted) FactType() string { return "managed-rentals.RentalCompleted.v1" }
func (ManagedRentalCompletionFailed) FactType() string {
	return "managed-rentals.RentalCompletionFailed.v1"
}
func (ManagedGuestTexted) FactType() string     { return "managed-rentals.GuestTexted.v1" }
func (ManagedGuestTextFailed) FactType() string { return "managed-rentals.GuestTextFailed.v1" }
func (ManagedRentalCanceled) FactType() string  { return "managed-rentals.RentalCanceled.v1" }
func (ManagedRentalWithdrawalRequested) FactType() string {
	return "managed-rentals.RentalWithdrawalRequested.v1"
}
func (ManagedRoomReleased) FactType() string       { return "managed-rentals.RoomReleased.v1" }
func (ManagedRentalRefunded) FactType() string     { return "managed-rentals.RentalRefunded.v1" }
func (ManagedRentalRefundFailed) FactType() string { return "managed-rentals.RentalRefundFailed.v1" }
func (ManagedRentalWithdrawn) FactType() string    { return "managed-rentals.RentalWithdrawn.v1" }
