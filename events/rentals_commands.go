package events

// RentalCommand is what every command of the process manager says.
type RentalCommand struct {
	RentalID  string `json:"rentalId"`
	CommandID string `json:"commandId"`
}

func (c RentalCommand) Key() string     { return c.RentalID }
func (c RentalCommand) Rental() string  { return c.RentalID }
func (c RentalCommand) Command() string { return c.CommandID }
func (c RentalCommand) Validate() error { return ids("rentalId", c.RentalID, "commandId", c.CommandID) }

// The commands of the process manager: each is answered on the topic
// managed-rentals.
type (
	// ChargeRental asks to charge the card.
	ChargeRental struct{ RentalCommand }
	// OccupyRoom asks to hold the room.
	OccupyRoom struct{ RentalCommand }
	// CompleteRental asks to say that the rental stands.
	CompleteRental struct{ RentalCommand }
	// TextGuest asks to tell the guest by SMS.
	TextGuest struct{ RentalCommand }
	// ReleaseRoom asks to let the room go.
	ReleaseRoom struct{ RentalCommand }
	// RefundRental asks to give back what was taken.
	RefundRental struct{ RentalCommand }
	// WithdrawRental asks to end the rental.
	WithdrawRental struct{ RentalCommand }
	// FlagRentalRefund asks to end the rental, and show that money is owed.
	FlagRentalRefund struct{ RentalCommand }
)

func (ChargeRental) FactType() string     { return "rentals-commands.ChargeRental.v1" }
func (OccupyRoom) FactType() string       { return "rentals-commands.OccupyRoom.v1" }
func (CompleteRental) FactType() string   { return "rentals-commands.CompleteRental.v1" }
func (TextGuest) FactType() string        { return "rentals-commands.TextGuest.v1" }
func (ReleaseRoom) FactType() string      { return "rentals-commands.ReleaseRoom.v1" }
func (RefundRental) FactType() string     { return "rentals-commands.RefundRental.v1" }
func (WithdrawRental) FactType() string   { return "rentals-commands.WithdrawRental.v1" }
func (FlagRentalRefund) FactType() string { return "rentals-commands.FlagRentalRefund.v1" }
