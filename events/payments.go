package events

// PaymentCaptured: The provider charged the card.
type PaymentCaptured struct {
	OrderID   string `json:"orderId"`
	PaymentID string `json:"paymentId"`
	Amount    Money  `json:"amount"`
}

func (PaymentCaptured) FactType() string  { return "payments.PaymentCaptured.v1" }
func (f PaymentCaptured) Key() string     { return f.OrderID }
func (f PaymentCaptured) Validate() error { return ids("orderId", f.OrderID, "paymentId", f.PaymentID) }

// PaymentDeclined: Nothing was charged: the provider said no, or was never called.
type PaymentDeclined struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

func (PaymentDeclined) FactType() string        { return "payments.PaymentDeclined.v1" }
func (f PaymentDeclined) Key() string           { return f.OrderID }
func (f PaymentDeclined) Order() string         { return f.OrderID }
func (f PaymentDeclined) Validate() error       { return ids("orderId", f.OrderID) }
func (f PaymentDeclined) FailureReason() string { return f.Reason }

// PaymentUnknown: The provider was called and nobody can say what came of it.
type PaymentUnknown struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

func (PaymentUnknown) FactType() string        { return "payments.PaymentUnknown.v1" }
func (f PaymentUnknown) Key() string           { return f.OrderID }
func (f PaymentUnknown) Order() string         { return f.OrderID }
func (f PaymentUnknown) Validate() error       { return ids("orderId", f.OrderID) }
func (f PaymentUnknown) FailureReason() string { return f.Reason }

// PaymentRefunded: The provider gave the money back.
type PaymentRefunded struct {
	OrderID  string `json:"orderId"`
	RefundID string `json:"refundId"`
	Amount   Money  `json:"amount"`
}

func (PaymentRefunded) FactType() string  { return "payments.PaymentRefunded.v1" }
func (f PaymentRefunded) Key() string     { return f.OrderID }
func (f PaymentRefunded) Order() string   { return f.OrderID }
func (PaymentRefunded) MoneyBack() bool   { return true }
func (f PaymentRefunded) Validate() error { return ids("orderId", f.OrderID, "refundId", f.RefundID) }

// RefundNotNeeded: Nothing was charged, and nothing can be charged any more.
type RefundNotNeeded struct {
	OrderID string `json:"orderId"`
}

func (RefundNotNeeded) FactType() string  { return "payments.RefundNotNeeded.v1" }
func (f RefundNotNeeded) Key() string     { return f.OrderID }
func (f RefundNotNeeded) Order() string   { return f.OrderID }
func (RefundNotNeeded) MoneyBack() bool   { return false }
func (f RefundNotNeeded) Validate() error { return ids("orderId", f.OrderID) }

// RefundFailed: The refund was refused for good, or given up: owed.
type RefundFailed struct {
	OrderID string `json:"orderId"`
	Reason  string `json:"reason"`
}

func (RefundFailed) FactType() string        { return "payments.RefundFailed.v1" }
func (f RefundFailed) Key() string           { return f.OrderID }
func (f RefundFailed) Validate() error       { return ids("orderId", f.OrderID) }
func (f RefundFailed) FailureReason() string { return f.Reason }
