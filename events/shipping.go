package events

// ShippingInfoChanged: The buyer wants the order brought elsewhere. The info itself stands with the order, under its version.
type ShippingInfoChanged struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
	Version  int    `json:"version"`
}

func (ShippingInfoChanged) FactType() string { return "orders.ShippingInfoChanged.v1" }
func (f ShippingInfoChanged) Key() string    { return f.OrderID }
func (f ShippingInfoChanged) Validate() error {
	return ids("orderId", f.OrderID, "changeId", f.ChangeID)
}

// CarrierSynced: The carrier took the change.
type CarrierSynced struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
}

func (CarrierSynced) FactType() string  { return "orders.CarrierSynced.v1" }
func (f CarrierSynced) Key() string     { return f.OrderID }
func (f CarrierSynced) Validate() error { return ids("orderId", f.OrderID, "changeId", f.ChangeID) }

// ShippingInfoSuperseded: A newer change came before the carrier was told of this one.
type ShippingInfoSuperseded struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
}

func (ShippingInfoSuperseded) FactType() string { return "orders.ShippingInfoSuperseded.v1" }
func (f ShippingInfoSuperseded) Key() string    { return f.OrderID }
func (f ShippingInfoSuperseded) Validate() error {
	return ids("orderId", f.OrderID, "changeId", f.ChangeID)
}

// CarrierSyncFailed: The carrier refused the change, or could not be reached for a day.
type CarrierSyncFailed struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
	Reason   string `json:"reason"`
}

func (CarrierSyncFailed) FactType() string        { return "orders.CarrierSyncFailed.v1" }
func (f CarrierSyncFailed) Key() string           { return f.OrderID }
func (f CarrierSyncFailed) Validate() error       { return ids("orderId", f.OrderID, "changeId", f.ChangeID) }
func (f CarrierSyncFailed) FailureReason() string { return f.Reason }

// ShippingInfoReverted: The change is taken back: the order goes where the carrier last agreed to bring it, unless a newer change stands.
type ShippingInfoReverted struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
}

func (ShippingInfoReverted) FactType() string { return "orders.ShippingInfoReverted.v1" }
func (f ShippingInfoReverted) Key() string    { return f.OrderID }
func (f ShippingInfoReverted) Validate() error {
	return ids("orderId", f.OrderID, "changeId", f.ChangeID)
}

// CarrierRecalled: The carrier knows nothing of the change any more.
type CarrierRecalled struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
}

func (CarrierRecalled) FactType() string  { return "orders.CarrierRecalled.v1" }
func (f CarrierRecalled) Key() string     { return f.OrderID }
func (f CarrierRecalled) Validate() error { return ids("orderId", f.OrderID, "changeId", f.ChangeID) }

// CarrierRecallFailed: The carrier may still go by the change: owed.
type CarrierRecallFailed struct {
	OrderID  string `json:"orderId"`
	ChangeID string `json:"changeId"`
	Reason   string `json:"reason"`
}

func (CarrierRecallFailed) FactType() string { return "orders.CarrierRecallFailed.v1" }
func (f CarrierRecallFailed) Key() string    { return f.OrderID }
func (f CarrierRecallFailed) Validate() error {
	return ids("orderId", f.OrderID, "changeId", f.ChangeID)
}
func (f CarrierRecallFailed) FailureReason() string { return f.Reason }
