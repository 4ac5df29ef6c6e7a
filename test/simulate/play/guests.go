package play

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"troupe/choreo"
	"troupe/choreo/sim"
	"troupe/domain/account"
	"troupe/domain/buyer"
	"troupe/domain/rental"
	"troupe/events"
	"troupe/handlers"
)

// migrateProduct makes the product's tables, and two rooms to quarrel about.
func migrateProduct(ctx context.Context, pool *sql.DB) error {
	if err := handlers.Migrate(ctx, pool); err != nil {
		return err
	}
	night := events.Money{Amount: 9000, Currency: "EUR"}
	return rental.PutRooms(ctx, pool, []rental.Room{{ID: "room-1", Price: night}, {ID: "room-2", Price: night}})
}

// guest rents a room, in one of the modes, and may give it up at any moment, and
// again.
func (p *product) guest(s *sim.Sim, n int) []sim.Act {
	cards := []string{"tok_visa", "tok_visa", "tok_visa", "tok_visa", "tok_declined", "tok_refund_fails"}
	card, mode := cards[s.Rand().IntN(len(cards))], []string{events.ModeChoreography, events.ModeManager}[s.Rand().IntN(2)]
	room, first, nights := fmt.Sprintf("room-%d", 1+s.Rand().IntN(2)), 40+s.Rand().IntN(12), 1+s.Rand().IntN(4)
	phone := fmt.Sprintf("+4915%07d", n)
	if s.Rand().IntN(6) == 0 {
		phone = fmt.Sprintf("%s%07d", unreachable, n)
	}
	var id string
	acts := []sim.Act{{Name: "request-rental", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
		made, who := "", p.someone(s)
		r, err := choreo.Commit(ctx, db, "request-rental", func(ctx context.Context, tx *choreo.Tx) error {
			if err := account.Work(ctx, tx, who); err != nil {
				return err
			}
			p.mark(who, phone)
			asked, err := rental.Request(ctx, tx, rental.Wish{AccountID: who, RoomID: room, Phone: phone, Mode: mode,
				From: tx.Now().AddDate(0, 0, first).Format(time.DateOnly), To: tx.Now().AddDate(0, 0, first+nights).Format(time.DateOnly)})
			if err != nil {
				return err
			}
			if asked.PaymentMethodID, err = buyer.PaymentMethod(ctx, tx, cardKey, who, card); err != nil {
				return err
			}
			made = asked.ID
			return asked.Save(ctx, tx)
		})
		if err == nil {
			id = made
		}
		return r, err
	}}}
	for range max(0, s.Rand().IntN(4)-1) {
		acts = append(acts, sim.Act{Name: "give up a rental", After: soon(s), Do: func(ctx context.Context, db *choreo.DB) (choreo.Receipt, error) {
			r, err := p.giveUp(ctx, db, "request-withdrawal", id, (*rental.Rental).Withdraw)
			if errors.Is(err, rental.ErrCompleted) {
				r, err = p.giveUp(ctx, db, "cancel-rental", id, (*rental.Rental).Cancel)
			}
			return r, err
		}})
	}
	return acts
}

func (p *product) giveUp(ctx context.Context, db *choreo.DB, command, id string, do func(*rental.Rental, string) error) (choreo.Receipt, error) {
	return choreo.Commit(ctx, db, command, func(ctx context.Context, tx *choreo.Tx) error {
		r, found, err := rental.Load(ctx, tx, id)
		if err != nil || !found {
			return errors.Join(err, errors.New("there is no such rental"))
		}
		tx.JoinSaga(r.Saga)
		if err := do(r, tx.Now().Format(time.DateOnly)); err != nil {
			return err
		}
		return r.Save(ctx, tx)
	})
}
