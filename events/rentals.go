package events

// Modes of a rental: who decides its next step.
const (
	ModeChoreography = "choreography" // each consumer, by the facts that it hears
	ModeManager      = "manager"      // an event-sourced process manager
)

// RentalRequested: A guest wants a room from a day to another, exclusive. Nothing is held for it yet.
type RentalRequested struct {
	RentalID  string `json:"rentalId"`
	AccountID string `json:"accountId"`
	RoomID    string `json:"roomId"`
	From      string `json:"from" jsonschema:"format=date"`
	To        string `json:"to" jsonschema:"format=date"`
	Price     Money  `json:"price"`
	Mode      string `json:"mode" jsonschema:"enum=choreography,enum=manager"`
}

func (RentalRequested) FactType() string { return "rentals.RentalRequested.v1" }
func (f RentalRequested) Key() string    { return f.RentalID }
func (f RentalRequested) Rental() string { return f.RentalID }
func (f RentalRequested) Validate() error {
	return ids("rentalId", f.RentalID, "accountId", f.AccountID, "roomId", f.RoomID)
}

// RentalCharged: The provider charged the guest's card.
type RentalCharged struct {
	RentalID  string `json:"rentalId"`
	PaymentID string `json:"paymentId"`
	Amount    Money  `json:"amount"`
}

func (RentalCharged) FactType() string  { return "rentals.RentalCharged.v1" }
func (f RentalCharged) Key() string     { return f.RentalID }
func (f RentalCharged) Rental() string  { return f.RentalID }
func (f RentalCharged) Validate() error { return ids("rentalId", f.RentalID, "paymentId", f.PaymentID) }

// RentalChargeFailed: Nothing was charged: the provider said no, or was never called.
type RentalChargeFailed struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (RentalChargeFailed) FactType() string        { return "rentals.RentalChargeFailed.v1" }
func (f RentalChargeFailed) Key() string           { return f.RentalID }
func (f RentalChargeFailed) Rental() string        { return f.RentalID }
func (f RentalChargeFailed) Validate() error       { return ids("rentalId", f.RentalID) }
func (f RentalChargeFailed) FailureReason() string { return f.Reason }

// RentalChargeUnknown: The provider was called and nobody can say what came of it.
type RentalChargeUnknown struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (RentalChargeUnknown) FactType() string        { return "rentals.RentalChargeUnknown.v1" }
func (f RentalChargeUnknown) Key() string           { return f.RentalID }
func (f RentalChargeUnknown) Rental() string        { return f.RentalID }
func (f RentalChargeUnknown) Validate() error       { return ids("rentalId", f.RentalID) }
func (f RentalChargeUnknown) FailureReason() string { return f.Reason }

// RoomOccupied: The room is the guest's for the nights.
type RoomOccupied struct {
	RentalID string `json:"rentalId"`
}

func (RoomOccupied) FactType() string  { return "rentals.RoomOccupied.v1" }
func (f RoomOccupied) Key() string     { return f.RentalID }
func (f RoomOccupied) Rental() string  { return f.RentalID }
func (f RoomOccupied) Validate() error { return ids("rentalId", f.RentalID) }

// RoomOccupationFailed: The room is somebody else's for one of the nights, or the rental was withdrawn meanwhile.
type RoomOccupationFailed struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (RoomOccupationFailed) FactType() string        { return "rentals.RoomOccupationFailed.v1" }
func (f RoomOccupationFailed) Key() string           { return f.RentalID }
func (f RoomOccupationFailed) Rental() string        { return f.RentalID }
func (f RoomOccupationFailed) Validate() error       { return ids("rentalId", f.RentalID) }
func (f RoomOccupationFailed) FailureReason() string { return f.Reason }

// RentalCompleted: The rental stands: it is paid, and the room is held.
type RentalCompleted struct {
	RentalID string `json:"rentalId"`
}

func (RentalCompleted) FactType() string  { return "rentals.RentalCompleted.v1" }
func (f RentalCompleted) Key() string     { return f.RentalID }
func (f RentalCompleted) Rental() string  { return f.RentalID }
func (f RentalCompleted) Validate() error { return ids("rentalId", f.RentalID) }

// RentalCompletionFailed: The rental was withdrawn before it was complete.
type RentalCompletionFailed struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (RentalCompletionFailed) FactType() string        { return "rentals.RentalCompletionFailed.v1" }
func (f RentalCompletionFailed) Key() string           { return f.RentalID }
func (f RentalCompletionFailed) Rental() string        { return f.RentalID }
func (f RentalCompletionFailed) Validate() error       { return ids("rentalId", f.RentalID) }
func (f RentalCompletionFailed) FailureReason() string { return f.Reason }

// GuestTexted: The guest was told by SMS.
type GuestTexted struct {
	RentalID string `json:"rentalId"`
}

func (GuestTexted) FactType() string  { return "rentals.GuestTexted.v1" }
func (f GuestTexted) Key() string     { return f.RentalID }
func (f GuestTexted) Rental() string  { return f.RentalID }
func (f GuestTexted) Validate() error { return ids("rentalId", f.RentalID) }

// GuestTextFailed: The guest could not be told by SMS; the rental stands.
type GuestTextFailed struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (GuestTextFailed) FactType() string        { return "rentals.GuestTextFailed.v1" }
func (f GuestTextFailed) Key() string           { return f.RentalID }
func (f GuestTextFailed) Rental() string        { return f.RentalID }
func (f GuestTextFailed) Validate() error       { return ids("rentalId", f.RentalID) }
func (f GuestTextFailed) FailureReason() string { return f.Reason }

// RentalCanceled: The guest gave a complete rental up. What was paid is owed back.
type RentalCanceled struct {
	RentalID string `json:"rentalId"`
}

func (RentalCanceled) FactType() string  { return "rentals.RentalCanceled.v1" }
func (f RentalCanceled) Key() string     { return f.RentalID }
func (f RentalCanceled) Rental() string  { return f.RentalID }
func (f RentalCanceled) Validate() error { return ids("rentalId", f.RentalID) }

// RentalWithdrawalRequested: The guest gave the rental up before it was complete: the next step that comes to it fails.
type RentalWithdrawalRequested struct {
	RentalID string `json:"rentalId"`
}

func (RentalWithdrawalRequested) FactType() string  { return "rentals.RentalWithdrawalRequested.v1" }
func (f RentalWithdrawalRequested) Key() string     { return f.RentalID }
func (f RentalWithdrawalRequested) Rental() string  { return f.RentalID }
func (f RentalWithdrawalRequested) Validate() error { return ids("rentalId", f.RentalID) }

// RoomReleased: The room is free again.
type RoomReleased struct {
	RentalID string `json:"rentalId"`
}

func (RoomReleased) FactType() string  { return "rentals.RoomReleased.v1" }
func (f RoomReleased) Key() string     { return f.RentalID }
func (f RoomReleased) Rental() string  { return f.RentalID }
func (f RoomReleased) Validate() error { return ids("rentalId", f.RentalID) }

// RentalRefunded: What had been taken was given back, and nothing can be taken any more. RefundID is nil and the amount 0 where nothing had been.
type RentalRefunded struct {
	RentalID string  `json:"rentalId"`
	RefundID *string `json:"refundId"`
	Amount   Money   `json:"amount"`
}

func (RentalRefunded) FactType() string  { return "rentals.RentalRefunded.v1" }
func (f RentalRefunded) Key() string     { return f.RentalID }
func (f RentalRefunded) Rental() string  { return f.RentalID }
func (f RentalRefunded) Validate() error { return ids("rentalId", f.RentalID) }

// RentalRefundFailed: The refund was refused for good, or given up: owed.
type RentalRefundFailed struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (RentalRefundFailed) FactType() string        { return "rentals.RentalRefundFailed.v1" }
func (f RentalRefundFailed) Key() string           { return f.RentalID }
func (f RentalRefundFailed) Rental() string        { return f.RentalID }
func (f RentalRefundFailed) Validate() error       { return ids("rentalId", f.RentalID) }
func (f RentalRefundFailed) FailureReason() string { return f.Reason }

// RentalWithdrawn: The rental is no more, and nothing of it is left.
type RentalWithdrawn struct {
	RentalID string `json:"rentalId"`
	Reason   string `json:"reason"`
}

func (RentalWithdrawn) FactType() string        { return "rentals.RentalWithdrawn.v1" }
func (f RentalWithdrawn) Key() string           { return f.RentalID }
func (f RentalWithdrawn) Rental() string        { return f.RentalID }
func (f RentalWithdrawn) Validate() error       { return ids("rentalId", f.RentalID) }
func (f RentalWithdrawn) FailureReason() string { return f.Reason }
