// Package tutorial is the code of docs/tutorial.md: booking a trip, in three
// steps that are undone when the third cannot be paid.
package tutorial

// TripBooked: somebody wants a seat, and pays from their balance.
type TripBooked struct {
	TripID   string `json:"tripId"`
	Traveler string `json:"traveler"` // an id, never a name: facts are kept
	Fare     int    `json:"fare"`     // in cents
}

// FactType is its topic, its name and its version.
func (TripBooked) FactType() string { return "trips.TripBooked.v1" }

// Key orders facts: those of one trip keep their order.
func (f TripBooked) Key() string { return f.TripID }

// SeatHeld: there is a seat for the trip.
type SeatHeld struct {
	TripID   string `json:"tripId"`
	Traveler string `json:"traveler"`
	Fare     int    `json:"fare"`
}

func (SeatHeld) FactType() string { return "trips.SeatHeld.v1" }
func (f SeatHeld) Key() string    { return f.TripID }

// FareCharged: the trip is paid.
type FareCharged struct {
	TripID   string `json:"tripId"`
	Traveler string `json:"traveler"`
}

func (FareCharged) FactType() string { return "trips.FareCharged.v1" }
func (f FareCharged) Key() string    { return f.TripID }

// TicketSent: the traveler has the ticket. The saga has come out well.
type TicketSent struct {
	TripID string `json:"tripId"`
}

func (TicketSent) FactType() string { return "trips.TicketSent.v1" }
func (f TicketSent) Key() string    { return f.TripID }
