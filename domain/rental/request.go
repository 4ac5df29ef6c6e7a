package rental

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"troupe/choreo"
	"troupe/events"
)

// MaxNights is how long a rental may be.
const MaxNights = 366

// FieldError is a field of a new rental that breaks a rule. Its text says what to
// do, and never holds the value.
type FieldError struct {
	Name   string
	Reason string
}

func (e FieldError) Error() string { return e.Reason }

// Field is the path of the field in the command.
func (e FieldError) Field() string { return e.Name }

// Wish is what a guest asks for.
type Wish struct {
	AccountID string
	RoomID    string
	From, To  string // YYYY-MM-DD, To exclusive
	Phone     string
	Mode      string // events.ModeChoreography or events.ModeManager
}

// phone is a number as people write it: digits, a plus in front, and what stands
// between for the eye.
var phone = regexp.MustCompile(`^\+?[0-9][0-9 ()/.-]{3,24}$`)

// Request makes a new rental, which holds nothing yet, and raises
// RentalRequested. The price is computed here. The error joins a FieldError for
// each field that breaks a rule. The payment method is to be set before Save.
func Request(ctx context.Context, tx *choreo.Tx, w Wish) (*Rental, error) {
	room, found, err := findRoom(ctx, tx, w.RoomID)
	if err != nil {
		return nil, err
	}
	nights, errs := validNights(w.From, w.To, tx.Now().Format(time.DateOnly))
	if !found {
		errs = append(errs, FieldError{"roomId", "name a room of GET /rooms"})
	}
	if w.Phone = strings.TrimSpace(w.Phone); !phone.MatchString(w.Phone) {
		errs = append(errs, FieldError{"guestPhone", "give a phone number, such as +4915112345678"})
	}
	if w.Mode != events.ModeChoreography && w.Mode != events.ModeManager {
		errs = append(errs, FieldError{"mode", "say choreography or manager"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	none := events.Money{Currency: room.Price.Currency}
	r := &Rental{
		ID: tx.NewID(), AccountID: w.AccountID, Saga: tx.Saga(), Mode: w.Mode, RoomID: room.ID, From: w.From, To: w.To,
		Price:    events.Money{Amount: nights * room.Price.Amount, Currency: room.Price.Currency},
		Captured: none, Refunded: none, Refund: RefundNone, SMS: SMSNone, reached: Requested, phone: w.Phone,
	}
	r.raise(events.RentalRequested{
		RentalID: r.ID, AccountID: r.AccountID, RoomID: r.RoomID, From: r.From, To: r.To, Price: r.Price, Mode: r.Mode,
	})
	return r, nil
}

// validNights counts the nights of a rental that keeps the rules of its days.
func validNights(from, to, today string) (nights int64, errs []error) {
	begin, err := time.Parse(time.DateOnly, from)
	if err != nil {
		errs = append(errs, FieldError{"from", "give a day as YYYY-MM-DD"})
	} else if from < today {
		errs = append(errs, FieldError{"from", "give a day that is not over"})
	}
	end, err := time.Parse(time.DateOnly, to)
	if err != nil {
		return 0, append(errs, FieldError{"to", "give a day as YYYY-MM-DD"})
	}
	if len(errs) > 0 {
		return 0, errs
	}
	nights = int64(end.Sub(begin) / (24 * time.Hour))
	if nights < 1 || nights > MaxNights {
		errs = append(errs, FieldError{"to", fmt.Sprintf("give a day 1 to %d nights after from", MaxNights)})
	}
	return nights, errs
}
