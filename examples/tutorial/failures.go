package tutorial

// FareRefused: the balance is too small. It wakes the undoing.
type FareRefused struct {
	TripID string `json:"tripId"`
	Reason string `json:"reason"`
}

func (FareRefused) FactType() string { return "trips.FareRefused.v1" }
func (f FareRefused) Key() string    { return f.TripID }

// SeatReleased: the seat is free again.
type SeatReleased struct {
	TripID string `json:"tripId"`
}

func (SeatReleased) FactType() string { return "trips.SeatReleased.v1" }
func (f SeatReleased) Key() string    { return f.TripID }

// TripCanceled: all is as it was. The saga is undone.
type TripCanceled struct {
	TripID string `json:"tripId"`
}

func (TripCanceled) FactType() string { return "trips.TripCanceled.v1" }
func (f TripCanceled) Key() string    { return f.TripID }

// TicketNotSent: the trip stands, and the ticket waits at the desk.
type TicketNotSent struct {
	TripID string `json:"tripId"`
	Reason string `json:"reason"`
}

func (TicketNotSent) FactType() string { return "trips.TicketNotSent.v1" }
func (f TicketNotSent) Key() string    { return f.TripID }
