package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/buyer"
	"troupe/domain/order"
	"troupe/domain/rental"
	"troupe/events"
)

// rentals adds rooms, and renting them.
func (s *Server) rentals() {
	s.refuses(http.StatusConflict, rental.ErrWithdrawn, rental.ErrBegun)

	tags := []string{"rentals"}
	register(s, anyone, huma.Operation{
		OperationID: "list-rooms", Method: http.MethodGet, Path: "/rooms", Tags: tags,
		Summary: "List the rooms that can be rented",
	}, s.listRooms)
	register(s, accountsOnly, huma.Operation{
		OperationID: "request-rental", Method: http.MethodPost, Path: "/rentals", Tags: tags,
		Summary: "Ask for a room", DefaultStatus: http.StatusAccepted,
		Description: "Whether the room is free is decided afterwards, and so is the payment: `state` of the rental tells what became of it.",
	}, s.requestRental)
	register(s, accountsAndStaff, huma.Operation{
		OperationID: "get-rental", Method: http.MethodGet, Path: "/rentals/{id}", Tags: tags,
		Summary: "Read a rental",
	}, s.getRental)
	register(s, accountsOnly, huma.Operation{
		OperationID: "withdraw-rental", Method: http.MethodDelete, Path: "/rentals/{id}", Tags: tags,
		Summary: "Give a rental up that has not begun", DefaultStatus: http.StatusAccepted,
		Description: "What was paid is given back afterwards: `refundStatus` of the rental tells what became of it.",
	}, s.withdrawRental)
}

type roomBody struct {
	RoomID        string       `json:"roomId"`
	PricePerNight events.Money `json:"pricePerNight"`
}

type roomsRequest struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"The next of the answer before"`
}

type roomsAnswer struct {
	Body struct {
		Items []roomBody `json:"items"`
		Next  *string    `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

func (s *Server) listRooms(ctx context.Context, in *roomsRequest) (*roomsAnswer, error) {
	rooms, err := rental.Rooms(ctx, s.DB.Pool(), in.Cursor, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &roomsAnswer{}
	out.Body.Items = []roomBody{}
	for _, r := range rooms[:min(len(rooms), in.Limit)] {
		out.Body.Items = append(out.Body.Items, roomBody{r.ID, r.Price})
	}
	if len(rooms) > in.Limit {
		out.Body.Next = &rooms[in.Limit-1].ID
	}
	return out, nil
}

type rentalBody struct {
	RentalID     string              `json:"rentalId"`
	RoomID       string              `json:"roomId"`
	From         string              `json:"from" format:"date"`
	To           string              `json:"to" format:"date" doc:"Exclusive"`
	Price        events.Money        `json:"price"`
	State        rental.State        `json:"state" enum:"requested,charged,occupied,completed,withdrawing,withdrawn"`
	Reason       string              `json:"reason" doc:"Why it is withdrawn; empty while it stands"`
	RefundStatus rental.RefundStatus `json:"refundStatus" enum:"none,started,completed,failed" doc:"failed: the money is owed"`
	Captured     events.Money        `json:"captured" doc:"What was taken, as far as is known"`
	Refunded     events.Money        `json:"refunded" doc:"What of it was given back"`
	SMS          rental.SMS          `json:"sms" enum:"none,pending,sent,failed" doc:"What became of the text to the guest"`
}

type rentalAnswer struct {
	Receipt
	Body rentalBody
}

type rentalRequest struct {
	ID string `path:"id"`
}

func (s *Server) getRental(ctx context.Context, in *rentalRequest) (*rentalAnswer, error) {
	return s.answerRental(ctx, in.ID, Receipt{})
}

// answerRental reads a rental for its caller.
func (s *Server) answerRental(ctx context.Context, id string, receipt Receipt) (*rentalAnswer, error) {
	r, found, err := rental.Scan(s.reader(ctx).QueryRowContext(ctx, rental.Select+`where rental_id = $1`, id))
	if err != nil {
		return nil, err
	}
	if !found || !caller(ctx).mayRead(r.AccountID) {
		return nil, errNotFound
	}
	return &rentalAnswer{receipt, rentalBody{
		RentalID: r.ID, RoomID: r.RoomID, From: r.From, To: r.To, Price: r.Price, State: r.State(), Reason: r.Reason,
		RefundStatus: r.Refund, Captured: r.Captured, Refunded: r.Refunded, SMS: r.SMS,
	}}, nil
}

type requestRentalRequest struct {
	Body struct {
		RoomID     string `json:"roomId"`
		From       string `json:"from" doc:"YYYY-MM-DD"`
		To         string `json:"to" doc:"YYYY-MM-DD, exclusive"`
		GuestPhone string `json:"guestPhone" doc:"Where to text the guest"`
		CardToken  string `json:"cardToken" doc:"What the payment provider calls the card"`
		Mode       string `json:"mode,omitempty" enum:"choreography,manager" default:"choreography" doc:"Who decides its steps; nothing else differs"`
	}
}

type requestRentalAnswer struct {
	Receipt
	Body struct {
		RentalID string `json:"rentalId"`
	}
}

// requestRental makes the rental, and the payment method that it is paid by, in
// one transaction: nothing hears of the one without the other.
func (s *Server) requestRental(ctx context.Context, in *requestRentalRequest) (*requestRentalAnswer, error) {
	out := &requestRentalAnswer{}
	b, account := in.Body, caller(ctx).AccountID
	return command(ctx, s, "request-rental", working(func(ctx context.Context, tx *choreo.Tx) error {
		r, err := rental.Request(ctx, tx, rental.Wish{
			AccountID: account, RoomID: b.RoomID, From: b.From, To: b.To, Phone: b.GuestPhone,
			Mode: cmp.Or(b.Mode, events.ModeChoreography),
		})
		if err := errors.Join(err, order.ValidCard(b.CardToken)); err != nil {
			return err
		}
		if r.PaymentMethodID, err = buyer.PaymentMethod(ctx, tx, s.CardKey, account, b.CardToken); err != nil {
			return err
		}
		out.Body.RentalID = r.ID
		return r.Save(ctx, tx)
	}), func(_ context.Context, r choreo.Receipt) (*requestRentalAnswer, error) {
		out.Receipt = ongoing(r)
		return out, nil
	})
}

// withdrawRental gives a rental up: one that is complete is canceled, which starts
// the undoing, another has its next step fail. Once complete it stays complete, so
// that the second try meets what it was made for.
func (s *Server) withdrawRental(ctx context.Context, in *rentalRequest) (*rentalAnswer, error) {
	out, err := s.changeRental(ctx, "request-withdrawal", in.ID, (*rental.Rental).Withdraw)
	if errors.Is(err, rental.ErrCompleted) {
		out, err = s.changeRental(ctx, "cancel-rental", in.ID, (*rental.Rental).Cancel)
	}
	return out, err
}

// changeRental is a command on one rental, in the rental's saga.
func (s *Server) changeRental(ctx context.Context, name, id string, change func(*rental.Rental, string) error) (*rentalAnswer, error) {
	var saga string
	return command(ctx, s, name, func(ctx context.Context, tx *choreo.Tx) error {
		r, found, err := rental.Load(ctx, tx, id)
		if err != nil {
			return err
		}
		if !found || !caller(ctx).mayRead(r.AccountID) {
			return errNotFound
		}
		answerAbout(ctx, r.AccountID)
		saga = r.Saga
		tx.JoinSaga(saga)
		if err := change(r, tx.Now().Format(time.DateOnly)); err != nil {
			return err
		}
		return r.Save(ctx, tx)
	}, func(ctx context.Context, r choreo.Receipt) (*rentalAnswer, error) {
		return s.answerRental(ctx, id, joined(r, saga))
	})
}
