package order

import (
	"context"
	"fmt"

	"troupe/choreo"
)

// Unfinished says what stands against deleting the account that ordered: an
// order under way, or a refund that is owed. It is empty where nothing does.
func Unfinished(ctx context.Context, tx *choreo.Tx, accountID string) (reason string, err error) {
	err = tx.QueryRowContext(ctx, `select case
			when count(*) filter (where state in ('submitted', 'confirmed')) > 0 then 'an order is neither shipped nor canceled yet'
			when count(*) filter (where refund_status in ('started', 'failed')) > 0 then 'a refund is not done yet'
			else '' end
		from orders where account_id = $1`, accountID).Scan(&reason)
	if err != nil {
		return "", fmt.Errorf("reading the orders of account %s: %w", accountID, err)
	}
	return reason, nil
}

// Forget removes where the orders of an erased account went.
func Forget(ctx context.Context, tx *choreo.Tx, accountID string) error {
	_, err := tx.ExecContext(ctx, `delete from shipping_infos s using orders o
		where o.account_id = $1 and s.order_id = o.order_id`, accountID)
	if err != nil {
		return fmt.Errorf("erasing the shipping infos of account %s: %w", accountID, err)
	}
	return nil
}
