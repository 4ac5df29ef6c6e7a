package rental

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"troupe/choreo"
	"troupe/events"
)

// Room can be rented, by the night.
type Room struct {
	ID    string
	Price events.Money // of a night
}

// Querier is a transaction or a pool.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Rooms lists rooms by id, behind the given one, at most limit.
func Rooms(ctx context.Context, q Querier, behind string, limit int) ([]Room, error) {
	rows, err := q.QueryContext(ctx, `select room_id, currency, price from rooms where room_id > $1 order by room_id limit $2`,
		behind, limit)
	if err != nil {
		return nil, fmt.Errorf("listing rooms: %w", err)
	}
	defer rows.Close()
	rooms := []Room{}
	for rows.Next() {
		var r Room
		if err := rows.Scan(&r.ID, &r.Price.Currency, &r.Price.Amount); err != nil {
			return nil, fmt.Errorf("listing rooms: %w", err)
		}
		rooms = append(rooms, r)
	}
	return rooms, rows.Err()
}

// PutRooms makes these rooms, or gives them their price. Rentals keep the price
// that they were asked for.
func PutRooms(ctx context.Context, pool *sql.DB, rooms []Room) error {
	for _, r := range rooms {
		_, err := pool.ExecContext(ctx, `insert into rooms (room_id, currency, price) values ($1, $2, $3)
			on conflict (room_id) do update set currency = excluded.currency, price = excluded.price
			where (rooms.currency, rooms.price) <> (excluded.currency, excluded.price)`,
			r.ID, r.Price.Currency, r.Price.Amount)
		if err != nil {
			return fmt.Errorf("making room %s: %w", r.ID, err)
		}
	}
	return nil
}

// findRoom reads a room; found is false where there is none.
func findRoom(ctx context.Context, tx *choreo.Tx, id string) (r Room, found bool, err error) {
	r.ID = id
	err = tx.QueryRowContext(ctx, `select currency, price from rooms where room_id = $1`, id).Scan(&r.Price.Currency, &r.Price.Amount)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("reading room %s: %w", id, err)
	}
	return r, true, nil
}

// Occupy holds the room for a rental that is charged, unless somebody else has it
// for one of the nights, or the rental was withdrawn meanwhile.
func (r *Rental) Occupy(ctx context.Context, tx *choreo.Tx) error {
	take, fail := r.proceed(Charged)
	reason := becauseWithdrawn
	if take {
		done, err := tx.ExecContext(ctx, `insert into room_nights (rental_id, room_id, nights)
			values ($1, $2, daterange($3::text::date, $4::text::date)) on conflict do nothing`, r.ID, r.RoomID, r.From, r.To)
		if err != nil {
			return fmt.Errorf("holding room %s for rental %s: %w", r.RoomID, r.ID, err)
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		if n > 0 {
			r.reached = Occupied
			r.raise(events.RoomOccupied{RentalID: r.ID})
			return nil
		}
		reason, fail = becauseTaken, true
	}
	if fail {
		r.end(undoing, reason)
		r.raise(events.RoomOccupationFailed{RentalID: r.ID, Reason: reason})
	}
	return nil
}

// Release lets the room of a rental that is taken back go.
func (r *Rental) Release(ctx context.Context, tx *choreo.Tx) error {
	if r.reached != Occupied && r.reached != Completed || !r.undo() {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `delete from room_nights where rental_id = $1`, r.ID); err != nil {
		return fmt.Errorf("releasing room %s of rental %s: %w", r.RoomID, r.ID, err)
	}
	r.reached = Charged
	r.raise(events.RoomReleased{RentalID: r.ID})
	return nil
}
