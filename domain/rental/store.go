package rental

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/events"
)

const columns = `rental_id, account_id, saga, mode, room_id, from_day, to_day, currency, price, payment_method_id, reached, ending,
	reason, refund_status, charged_by, payment_id, captured, refund_id, refunded, sms, texted_for`

// Load reads a rental and locks its row until the transaction ends; found is
// false where there is none.
func Load(ctx context.Context, tx *choreo.Tx, id string) (r *Rental, found bool, err error) {
	return Scan(tx.QueryRowContext(ctx, `select `+columns+` from rentals where rental_id = $1 for update`, id))
}

// For is Load for the reaction to an event: found is false also where the event
// is not of the rental's saga, or not of its mode. A step of another saga could
// not be undone in this one.
func For(ctx context.Context, tx *choreo.Tx, of choreo.Meta, id string) (r *Rental, found bool, err error) {
	r, found, err = Load(ctx, tx, id)
	if err != nil || !found || r.Saga != of.Saga || r.managed() != (of.Topic() == commands) {
		return nil, false, err
	}
	return r, true, nil
}

// Known is For where the rental must be there.
func Known(ctx context.Context, tx *choreo.Tx, of choreo.Meta, id string) (*Rental, error) {
	r, found, err := For(ctx, tx, of, id)
	if err == nil && !found {
		err = fmt.Errorf("there is no rental %s in its saga", id)
	}
	return r, err
}

// commands is the topic of what a process manager commands.
var commands = choreo.Topic(events.ChargeRental{}.FactType())

// Select reads rentals without a lock, for Scan.
const Select = `select ` + columns + ` from rentals `

// Scan reads a rental from a row of Select; found is false where there is none.
func Scan(row interface{ Scan(...any) error }) (*Rental, bool, error) {
	var r Rental
	err := row.Scan(&r.ID, &r.AccountID, &r.Saga, &r.Mode, &r.RoomID, &r.From, &r.To, &r.Price.Currency, &r.Price.Amount,
		&r.PaymentMethodID, &r.reached, &r.ending, &r.Reason, &r.Refund, &r.chargedBy, &r.paymentID, &r.Captured.Amount,
		&r.refundID, &r.Refunded.Amount, &r.SMS, &r.textedFor)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading a rental: %w", err)
	}
	r.Captured.Currency, r.Refunded.Currency = r.Price.Currency, r.Price.Currency
	return &r, true, nil
}

// Phone is the number of the guest. ErrErased where it is gone.
func (r *Rental) Phone(ctx context.Context, tx *choreo.Tx) (number string, err error) {
	err = tx.QueryRowContext(ctx, `select phone from rental_guests where rental_id = $1`, r.ID).Scan(&number)
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrErased
	}
	if err != nil {
		return "", fmt.Errorf("reading the guest of rental %s: %w", r.ID, err)
	}
	return number, nil
}

// Save writes the rental and emits the facts that it raised.
func (r *Rental) Save(ctx context.Context, tx *choreo.Tx) error {
	write := r.update
	if r.phone != "" {
		write = r.insert
	}
	if err := write(ctx, tx); err != nil {
		return fmt.Errorf("writing rental %s: %w", r.ID, err)
	}
	tx.Emit(r.raised...)
	r.raised = nil
	return nil
}

func (r *Rental) insert(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `
		insert into rentals (`+columns+`, requested_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', '', $12, '', '', 0, '', 0, $13, '', $14)`,
		r.ID, r.AccountID, r.Saga, r.Mode, r.RoomID, r.From, r.To, r.Price.Currency, r.Price.Amount, r.PaymentMethodID,
		string(r.reached), string(r.Refund), string(r.SMS), tx.Now())
	if err == nil {
		_, err = tx.ExecContext(ctx, `insert into rental_guests (rental_id, phone) values ($1, $2)`, r.ID, r.phone)
	}
	r.phone = ""
	return err
}

func (r *Rental) update(ctx context.Context, tx *choreo.Tx) error {
	_, err := tx.ExecContext(ctx, `update rentals set reached = $2, ending = $3, reason = $4, refund_status = $5, charged_by = $6,
		payment_id = $7, captured = $8, refund_id = $9, refunded = $10, sms = $11, texted_for = $12 where rental_id = $1`,
		r.ID, string(r.reached), string(r.ending), r.Reason, string(r.Refund), r.chargedBy,
		r.paymentID, r.Captured.Amount, r.refundID, r.Refunded.Amount, string(r.SMS), r.textedFor)
	return err
}

// Unfinished says what stands against deleting the account that rented: a rental
// that is not withdrawn and has not ended, or a refund that is owed. It is empty
// where nothing does.
func Unfinished(ctx context.Context, tx *choreo.Tx, accountID string) (reason string, err error) {
	err = tx.QueryRowContext(ctx, `select case
			when count(*) filter (where ending in ('', 'asked', 'undoing') and (to_day > $2 or ending <> '')) > 0
				then 'a rental has not ended yet, and is not withdrawn'
			when count(*) filter (where refund_status in ('started', 'failed')) > 0 then 'a refund is not done yet'
			else '' end
		from rentals where account_id = $1`, accountID, tx.Now().Format(time.DateOnly)).Scan(&reason)
	if err != nil {
		return "", fmt.Errorf("reading the rentals of account %s: %w", accountID, err)
	}
	return reason, nil
}

// Forget removes how to reach the guests of an erased account.
func Forget(ctx context.Context, tx *choreo.Tx, accountID string) error {
	_, err := tx.ExecContext(ctx, `delete from rental_guests g using rentals r
		where r.account_id = $1 and g.rental_id = r.rental_id`, accountID)
	if err != nil {
		return fmt.Errorf("erasing the guests of account %s: %w", accountID, err)
	}
	return nil
}
