// Package rentals has the consumers that rent rooms: charge, hold the room,
// complete, tell the guest, and take all of that back. Each reacts to the facts
// of choreographed rentals, and to the commands of the process manager, which
// ManageRental is.
package rentals

import "troupe/choreo"

// of is a fact or a command about a rental.
type of interface {
	choreo.Fact
	Rental() string
}
