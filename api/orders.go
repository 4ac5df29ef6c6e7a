package api

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"troupe/choreo"
	"troupe/domain/order"
	"troupe/domain/payment"
	"troupe/events"
)

// orders adds placing, canceling, shipping and reading orders.
func (s *Server) orders() {
	s.refuses(http.StatusConflict, order.ErrShipped, order.ErrNotConfirmed, order.ErrUnderWay)

	tags := []string{"orders"}
	register(s, accountsOnly, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: "/orders", Tags: tags,
		Summary: "Place an order", DefaultStatus: http.StatusAccepted,
		Description: "The total is computed here. The card is charged afterwards: `state` of the order tells what became of it.",
	}, s.placeOrder)
	register(s, accountsAndStaff, huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: "/orders", Tags: tags,
		Summary: "List your orders, newest first; staff sees everyone's",
	}, s.listOrders)
	register(s, accountsAndStaff, huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: "/orders/{id}", Tags: tags,
		Summary: "Read an order", Responses: behindResponses(s, reflect.TypeFor[orderBody]()),
		Description: "From a view, a moment behind: give `seen` to read what you wrote.",
	}, s.getOrder)
	register(s, accountsOnly, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: "/orders/{id}/cancellation", Tags: tags,
		Summary: "Cancel an order that is not shipped yet", DefaultStatus: http.StatusAccepted,
		Description: "What was paid is given back afterwards: `refundStatus` of the order tells what became of it.",
	}, s.cancelOrder)
	register(s, accountsOnly, huma.Operation{
		OperationID: "change-shipping-info", Method: http.MethodPut, Path: "/orders/{id}/shipping-info", Tags: tags,
		Summary: "Change where an order goes, until it is shipped", DefaultStatus: http.StatusAccepted,
		Description: "The carrier is told afterwards: `carrier` of the order tells what became of it. Where the carrier\n" +
			"refuses, the order goes where the carrier last agreed to bring it, else where it was ordered to.",
	}, s.changeShippingInfo)
	register(s, staffOnly, huma.Operation{
		OperationID: "ship-order", Method: http.MethodPost, Path: "/orders/{id}/shipment", Tags: tags,
		Summary: "Ship a confirmed order",
	}, s.shipOrder)
}

type shippingInfo struct {
	Name       string `json:"name"`
	Street     string `json:"street"`
	City       string `json:"city"`
	PostalCode string `json:"postalCode"`
	Country    string `json:"country"`
}

type placeOrderRequest struct {
	Body struct {
		Lines        []events.OrderLine `json:"lines" doc:"1 to 1000, all in one currency (ISO 4217), each of 1 to 999 pieces; amounts in minor units"`
		CardToken    string             `json:"cardToken" doc:"What the payment provider calls the card"`
		ShippingInfo shippingInfo       `json:"shippingInfo"`
	}
}

type placeOrderAnswer struct {
	Receipt
	Body struct {
		OrderID string `json:"orderId"`
	}
}

func (s *Server) placeOrder(ctx context.Context, in *placeOrderRequest) (*placeOrderAnswer, error) {
	out := &placeOrderAnswer{}
	return command(ctx, s, "place-order", working(func(ctx context.Context, tx *choreo.Tx) error {
		o, err := order.Place(tx.NewID(), caller(ctx).AccountID, in.Body.Lines, in.Body.CardToken, order.Shipping(in.Body.ShippingInfo))
		if err != nil {
			return err
		}
		out.Body.OrderID = o.ID
		return o.Save(ctx, tx)
	}), func(_ context.Context, r choreo.Receipt) (*placeOrderAnswer, error) {
		out.Receipt = ongoing(r)
		return out, nil
	})
}

type orderRequest struct {
	ID string `path:"id"`
}

func (s *Server) cancelOrder(ctx context.Context, in *orderRequest) (*orderAnswer, error) {
	return s.changeOrder(ctx, "cancel-order", in.ID, joined, func(ctx context.Context, tx *choreo.Tx, o *order.Order) error {
		var paymentID *string
		var paid *events.Money
		// What is known of the payment goes with the fact; the refund asks the
		// provider all the same.
		if p, found, err := payment.Find(ctx, tx, o.ID); err != nil {
			return err
		} else if found && p.ID != "" {
			paymentID, paid = &p.ID, &p.Captured
		}
		return o.Cancel("requested-by-buyer", paymentID, paid)
	})
}

func (s *Server) shipOrder(ctx context.Context, in *orderRequest) (*orderAnswer, error) {
	return s.changeOrder(ctx, "ship-order", in.ID, func(r choreo.Receipt, _ string) Receipt { return settled(r) },
		func(_ context.Context, _ *choreo.Tx, o *order.Order) error { return o.Ship() })
}

// changeOrder is a command on one order, in the order's saga: locked, changed
// and saved.
func (s *Server) changeOrder(ctx context.Context, name, id string, receipt func(r choreo.Receipt, saga string) Receipt,
	change func(context.Context, *choreo.Tx, *order.Order) error) (*orderAnswer, error) {
	var saga string
	return command(ctx, s, name, func(ctx context.Context, tx *choreo.Tx) error {
		o, found, err := order.Load(ctx, tx, id)
		if err != nil {
			return err
		}
		if !found || !caller(ctx).mayRead(o.AccountID) {
			return errNotFound
		}
		answerAbout(ctx, o.AccountID)
		saga = o.Saga
		tx.JoinSaga(saga)
		if err := change(ctx, tx, o); err != nil {
			return err
		}
		return o.Save(ctx, tx)
	}, func(ctx context.Context, r choreo.Receipt) (*orderAnswer, error) {
		return s.answerOrder(ctx, id, receipt(r, saga))
	})
}
