package api

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"troupe/domain/order"
	"troupe/events"
	"troupe/views/orderdetails"
)

type orderBody struct {
	OrderID      string             `json:"orderId"`
	Lines        []events.OrderLine `json:"lines"`
	Total        events.Money       `json:"total"`
	State        order.State        `json:"state" enum:"submitted,confirmed,canceled,shipped"`
	RefundStatus order.RefundStatus `json:"refundStatus" enum:"none,started,completed,failed" doc:"failed: the money is owed"`
	Captured     events.Money       `json:"captured" doc:"What was taken, as far as is known"`
	Refunded     events.Money       `json:"refunded" doc:"What of it was given back"`
	ShippingInfo shippingInfo       `json:"shippingInfo"`
	Carrier      order.CarrierState `json:"carrier" enum:"none,pending,synced,failed" doc:"What the carrier knows of the newest change; failed: it was taken back"`
}

type orderAnswer struct {
	Receipt
	Body orderBody
}

type orderReading struct {
	ViewRequest

	ID string `path:"id"`
}

// getOrder reads the view of an order, with what is personal from the order.
func (s *Server) getOrder(ctx context.Context, in *orderReading) (*viewAnswer[orderBody], error) {
	status, err := s.seen(ctx, orderdetails.Name, in.ID, in.ViewRequest)
	if err != nil {
		return nil, err
	}
	o, err := order.Read(ctx, s.DB.Pool(), in.ID)
	if err != nil {
		return nil, err
	}
	if o == nil || !caller(ctx).mayRead(o.AccountID) {
		return nil, errNotFound
	}
	v, err := fresh(ctx, s, in.ID, orderdetails.Find)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return answerPending[orderBody](in.ID, string(o.State)), nil
	}
	return &viewAnswer[orderBody]{status, viewBody[orderBody]{thing: orderBody{
		OrderID: v.OrderID, Lines: v.Lines, Total: v.Total, State: order.State(v.State), RefundStatus: order.RefundStatus(v.RefundStatus),
		Captured: v.Captured, Refunded: v.Refunded, ShippingInfo: shippingInfo(o.Shipping), Carrier: order.CarrierState(v.Carrier),
	}}}, nil
}

// selectOrders reads orders with their payments and where they go.
const selectOrders = `
	select o.order_id, o.account_id, o.lines, o.currency, o.total, o.state, o.refund_status,
	       coalesce(p.captured, 0), coalesce(p.refunded, 0), coalesce(s.name, ''), coalesce(s.street, ''), coalesce(s.city, ''),
	       coalesce(s.postal_code, ''), coalesce(s.country, ''),
	       coalesce((select c.state from shipping_changes c where c.order_id = o.order_id order by c.version desc limit 1), 'none')
	from orders o
	left join payments p using (order_id)
	left join shipping_infos s on s.order_id = o.order_id and s.version = o.shipping_version `

// answerOrder reads an order for its caller.
func (s *Server) answerOrder(ctx context.Context, id string, r Receipt) (*orderAnswer, error) {
	body, owner, err := scanOrder(s.reader(ctx).QueryRowContext(ctx, selectOrders+`where o.order_id = $1`, id))
	if errors.Is(err, sql.ErrNoRows) || err == nil && !caller(ctx).mayRead(owner) {
		return nil, errNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("reading order %s: %w", id, err)
	}
	return &orderAnswer{r, body}, nil
}

func scanOrder(row interface{ Scan(...any) error }) (body orderBody, owner string, err error) {
	to, lines := &body.ShippingInfo, []byte(nil)
	err = row.Scan(&body.OrderID, &owner, &lines, &body.Total.Currency, &body.Total.Amount, &body.State, &body.RefundStatus,
		&body.Captured.Amount, &body.Refunded.Amount, &to.Name, &to.Street, &to.City, &to.PostalCode, &to.Country, &body.Carrier)
	if err == nil {
		err = json.Unmarshal(lines, &body.Lines)
	}
	body.Captured.Currency, body.Refunded.Currency = body.Total.Currency, body.Total.Currency
	return body, owner, err
}

type ordersRequest struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	Cursor string `query:"cursor" doc:"The next of the answer before"`
}

type ordersAnswer struct {
	Body struct {
		Items []orderBody `json:"items"`
		Next  *string     `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

// listOrders gives one page. Ids of orders sort by the time of placing.
func (s *Server) listOrders(ctx context.Context, in *ordersRequest) (*ordersAnswer, error) {
	rows, err := s.DB.Pool().QueryContext(ctx, selectOrders+`
		where ($1 or o.account_id = $2) and ($3 = '' or o.order_id < $3) order by o.order_id desc limit $4`,
		caller(ctx).Staff, caller(ctx).AccountID, in.Cursor, in.Limit+1)
	if err != nil {
		return nil, fmt.Errorf("listing orders: %w", err)
	}
	defer rows.Close()
	out := &ordersAnswer{}
	out.Body.Items = []orderBody{}
	for rows.Next() {
		body, _, err := scanOrder(rows)
		if err != nil {
			return nil, fmt.Errorf("listing orders: %w", err)
		}
		out.Body.Items = append(out.Body.Items, body)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("listing orders: %w", err)
	}
	if len(out.Body.Items) > in.Limit {
		out.Body.Items = out.Body.Items[:in.Limit]
		out.Body.Next = &out.Body.Items[in.Limit-1].OrderID
	}
	return out, nil
}
