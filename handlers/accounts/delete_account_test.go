package accounts_test

import (
	"testing"

	"troupe/domain/account"
	"troupe/domain/order"
	"troupe/events"
)

func TestDeleteAccount(t *testing.T) {
	t.Parallel()
	s := open(t)
	for name, c := range map[string]struct {
		state   order.State
		refund  order.RefundStatus
		refusal string
	}{
		"shipped":         {order.Shipped, order.RefundNone, ""},
		"refunded":        {order.Canceled, order.RefundCompleted, ""},
		"never charged":   {order.Canceled, order.RefundNone, ""},
		"submitted":       {order.Submitted, order.RefundNone, "an order is neither shipped nor canceled yet"},
		"confirmed":       {order.Confirmed, order.RefundNone, "an order is neither shipped nor canceled yet"},
		"being refunded":  {order.Canceled, order.RefundStarted, "a refund is not done yet"},
		"refund is owed":  {order.Canceled, order.RefundFailed, "a refund is not done yet"},
		"no order at all": {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ana := s.leaves(string(c.state+"-"+order.State(c.refund))+"@example.com", func(id string) {
				if c.state != "" {
					s.orders(id, c.state, c.refund)
				}
			})
			r := s.after("delete-account", ana)
			if c.refusal == "" {
				r.Emits(events.AccountDeleted{AccountID: ana.id})
			} else {
				r.Emits(events.AccountDeletionFailed{AccountID: ana.id, Reason: c.refusal})
			}
			s.isState(ana.id, account.Closing)
			// The first answer stands, also when nothing is in the way any more.
			s.exec(`update orders set state = 'shipped', refund_status = 'none' where account_id = $1`, ana.id)
			s.after("delete-account", ana).Emits()
		})
	}
}

func TestDeleteAccountOfAnotherSaga(t *testing.T) {
	t.Parallel()
	s := open(t)
	ana := s.leaves("ana@example.com")
	s.after("delete-account", leaver{ana.id, "another"}).Emits()
	s.after("delete-account", leaver{"nobody", "another"}).Emits()
}
