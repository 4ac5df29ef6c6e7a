package tutorial

import (
	"context"

	"troupe/choreo"
)

// Post sends tickets. A send that is repeated with the same key goes out once.
type Post interface {
	Send(ctx context.Context, key, traveler, trip string) error
}

// SendTicket on FareCharged sends the ticket. Emits TicketSent; fails with
// TicketNotSent, which changes nothing for the trip. Irreversible.
type SendTicket struct{ Post Post }

func (SendTicket) Load(context.Context, *choreo.Tx, choreo.Event[FareCharged]) (struct{}, error) {
	return struct{}{}, nil // the event says it all
}

func (s SendTicket) Call(ctx context.Context, key string, e choreo.Event[FareCharged], _ struct{}) (struct{}, error) {
	return struct{}{}, s.Post.Send(ctx, key, e.Fact.Traveler, e.Fact.TripID)
}

func (SendTicket) Record(_ context.Context, tx *choreo.Tx, e choreo.Event[FareCharged], _ struct{}) error {
	tx.Emit(TicketSent{TripID: e.Fact.TripID})
	return nil
}

// TicketGivenUp is what comes of it after a day of trying.
func TicketGivenUp(_ context.Context, _ *choreo.Tx, e choreo.Event[FareCharged], _ error) (choreo.Fact, error) {
	return TicketNotSent{TripID: e.Fact.TripID, Reason: "unavailable"}, nil
}
