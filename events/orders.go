package events

// OrderLine is one article of an order; UnitPrice is that of one piece.
type OrderLine struct {
	SKU       string `json:"sku"`
	Quantity  int    `json:"quantity"`
	UnitPrice Money  `json:"unitPrice"`
}

// OrderStarted: An order begins. A domain fact: handled inside the transaction of its command, stored and published nowhere, since it holds the card token.
type OrderStarted struct {
	OrderID         string      `json:"orderId"`
	AccountID       string      `json:"accountId"`
	CardToken       string      `json:"cardToken"`
	Lines           []OrderLine `json:"lines"`
	Total           Money       `json:"total"`
	ShippingVersion int         `json:"shippingVersion"`
}

func (OrderStarted) FactType() string  { return "orders.OrderStarted.v1" }
func (f OrderStarted) Key() string     { return f.OrderID }
func (f OrderStarted) Validate() error { return ids("orderId", f.OrderID, "accountId", f.AccountID) }

// OrderSubmitted: An order stands, with a buyer and a payment method.
type OrderSubmitted struct {
	OrderID         string      `json:"orderId"`
	AccountID       string      `json:"accountId"`
	PaymentMethodID string      `json:"paymentMethodId"`
	Lines           []OrderLine `json:"lines"`
	Total           Money       `json:"total"`
	ShippingVersion int         `json:"shippingVersion"`
}

func (OrderSubmitted) FactType() string { return "orders.OrderSubmitted.v1" }
func (f OrderSubmitted) Key() string    { return f.OrderID }
func (f OrderSubmitted) Validate() error {
	return ids("orderId", f.OrderID, "accountId", f.AccountID, "paymentMethodId", f.PaymentMethodID)
}

// OrderConfirmed: The order is paid.
type OrderConfirmed struct {
	OrderID   string `json:"orderId"`
	AccountID string `json:"accountId"`
}

func (OrderConfirmed) FactType() string  { return "orders.OrderConfirmed.v1" }
func (f OrderConfirmed) Key() string     { return f.OrderID }
func (f OrderConfirmed) Validate() error { return ids("orderId", f.OrderID, "accountId", f.AccountID) }

// BuyerMailed: The buyer was told that the order is confirmed.
type BuyerMailed struct {
	OrderID string `json:"orderId"`
}

func (BuyerMailed) FactType() string  { return "orders.BuyerMailed.v1" }
func (f BuyerMailed) Key() string     { return f.OrderID }
func (f BuyerMailed) Validate() error { return ids("orderId", f.OrderID) }

// BuyerMailFailed: The buyer could not be told that the order is confirmed.
type BuyerMailFailed struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

func (BuyerMailFailed) FactType() string        { return "orders.BuyerMailFailed.v1" }
func (f BuyerMailFailed) Key() string           { return f.OrderID }
func (f BuyerMailFailed) Validate() error       { return ids("orderId", f.OrderID) }
func (f BuyerMailFailed) FailureReason() string { return f.Reason }

// OrderCanceled: The order is canceled, by the buyer or for want of payment. What was paid is owed back.
type OrderCanceled struct {
	OrderID   string  `json:"orderId"`
	PaymentID *string `json:"paymentId" jsonschema:"nullable"`
	Amount    *Money  `json:"amount" jsonschema:"nullable"`
	By        string  `json:"by"`
	Reason    string  `json:"reason"`
}

func (OrderCanceled) FactType() string        { return "orders.OrderCanceled.v1" }
func (f OrderCanceled) Key() string           { return f.OrderID }
func (f OrderCanceled) Validate() error       { return ids("orderId", f.OrderID) }
func (f OrderCanceled) FailureReason() string { return f.Reason }

// RefundCompleted: Nothing is owed to the buyer any more.
type RefundCompleted struct {
	OrderID string `json:"orderId"`
}

func (RefundCompleted) FactType() string  { return "orders.RefundCompleted.v1" }
func (f RefundCompleted) Key() string     { return f.OrderID }
func (f RefundCompleted) Validate() error { return ids("orderId", f.OrderID) }

// OrderShipped: The order left the house; it can be canceled no more.
type OrderShipped struct {
	OrderID string `json:"orderId"`
}

func (OrderShipped) FactType() string  { return "orders.OrderShipped.v1" }
func (f OrderShipped) Key() string     { return f.OrderID }
func (f OrderShipped) Validate() error { return ids("orderId", f.OrderID) }
